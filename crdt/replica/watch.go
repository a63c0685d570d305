package replica

import (
	"context"
	"strings"
)

// MaxWatched is how many changed objects a watch remembers. Above it the watch
// reports an overflow, and the watcher looks at everything again.
const MaxWatched = 4096

// Change is an object that changed; Remote if another author changed it.
type Change struct {
	Object
	Remote bool
}

// Watch tells of changed objects, coalesced: an object that changed ten times
// before Next is reported once, as remote if one of the changes was. Close it.
type Watch struct {
	d      *Dataset
	prefix string
	// wake has room for one signal: there is something to report.
	wake chan struct{}
	// Guarded by Dataset.mu.
	changed  map[Object]bool // to whether a change was remote
	overflow bool
}

// Watch begins to watch the objects of the dataset whose key starts with
// prefix. Changes, local ones too, are reported when
// they can be read, which is before they are on disk: after a crash one that was
// reported may come again, and a local one that nobody synced may be gone.
func (d *Dataset) Watch(prefix string) *Watch {
	w := &Watch{d: d, prefix: prefix, wake: make(chan struct{}, 1), changed: make(map[Object]bool)}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.watches[w] = struct{}{}
	return w
}

// Wait waits until there are changes to report. What Cursor returns then covers
// nothing but what Next reports then or has reported: a cursor to keep once that
// is handled.
func (w *Watch) Wait(ctx context.Context) error {
	for {
		w.d.mu.Lock()
		ready := len(w.changed) > 0 || w.overflow
		w.d.mu.Unlock()
		if ready {
			return nil
		}
		select {
		case <-w.wake:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Next waits for changes. overflow means that more changed than is listed.
func (w *Watch) Next(ctx context.Context) (changed []Change, overflow bool, err error) {
	if err := w.Wait(ctx); err != nil {
		return nil, false, err
	}
	w.d.mu.Lock()
	defer w.d.mu.Unlock()
	for o, remote := range w.changed {
		changed = append(changed, Change{o, remote})
	}
	overflow = w.overflow
	clear(w.changed)
	w.overflow = false
	return changed, overflow, nil
}

// Close ends the watch.
func (w *Watch) Close() {
	w.d.mu.Lock()
	defer w.d.mu.Unlock()
	delete(w.d.watches, w)
}

// notify tells the watches of a change. d.mu is held.
func (d *Dataset) notify(o Object, remote bool) {
	for w := range d.watches {
		if !strings.HasPrefix(o.Key, w.prefix) {
			continue
		}
		if before, known := w.changed[o]; !known && len(w.changed) >= MaxWatched {
			w.overflow = true
		} else {
			w.changed[o] = before || remote
		}
		signal(w.wake)
	}
}
