package crdt

// Tombstones and when they may be forgotten. What is stable is for the replica
// to find out, from the versions that authors sign; an object only obeys.

import "fmt"

// Horizon says which tombstones an object may forget. No part of it ever moves
// back.
type Horizon struct {
	// Maps: removals covered by Stable are known to every author, and so is,
	// here, all they wrote before they knew. Sequences: dots covered by it
	// that are not in the list will never be.
	Stable Version
	Before HLC // maps: only tombstones below it, so that no stamp from the future becomes the floor

	// Sequences. Epochs are counted by each replica for itself, from 1, and
	// mean nothing to another: Merge gives what it deletes the epoch of here,
	// while foreign rows, once loaded, keep those they say.
	//
	// No local insert names an element deleted up to Dead as its origin, unless
	// others that are not dead hang on it; Dead is below Epoch, and Gone at
	// most Dead. Elements deleted up to Gone may be dropped.
	Epoch uint32 // of deletions from now on
	Dead  uint32
	Gone  uint32
}

// RowHasTombstone reports whether a row holds something that Age may forget,
// now or later; false for rows that make no sense.
func RowHasTombstone(f Family, slot, cell []byte) bool {
	r := reader{b: cell}
	switch f {
	case LWWMap:
		if len(slot) == 0 || slot[0] != rowField {
			return false
		}
		r.take(8 + AuthorSize)
		r.uint()
		return r.byte() == 1
	case Sequence:
		return len(slot) > 0 && (slot[0] == rowGrave || slot[0] == rowSpan && spanHasDeleted(&r))
	}
	return false
}

func otherFamily(o, other Object) error {
	return fmt.Errorf("crdt: merge %v: other is a %v", o.Family(), other.Family())
}
