package crdt

// Rows of another replica's state.

import (
	"errors"
	"fmt"
)

var errBeyond = errors.New("row of an op that the state does not contain")

// CheckRow reports what makes a row of another replica's state impossible, as far
// as that shows without the rest of the object: it names an op that version, which
// the state says it contains, does not cover. What else a row says is checked when
// it is loaded. Deletions of elements that have not come yet name what they like.
func CheckRow(f Family, slot, cell []byte, version Version) error {
	r := reader{b: cell}
	var last Dot
	switch {
	case f == GCounter || f == PNCounter:
		a, err := AuthorFromBytes(slot)
		if err != nil {
			return err
		}
		last = Dot{a, r.seq()}
	case f == LWWRegister || f == LWWMap && len(slot) > 0 && slot[0] == rowField:
		c := readLWWCell(&r)
		last = c.dot
	case f == ORSet && len(slot) >= dotSlotSize:
		last = slotDot(slot[len(slot)-dotSlotSize:])
	case f == Sequence && len(slot) == 1+dotSlotSize && slot[0] == rowSpan:
		last = slotDot(slot[1:])
		r.take(AuthorSize * r.count(AuthorSize))
		n := r.upTo(MaxSpan)
		if r.err == nil && (n == 0 || last.Seq > MaxSeq-n) {
			r.fail("span out of range")
		}
		last.Seq += max(n, 1) - 1
	default:
		return nil
	}
	if r.err != nil {
		return r.err
	}
	if last.Author.IsZero() || !version.Covers(last) {
		return fmt.Errorf("%w: %v", errBeyond, last)
	}
	return nil
}
