package replica

import "context"

// MaxWatched is how many changed objects a watch remembers. Above it the watch
// reports an overflow, and the watcher looks at everything again.
const MaxWatched = 4096

// Watch tells of changed objects, coalesced: an object that changed ten times
// before Next is reported once. Close it.
type Watch struct {
	d *Dataset
	// wake has room for one signal: there is something to report.
	wake chan struct{}
	// Guarded by Dataset.mu.
	changed  map[Object]struct{}
	overflow bool
}

// Watch begins to watch the dataset. Changes, local ones too, are reported when
// they can be read, which is before they are on disk: after a crash one that was
// reported may come again, and a local one that nobody synced may be gone.
func (d *Dataset) Watch() *Watch {
	w := &Watch{d: d, wake: make(chan struct{}, 1), changed: make(map[Object]struct{})}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.watches[w] = struct{}{}
	return w
}

// Next waits for changes. overflow means that more changed than is listed.
func (w *Watch) Next(ctx context.Context) (changed []Object, overflow bool, err error) {
	for {
		w.d.mu.Lock()
		for o := range w.changed {
			changed = append(changed, o)
		}
		overflow = w.overflow
		clear(w.changed)
		w.overflow = false
		w.d.mu.Unlock()
		if len(changed) > 0 || overflow {
			return changed, overflow, nil
		}
		select {
		case <-w.wake:
		case <-ctx.Done():
			return nil, false, ctx.Err()
		}
	}
}

// Close ends the watch.
func (w *Watch) Close() {
	w.d.mu.Lock()
	defer w.d.mu.Unlock()
	delete(w.d.watches, w)
}

// notify tells the watches of a change. d.mu is held.
func (d *Dataset) notify(o Object) {
	for w := range d.watches {
		if _, known := w.changed[o]; !known && len(w.changed) >= MaxWatched {
			w.overflow = true
		} else {
			w.changed[o] = struct{}{}
		}
		signal(w.wake)
	}
}
