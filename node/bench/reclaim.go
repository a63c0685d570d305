package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"time"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/crdt/replica"
	"github.com/numax-mesh/numax/datastore"
)

// cutSoon keeps of a log what may still be under way to the other replica: an
// entry that is cut before the other one has it costs it a whole state.
var cutSoon = replica.Retention{Age: 500 * time.Millisecond, Spare: -1, Every: time.Hour}

const (
	reclaimFields = 100  // in a map
	reclaimText   = 1000 // elements of a text
	keepOneIn     = 10
)

// reclaim writes keys on two replicas, half of them map fields, the rest set
// elements and text; deletes nine of ten; and compares what is left on disk with
// a replica that never had more than the rest.
func reclaim(ctx context.Context, dir string, p Params) (Result, error) {
	l := newLink()
	var all []*bare
	for _, name := range []string{"a", "b", "alone"} {
		mesh := l.end(name)
		if name == "alone" {
			mesh = newLink().end(name)
		}
		x, err := openKeeping(filepath.Join(dir, name), name, mesh, cutSoon)
		if err != nil {
			return nil, err
		}
		defer x.close()
		all = append(all, x)
	}
	a, b, alone := all[0], all[1], all[2]
	l.join(a, b)
	began := time.Now()
	if err := a.fillWith(ctx, p, false); err != nil {
		return nil, err
	}
	if err := b.inc(ctx, "b writes too"); err != nil {
		return nil, err
	}
	if err := soon(ctx, func() (bool, error) { return same(a, b), nil }); err != nil {
		return nil, err
	}
	if err := settleDisk(ctx, a, b); err != nil {
		return nil, err
	}
	full := a.store.Size()
	if err := a.thinOut(ctx, p); err != nil {
		return nil, err
	}
	if err := soon(ctx, func() (bool, error) { return same(a, b), nil }); err != nil {
		return nil, err
	}
	var r Result
	r.work(p.Keys+p.Keys*(keepOneIn-1)/keepOneIn, time.Since(began))
	before := a.store.Size()
	began = time.Now()
	if err := settleDisk(ctx, a, b); err != nil {
		return nil, err
	}
	r.time("acknowledging, dropping, compacting", time.Since(began))
	left, err := a.sizeOnDisk()
	if err != nil {
		return nil, err
	}
	if err := alone.fillWith(ctx, p, true); err != nil {
		return nil, err
	}
	if err := settleDisk(ctx, alone); err != nil {
		return nil, err
	}
	live, err := alone.sizeOnDisk()
	if err != nil {
		return nil, err
	}
	r.bytes("on disk with all of it, compacted", full)
	r.bytes("on disk after deleting nine of ten", before)
	r.bytes("on disk after upkeep", left)
	r.resident(ownResidentBytes())
	r.of("a replica that had only the rest", Bytes, float64(live), float64(left))
	return r, nil
}

// settleDisk does upkeep until the replicas are equal and there is nothing to do
// any more: no removed field is remembered and no log is left.
func settleDisk(ctx context.Context, all ...*bare) error {
	err := soon(ctx, func() (bool, error) {
		done := true
		for _, x := range all {
			x.Upkeep(ctx)
			if err := x.Sync(ctx); err != nil {
				return false, err
			}
			left, err := x.reclaimable()
			if err != nil {
				return false, err
			}
			done = done && !left && same(all[0], x)
		}
		return done, nil
	})
	if err != nil {
		return err
	}
	for _, x := range all {
		if err := x.store.Compact(nil); err != nil {
			return err
		}
	}
	return nil
}

// reclaimable reports whether an entry of a log or a removed field is on disk.
func (b *bare) reclaimable() (left bool, err error) {
	err = datastore.ScanPrefix(b.store, datastore.EntryPrefix(b.data.ID(), nil), func(_, _ []byte) bool {
		left = true
		return false
	})
	if left || err != nil {
		return left, err
	}
	err = b.store.Scan(nil, nil, func(k, v []byte) bool {
		f, _, slot, ok := datastore.SplitObjectKey(k)
		left = ok && crdt.Family(f) == crdt.LWWMap && crdt.RowHasTombstone(crdt.LWWMap, slot, v)
		return !left
	})
	return left, err
}

