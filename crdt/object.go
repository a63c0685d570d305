package crdt

// What every family has in common.

import "fmt"

// Object is the state of one CRDT. It is a join semilattice: Apply and Merge
// commute, associate and are idempotent, given causal delivery.
//
// Rows are what a store keeps of an object: slot → cell, in slot order. Only
// the rows that changed are written.
type Object interface {
	Family() Family

	// Apply joins one operation of author. ctx is what the dataset had applied
	// before it: operations of author above ctx[author] are new, and what ctx
	// covers and is not present was removed, so it stays absent. changed
	// reports whether any row changed. err is only for an operation that is
	// malformed or of another family; nothing changed then.
	Apply(author Author, op *Op, ctx Version) (changed bool, err error)

	// Merge joins another replica's whole state. mine and theirs are the
	// causal contexts of the two; what one side lacks although its context
	// covers it was removed there, and maybe forgotten (see Age). What mine covers
	// was applied here: of that nothing is taken, whatever other says of it. other
	// is not changed and nothing of it is kept.
	Merge(other Object, mine, theirs Version) (changed bool, err error)

	// Age forgets the tombstones that h allows, and says how many went and how
	// many are left. When a horizon moves, and when an object is made or
	// loaded, it must be aged before it makes or takes another op: it stamps
	// deletions with the epoch it was told of.
	Age(h Horizon) (dropped, left int)

	// Load takes one stored row; rows come in slot order, into a new object.
	// It copies what it keeps. Rows may be foreign bytes: they are checked,
	// and take memory in proportion.
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
