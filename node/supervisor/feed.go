package supervisor

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"slices"
	"time"

	"github.com/zeebo/blake3"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/crdt/replica"
	"github.com/numax-mesh/numax/node/module"
	"github.com/numax-mesh/numax/sandbox"
)

// place is what a feed follows, and what of it may be read.
type place struct{ dataset, prefix, reads string }

// feed tells a module of changed objects of one place, at least once, from a cursor that survives restarts: the
// version that was applied when all changes up to it had been told. The cursor is among the module's keys, so it
// shares the commit queue with what the module wrote about a change, and is on disk after that.
//
//	applied ─► changes since the cursor, or all objects ─► batch ─► mailbox ─► told ─► cursor := applied
type feed struct {
	unit *unit
	at   place
	may  *module.Grants
	data *replica.Dataset
	keys *replica.Keys
	tag  []byte    // begins the cursor's row
	kept time.Time // when the cursor was last
	stop context.CancelFunc
	done chan struct{}
}

// batch is changes on their way to the guest. The feed waits until the last was told.
type batch struct {
	at   place
	left []replica.Change
	told chan struct{}   // closed when none is left
	feed context.Context // ends with the feed, and then nobody waits
}

// cursorEvery is how often a cursor is kept. What was told in between is told again after a crash.
const cursorEvery = time.Second

// feedRetry is how long a feed that failed, as on a full disk, waits before it looks again.
const feedRetry = time.Second

func (u *unit) follow(ctx context.Context, at place, d *replica.Dataset, may *module.Grants) *feed {
	ctx, cancel := context.WithCancel(ctx)
	tag := blake3.Sum256([]byte(u.id + "\x00" + at.reads))
	f := &feed{
		unit: u, at: at, may: may, data: d, stop: cancel, done: make(chan struct{}),
		keys: u.s.cfg.World.Replica.Keys(u.name), tag: tag[:8],
	}
	go func() {
		defer close(f.done)
		for {
			err := f.run(ctx)
			if ctx.Err() != nil {
				return
			}
			u.log.Warn("cannot follow the dataset just now; will try again", "dataset", at.dataset, "err", err)
			select {
			case <-time.After(feedRetry):
			case <-ctx.Done():
				return
			}
		}
	}()
	return f
}

// forget is for a place that the guest does not follow any more: what follows it one day begins anew.
func (f *feed) forget() {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTime)
	defer cancel()
	if err := f.keys.Delete(ctx, f.cursorKey()); err != nil {
		f.unit.log.Warn("cannot delete a cursor", "err", err)
	}
}

func (f *feed) end() {
	f.stop()
	<-f.done
}

func (f *feed) run(ctx context.Context) error {
	w := f.data.Watch(f.at.prefix)
	defer w.Close()
	since, err := f.cursor()
	if err != nil {
		return err
	}
	told := f.data.Cursor()
	changes, all, err := f.missed(ctx, since)
	for {
		if err == nil && all {
			err = f.everything(ctx)
		} else if err == nil {
			err = f.tell(ctx, changes)
		}
		if err == nil {
			err = f.idle(ctx, w, told)
		}
		if err != nil {
			return err
		}
		told = f.data.Cursor()
		changes, all, err = w.Next(ctx)
	}
}

// idle waits for changes. All up to told was told, which is kept after a while at the latest, and at the end.
func (f *feed) idle(ctx context.Context, w *replica.Watch, told crdt.Version) error {
	wait, cancel := context.WithTimeout(ctx, time.Until(f.kept.Add(cursorEvery)))
	defer cancel()
	err := w.Wait(wait)
	if err == nil && time.Since(f.kept) < cursorEvery {
		return nil
	}
	if kerr := f.keys.Set(context.WithoutCancel(ctx), f.cursorKey(), told.Append(bytes.Clone(f.tag))); kerr != nil {
		return kerr
	}
	f.kept = time.Now()
	if err == nil {
		return nil
	}
	return w.Wait(ctx)
}

