package crdt

// What every family has in common.

import "fmt"

// Object is the state of one CRDT. It is a join semilattice: Apply, Merge and
// MergeDelta commute, associate and are idempotent, given causal delivery.
//
// Rows are what a store keeps of an object: slot → cell, in slot order. Only
// the rows that changed are written.
type Object interface {
	Family() Family

	// Apply joins one operation of author. ctx is what the dataset had applied
	// before it: operations of author above ctx[author] are new, and an ORSet
	// add that ctx covers and that is not present was removed, so it stays
	// absent. changed reports whether any row changed. err is only for an
	// operation that is malformed or of another family; nothing changed then.
	Apply(author Author, op *Op, ctx Version) (changed bool, err error)

	// Merge joins another replica's state. mine and theirs are the causal
	// contexts of the two. other is not changed and nothing of it is kept.
	Merge(other Object, mine, theirs Version) (changed bool, err error)

	// Delta encodes what changed after since, for a replica that has at least
	// since; ctx is the context of this state. Delta(nil, ctx) is all of it.
	// Equal states may encode differently.
	Delta(since, ctx Version) []byte

	// MergeDelta joins what Delta encoded; mine must dominate the since it was
	// made for, theirs is the ctx it was made with. A malformed delta is an
	// error and changes nothing.
	MergeDelta(delta []byte, mine, theirs Version) (changed bool, err error)

	// Load takes one stored row; rows come in slot order, into a new object.
	// It copies what it keeps.
	Load(slot, cell []byte) error

	// Loaded ends loading and builds what is derived from the rows.
	Loaded() error

	// Flush reports the rows that changed since the last Flush. The slices
	// are valid during the call only.
	Flush(put func(slot, cell []byte), del func(slot []byte))

	// Weight is about how many bytes the object takes in memory.
	Weight() int
}

// New returns an empty object.
func New(f Family) (Object, error) {
	switch f {
	case GCounter:
		return newGCounter(), nil
	case PNCounter:
		return newPNCounter(), nil
	case LWWRegister:
		return &RegisterState{}, nil
	case LWWMap:
		return newMap(), nil
	case ORSet:
		return newSet(), nil
	case Sequence:
		return newSequence(), nil
	}
	return nil, fmt.Errorf("crdt: new object: %v is unknown", f)
}
