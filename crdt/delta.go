package crdt

// What the deltas of all families share. A delta starts with the family's
// byte; each family draws the rest where it encodes it.

import "fmt"

// openDelta returns a reader behind the family's byte.
func openDelta(b []byte, f Family) reader {
	r := reader{b: b}
	if r.byte() != byte(f) {
		r.fail("of another family")
	}
	return r
}

// mergeByDelta joins a state by what it has over mine: one way to join, so
// that states and deltas cannot disagree.
func mergeByDelta(o, other Object, mine, theirs Version) (bool, error) {
	if o.Family() != other.Family() {
		return false, fmt.Errorf("crdt: merge %v: other is a %v", o.Family(), other.Family())
	}
	return o.MergeDelta(other.Delta(mine, theirs), mine, theirs)
}