// missed is what changed behind the cursor, and by whom; all = nobody can tell, or it is too much to list.
func (f *feed) missed(ctx context.Context, since crdt.Version) (changes []replica.Change, all bool, err error) {
	seen := make(map[replica.Object]int)
	complete, err := f.data.ChangedSince(ctx, since, func(c replica.Change) {
		if len(c.Key) < len(f.at.prefix) || c.Key[:len(f.at.prefix)] != f.at.prefix {
			return
		}
		if i, ok := seen[c.Object]; ok {
			changes[i].Remote = changes[i].Remote || c.Remote
			return
		}
		if all = len(changes) == replica.MaxWatched; all {
			return
		}
		seen[c.Object] = len(changes)
		changes = append(changes, c)
	})
	return changes, all || !complete, err
}

// maxBatch is how many of all objects are told together: a guest may follow them in many places.
const maxBatch = 256

// everything tells of all objects of the place, as if others had changed them.
func (f *feed) everything(ctx context.Context) error {
	var changes []replica.Change
	var told error
	err := f.data.ObjectsUnder(ctx, f.at.prefix, func(o replica.Object) bool {
		if changes = append(changes, replica.Change{Object: o, Remote: true}); len(changes) == maxBatch {
			told = f.tell(ctx, changes)
			changes = nil
		}
		return told == nil
	})
	if err = cmp.Or(told, err); err != nil {
		return err
	}
	return f.tell(ctx, changes)
}

// tell waits until the guest has heard of all changes it may know of.
func (f *feed) tell(ctx context.Context, changes []replica.Change) error {
	changes = slices.DeleteFunc(changes, func(c replica.Change) bool {
		return !f.may.CanRead(f.at.dataset, c.Family.String(), c.Key)
	})
	if len(changes) == 0 {
		return nil
	}
	b := &batch{at: f.at, left: changes, told: make(chan struct{}), feed: ctx}
	i := &item{changes: b}
	f.unit.box.pushFree(i)
	select {
	case <-b.told:
		return nil
	case <-ctx.Done():
		f.unit.box.remove(i)
	}
	select {
	case <-b.told: // just so
		return nil
	default:
		return ctx.Err()
	}
}

// calls are the events that a version is told the first change left by. A function has no instance, and its run answers
// changes too.
func (b *batch) calls(v *version) (names []string) {
	if b.left[0].Remote && v.code.Handles(sandbox.OnRemoteOp) {
		names = append(names, sandbox.OnRemoteOp)
	}
	if v.code.Handles(sandbox.OnChange) || v.instance == nil {
		names = append(names, sandbox.OnChange)
	}
	return names
}

// event is the first of the changes left, told under a name.
func (b *batch) event(name string) *sandbox.Event {
	c := b.left[0]
	return &sandbox.Event{Name: name, Fields: map[string]string{
		"dataset": b.at.dataset, "family": c.Family.String(), "key": c.Key,
	}}
}

// wanted reports whether anybody waits for a session to be told. A guest may have given up the place, and begun with it
// anew, while it was told.
func (b *batch) wanted(s *session) bool { return b.feed.Err() == nil && s.watches(b.at) }

// drop is for a batch that nobody wants any more.
func (b *batch) drop() {
	b.left = nil
	close(b.told)
}

// advance is called when the first change left was told.
func (b *batch) advance() (more bool) {
	if b.left = b.left[1:]; len(b.left) > 0 {
		return true
	}
	close(b.told)
	return false
}

// maxCursors is how many places a module may have followed without giving one up.
const maxCursors = 4 * MaxWatches

const cursorPrefix = "__nx/cursor/"

// The cursor of a place is a row under keys that no guest can name:
//
//	__nx/cursor/ ‖ uvarint len(dataset) ‖ dataset ‖ prefix → tag 8 ‖ version
//
// The tag is that of the module as it was added, and of what it may read: with another, all is told.
func (f *feed) cursorKey() []byte {
	key := binary.AppendUvarint([]byte(cursorPrefix), uint64(len(f.at.dataset)))
	return append(append(key, f.at.dataset...), f.at.prefix...)
}

func (f *feed) cursor() (crdt.Version, error) {
	b, ok, err := f.keys.Get(f.cursorKey())
	if err != nil || !ok || !bytes.HasPrefix(b, f.tag) {
		return nil, err
	}
	v, rest, err := crdt.DecodeVersion(b[len(f.tag):])
	if err != nil || len(rest) > 0 {
		return nil, nil // all is told again
	}
	return v, nil
}
