package replica

import (
	"context"
	"fmt"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/datastore"
)

// Cursor is what the objects contain as View shows them, on disk or not. Kept
// with Keys.Set it is on disk no earlier than what it covers.
func (d *Dataset) Cursor() crdt.Version {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.applied.Clone()
}

// ChangedSince visits the objects that changed behind a Cursor, of this run or
// an earlier one; some more than once. So who follows a dataset across restarts
// needs no more than a version, and nothing is written while ops come in: the
// log knows what changed.
//
//	Watch ─► Cursor, ChangedSince(kept) ─► Wait, Cursor, Next, … handle …, keep
//
// It returns false if the log does not reach back: it was cut since, or a whole
// state was taken. Then anything may have changed, and Objects lists it all.
func (d *Dataset) ChangedSince(ctx context.Context, since crdt.Version, visit func(Change)) (complete bool, err error) {
	if err := d.r.Sync(ctx); err != nil {
		return false, err
	}
	type span struct{ from, to uint64 }
	behind := make(map[crdt.Author]span)
	d.mu.Lock()
	self := d.self
	complete = true
	for a, applied := range d.applied {
		if s := since[a]; s < applied {
			behind[a] = span{s + 1, applied}
			complete = complete && s >= d.logs[a].cut
		}
	}
	d.mu.Unlock()
	if !complete {
		return false, nil
	}
	for a, s := range behind {
		id, bad := a.Bytes(), error(nil)
		last := s.from - 1
		err := d.r.store.Scan(datastore.EntryKey(d.id, id[:], s.from), datastore.EntryKey(d.id, id[:], s.to+1), func(_, v []byte) bool {
			e, _, err := splitEntry(v, false)
			if err == nil {
				err = e.decodeBody(d.r.keys)
			}
			if bad = err; bad != nil {
				return false
			}
			for _, o := range e.objects() {
				visit(Change{o, a != self})
			}
			last = e.Last()
			return ctx.Err() == nil
		})
		if err == nil && bad != nil {
			err = fmt.Errorf("entry of %s: %w: %w", a, bad, datastore.ErrDamaged)
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return false, fmt.Errorf("replica: changes of %s since %d: %w", d.name, s.from-1, err)
		}
		if last < s.to {
			return false, nil // cut meanwhile
		}
	}
	return true, nil
}