// sizeOnDisk is the size of a replica's store that is closed and opened again:
// LevelDB removes tables of no use a little late.
func (b *bare) sizeOnDisk() (int64, error) {
	b.close()
	store, err := datastore.Open(b.store.Dir(), datastore.Options{})
	if err != nil {
		return 0, err
	}
	n := store.Size()
	return n, store.Close()
}

// fillWith writes the keys, or only those that thinOut leaves.
func (b *bare) fillWith(ctx context.Context, p Params, rest bool) error {
	rng := rand.New(rand.NewPCG(1, 1)) // values that do not compress
	value := func(n int) []byte {
		v := make([]byte, n)
		for i := range v {
			v[i] = byte(rng.Uint32())
		}
		return v
	}
	update := func(f crdt.Family, key string, make func(crdt.Object, replica.Now) crdt.Op) error {
		_, err := b.data.Update(ctx, f, key, func(o crdt.Object, now replica.Now) (crdt.Op, bool) { return make(o, now), true })
		return err
	}
	for i := range p.Keys / 2 {
		if rest && i%keepOneIn != 0 {
			continue
		}
		v := value(p.ValueSize)
		if err := update(crdt.LWWMap, fmt.Sprint("map ", i/reclaimFields), func(o crdt.Object, now replica.Now) crdt.Op {
			return o.(*crdt.MapState).Set(now.Time, fmt.Append(nil, "field ", i), v)
		}); err != nil {
			return err
		}
	}
	for i := range p.Keys / 4 {
		if rest && i%keepOneIn != 0 {
			continue
		}
		if err := update(crdt.ORSet, fmt.Sprint("set ", i/reclaimFields), func(o crdt.Object, _ replica.Now) crdt.Op {
			return o.(*crdt.SetState).Add(fmt.Append(nil, "element ", i))
		}); err != nil {
			return err
		}
	}
	for i := 0; i < p.Keys/4; i += reclaimText {
		n := reclaimText
		if rest {
			n /= keepOneIn
		}
		text := make([][]byte, n)
		for k := range text {
			text[k] = value(1)
		}
		if err := update(crdt.Sequence, fmt.Sprint("text ", i), func(o crdt.Object, _ replica.Now) crdt.Op {
			return o.(*crdt.SequenceState).InsertAt(0, text)
		}); err != nil {
			return err
		}
	}
	return b.Sync(ctx)
}

// thinOut deletes nine of ten.
func (b *bare) thinOut(ctx context.Context, p Params) error {
	update := func(f crdt.Family, key string, make func(crdt.Object, replica.Now) (crdt.Op, bool)) error {
		_, err := b.data.Update(ctx, f, key, make)
		return err
	}
	for i := range p.Keys / 2 {
		if i%keepOneIn == 0 {
			continue
		}
		if err := update(crdt.LWWMap, fmt.Sprint("map ", i/reclaimFields), func(o crdt.Object, now replica.Now) (crdt.Op, bool) {
			return o.(*crdt.MapState).Remove(now.Time, fmt.Append(nil, "field ", i)), true
		}); err != nil {
			return err
		}
	}
	for i := range p.Keys / 4 {
		if i%keepOneIn == 0 {
			continue
		}
		if err := update(crdt.ORSet, fmt.Sprint("set ", i/reclaimFields), func(o crdt.Object, _ replica.Now) (crdt.Op, bool) {
			return o.(*crdt.SetState).Remove(fmt.Append(nil, "element ", i))
		}); err != nil {
			return err
		}
	}
	for i := 0; i < p.Keys/4; i += reclaimText {
		for at := range reclaimText / keepOneIn { // nine of each ten elements, as one edits
			if err := update(crdt.Sequence, fmt.Sprint("text ", i), func(o crdt.Object, _ replica.Now) (crdt.Op, bool) {
				return o.(*crdt.SequenceState).DeleteRange(at+1, keepOneIn-1), true
			}); err != nil {
				return err
			}
		}
	}
	return b.Sync(ctx)
}
