package replica

import (
	"context"
	"fmt"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/datastore"
)

// bury notes that ops are about to make tombstones. d.mu is held.
func (d *Dataset) bury(a crdt.Author, f crdt.Family, ops []crdt.Op) {
	for i := range ops {
		switch {
		case f == crdt.Sequence && ops[i].Kind == crdt.Delete:
			d.tombs = true
			d.buried[a] = ops[i].Seq
		case f == crdt.LWWMap && ops[i].Kind == crdt.Remove:
			d.tombs = true
			return
		case f != crdt.Sequence && f != crdt.LWWMap:
			return
		}
	}
}

// sweepShare is which share of the time may go to sweeping at most: one part of
// this many.
const sweepShare = 50

// sweepKeys is how many objects are aged between two looks at the queue.
const sweepKeys = 256

// sweep drops the tombstones that everybody has done with.
func (d *Dataset) sweep(ctx context.Context) error {
	began := d.r.now()
	d.mu.Lock()
	h := d.epochs()
	h.Stable, h.Gone = d.stable, d.care.gone
	h.Before = crdt.HLCFromTime(began.UnixMilli())
	due := d.tombs && !d.joining && !began.Before(d.nextSweep) &&
		(h.Gone > d.sweptGone || !d.swept.Dominates(d.stable))
	space := d.cache.space
	d.mu.Unlock()
	if !due {
		return nil
	}
	left, dropped := 0, 0
	for _, f := range []crdt.Family{crdt.LWWMap, crdt.Sequence} {
		from := datastore.FamilyPrefix(space, byte(f))
		for from != nil {
			keys, next, err := d.buriedKeys(f, from, datastore.After(datastore.FamilyPrefix(space, byte(f))))
			if err != nil {
				return err
			}
			n, m, err := d.age(ctx, f, keys, h)
			if err != nil {
				return err
			}
			dropped, left, from = dropped+n, left+m, next
		}
	}
	d.r.stats.TombstonesDropped.Add(uint64(dropped))
	now := d.r.now()
	d.mu.Lock()
	d.tombs = left > 0 || len(d.buried) > 0
	d.swept, d.sweptGone = h.Stable, h.Gone
	d.nextSweep = now.Add(sweepShare * now.Sub(began))
	d.mu.Unlock()
	if dropped > 0 {
		d.r.log.Debug("dropped tombstones", "dataset", d.name, "dropped", dropped, "left", left)
	}
	if dropped >= compactAfter {
		d.r.compact = append(d.r.compact, datastore.ObjectsPrefix(space))
	}
	return d.r.Sync(ctx)
}

// compactAfter is how many dropped rows are worth a compaction.
const compactAfter = 10_000

// buriedKeys finds the next objects with tombstones, and where to go on.
func (d *Dataset) buriedKeys(f crdt.Family, from, limit []byte) (keys []Object, next []byte, err error) {
	last := ""
	err = d.r.store.Scan(from, limit, func(k, v []byte) bool {
		_, key, slot, ok := datastore.SplitObjectKey(k)
		if !ok || !crdt.RowHasTombstone(f, slot, v) || len(keys) > 0 && last == string(key) {
			return true
		}
		if len(keys) == sweepKeys {
			next = append([]byte(nil), k...)
			return false
		}
		last = string(key)
		keys = append(keys, Object{f, last})
		return true
	})
	return keys, next, err
}

// age drops tombstones of some objects, in memory and with the next commit on
// disk.
func (d *Dataset) age(ctx context.Context, f crdt.Family, keys []Object, h crdt.Horizon) (dropped, left int, err error) {
	if len(keys) == 0 {
		return 0, 0, nil
	}
	if err := d.r.queue.admit(ctx); err != nil {
		return 0, 0, err
	}
	objects, err := d.acquireAll(keys)
	if err != nil {
		return 0, 0, fmt.Errorf("age %d objects of %s: %w", len(keys), f, err)
	}
	defer d.release(objects...)
	if err := d.r.enter(); err != nil {
		return 0, 0, err
	}
	defer d.r.cut.RUnlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	if objects[0].cache != d.cache {
		return 0, 0, errStale
	}
	for _, o := range objects {
		n, m := o.state.Age(h)
		if left += m; n > 0 {
			dropped += n
			d.markDirty(o, false)
		}
	}
	d.r.queue.push(64*dropped, 0)
	return dropped, left, nil
}
