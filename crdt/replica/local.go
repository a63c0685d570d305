package replica

import (
	"context"
	"errors"
	"fmt"

	"github.com/numax-mesh/numax/crdt"
)

// Limits of what a local write may hold; crdt's decoder enforces the same.
var errTooLarge = errors.New("replica: a key has at most 8 KiB, a value 1 MiB, and an op names at most some 40,000 runs of elements")

// Now is what a local op is made with.
type Now struct {
	Author crdt.Author
	Time   crdt.HLC
}

// Update applies one local op to an object. make is given the object as it is
// now and returns the op, or false for nothing to do; it must not change the
// object, nor keep it. Update returns when the op is applied in memory, with
// its dot; Sync waits for the disk. ErrBusy means that nothing was changed.
func (d *Dataset) Update(ctx context.Context, family crdt.Family, key string, make func(crdt.Object, Now) (crdt.Op, bool)) (crdt.Dot, error) {
	if len(key) > crdt.MaxKey {
		return crdt.Dot{}, errTooLarge
	}
	if err := d.r.queue.admit(ctx); err != nil {
		return crdt.Dot{}, err
	}
	for {
		o, err := d.acquire(family, key)
		if err != nil {
			return crdt.Dot{}, err
		}
		dot, err := d.update(o, make)
		d.release(o)
		switch {
		case errors.Is(err, errRotating):
			if err := d.r.Sync(ctx); err != nil {
				return crdt.Dot{}, err
			}
		case !errors.Is(err, errStale):
			return dot, err
		}
	}
}

var (
	// errStale means that the object is not the dataset's any more.
	errStale = errors.New("replica: stale object")
	// errRotating means that nobody takes entries of our author any more; the
	// commit that is due makes us another.
	errRotating = errors.New("replica: about to be a new author")
)

func (d *Dataset) update(o *object, make func(crdt.Object, Now) (crdt.Op, bool)) (crdt.Dot, error) {
	now := Now{Time: d.r.stamp()}
	if err := d.r.enter(); err != nil {
		return crdt.Dot{}, err
	}
	defer d.r.cut.RUnlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case o.cache != d.cache:
		return crdt.Dot{}, errStale
	case d.isForked(d.self):
		return crdt.Dot{}, errRotating
	}
	if err := d.mayWrite(); err != nil {
		return crdt.Dot{}, err
	}
	now.Author = d.self
	op, ok := make(o.state, now)
	if !ok {
		return crdt.Dot{}, nil
	}
	op.Seq = d.applied[d.self] + 1
	size := opWeight(o.key, &op)
	if size > maxOp {
		return crdt.Dot{}, errTooLarge
	}
	if _, err := o.state.Apply(d.self, &op, d.applied); err != nil {
		return crdt.Dot{}, fmt.Errorf("replica: %s %q: %w", o.family, o.key, err)
	}
	d.bury(d.self, o.family, []crdt.Op{op})
	d.applied[d.self] = op.Seq + op.Width() - 1
	d.ops = append(d.ops, localOp{family: o.family, key: o.key, op: op, size: d.opSize(o, &op)})
	d.markDirty(o, false)
	d.r.queue.push(size, d.ops[len(d.ops)-1].size)
	return crdt.Dot{Author: d.self, Seq: op.Seq}, nil
}

// View gives read an object as it is now, with everything written before in
// this process. read must not change the object, nor keep it.
func (d *Dataset) View(family crdt.Family, key string, read func(crdt.Object)) error {
	o, err := d.acquire(family, key)
	if err != nil {
		return err
	}
	defer d.release(o)
	d.mu.Lock()
	defer d.mu.Unlock()
	read(o.state)
	return nil
}

// markDirty notes a change of an object. d.mu is held.
func (d *Dataset) markDirty(o *object, remote bool) {
	d.notify(Object{o.family, o.key}, remote)
	if !o.dirty {
		o.dirty = true
		d.dirty = append(d.dirty, o)
	}
}

// opWeight is about what an op takes in memory, and at most what it takes in an
// entry.
func opWeight(key string, op *crdt.Op) int {
	n := 32 + len(key) + len(op.Field) + len(op.Value) + 50*len(op.Dots)
	for _, v := range op.Values {
		n += len(v) + 2
	}
	return n
}

// opSize is about what an op takes in an entry, behind the last one: ops on one
// object share its key, and numbers cost little where they go on as expected.
func (d *Dataset) opSize(o *object, op *crdt.Op) int {
	n := 4 + len(op.Field) + len(op.Value) + 8*len(op.Dots)
	for _, v := range op.Values {
		n += len(v)
	}
	if last := len(d.ops) - 1; last < 0 || d.ops[last].key != o.key || d.ops[last].family != o.family {
		n += len(o.key) + 8
	}
	return n
}

// Element finds the dot that an element id means. Ids that no element can have
// are not ok.
func (d *Dataset) Element(id string) (dot crdt.Dot, ok bool) {
	h, seq, ok := parseElementID(id)
	if !ok {
		return crdt.Dot{}, false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	a, ok := d.hashes[h]
	return crdt.Dot{Author: a, Seq: seq}, ok
}

// DeleteElement deletes a sequence element by its id. The deletion of an
// element that is not here yet is remembered; one whose author nobody here has
// heard of is kept on this node until its first entry comes.
func (d *Dataset) DeleteElement(ctx context.Context, key, id string) error {
	if dot, ok := d.Element(id); ok {
		_, err := d.Update(ctx, crdt.Sequence, key, func(o crdt.Object, _ Now) (crdt.Op, bool) {
			return o.(*crdt.SequenceState).Delete(crdt.DotRun{Author: dot.Author, First: dot.Seq, Len: 1}), true
		})
		return err
	}
	h, _, ok := parseElementID(id)
	if err := d.r.queue.admit(ctx); err != nil || !ok {
		return err // no element will ever have an id that is not ok
	}
	if err := d.r.enter(); err != nil {
		return err
	}
	d.mu.Lock()
	_, came := d.hashes[h] // since we looked
	if !came {
		d.intend(h, intent{id, key})
	}
	d.mu.Unlock()
	d.r.cut.RUnlock()
	if came {
		return d.DeleteElement(ctx, key, id)
	}
	return nil
}
