package crdt

// Counters: one cell an author, holding the author's running totals.
//
// Row: slot = author (40), cell = | seq varint | P varint | N varint |
//
// A GCounter's N is always 0 and is written too: one byte buys one format.

import (
	"fmt"
	"math"
	"math/bits"
)

// counterCell joins by the maximum of each part, so that a total never falls,
// whatever an author sends.
type counterCell struct {
	seq, p, n uint64
	dirty     bool
}

// counter is what both counter families share.
type counter struct {
	family Family
	cells  map[Author]*counterCell
	dirty  []Author

	lastAuthor Author // the cell written last: ops come in runs of one author
	last       *counterCell
}

const counterWeight = 96 // bytes a cell takes, with its place in the map

func newCounter(f Family) counter { return counter{family: f, cells: map[Author]*counterCell{}} }

func (c *counter) Family() Family { return c.family }

func (c *counter) Loaded() error { return nil }

func (c *counter) Weight() int { return counterWeight * (len(c.cells) + 1) }

// cell returns the author's cell, made if there is none.
func (c *counter) cell(a Author) *counterCell {
	if a == c.lastAuthor && c.last != nil {
		return c.last
	}
	x := c.cells[a]
	if x == nil {
		x = &counterCell{}
		c.cells[a] = x
	}
	c.lastAuthor, c.last = a, x
	return x
}

func (c *counter) join(a Author, seq, p, n uint64) bool {
	x := c.cell(a)
	if seq <= x.seq && p <= x.p && n <= x.n {
		return false
	}
	x.seq, x.p, x.n = max(x.seq, seq), max(x.p, p), max(x.n, n)
	if !x.dirty {
		x.dirty = true
		c.dirty = append(c.dirty, a)
	}
	return true
}

func (c *counter) Apply(author Author, op *Op, _ Version) (bool, error) {
	if err := op.check(c.family, author); err != nil {
		return false, fmt.Errorf("crdt: apply to %v: %w", c.family, err)
	}
	return c.join(author, op.Seq, op.P, op.N), nil
}

// counters lets a state of either family join another of its own.
func (c *counter) counters() *counter { return c }

func (c *counter) Merge(other Object, mine, _ Version) (bool, error) {
	o, ok := other.(interface{ counters() *counter })
	if !ok || other.Family() != c.family {
		return false, otherFamily(c, other)
	}
	changed := false
	for a, x := range o.counters().cells {
		if x.seq > mine[a] { // else it was applied here, whatever the other says of it
			changed = c.join(a, x.seq, x.p, x.n) || changed
		}
	}
	return changed, nil
}

func (c *counter) Age(Horizon) (dropped, left int) { return 0, 0 }

func (x *counterCell) append(dst []byte) []byte {
	return appendUint(appendUint(appendUint(dst, x.seq), x.p), x.n)
}

func (c *counter) readN(r *reader) uint64 {
	n := r.uint()
	if n != 0 && c.family == GCounter {
		r.fail("a grow-only counter counts down")
	}
	return n
}

func (c *counter) Load(slot, cell []byte) error {
	a, err := AuthorFromBytes(slot)
	r := reader{b: cell}
	x := counterCell{seq: r.seq(), p: r.uint(), n: c.readN(&r)}
	if a.IsZero() {
		r.fail("no author")
	}
	if err == nil {
		err = r.end()
	}
	if err != nil {
		return fmt.Errorf("crdt: load %v: %w", c.family, err)
	}
	*c.cell(a) = x
	return nil
}

func (c *counter) Flush(put func(slot, cell []byte), _ func(slot []byte)) {
	var slot, cell []byte
	for _, a := range c.dirty {
		x := c.cells[a]
		slot, cell = a.Append(slot[:0]), x.append(cell[:0])
		x.dirty = false
		put(slot, cell)
	}
	c.dirty = c.dirty[:0]
}

// sums returns both totals over all authors, saturating.
func (c *counter) sums() (p, n uint64) {
	for _, x := range c.cells {
		p, n = addSaturating(p, x.p), addSaturating(n, x.n)
	}
	return p, n
}

func addSaturating(a, b uint64) uint64 {
	sum, carry := bits.Add64(a, b, 0)
	if carry != 0 {
		return math.MaxUint64
	}
	return sum
}

// GCounterState is a counter that only grows.
type GCounterState struct{ counter }

func newGCounter() *GCounterState { return &GCounterState{newCounter(GCounter)} }

// Value returns the sum of all increments; it saturates.
func (s *GCounterState) Value() uint64 {
	p, _ := s.sums()
	return p
}

// Inc returns the op by which a adds delta. The author's total saturates.
func (s *GCounterState) Inc(a Author, delta uint64) Op {
	op := Op{Kind: Inc, P: delta}
	if x := s.cells[a]; x != nil {
		op.P = addSaturating(x.p, delta)
	}
	return op
}

// PNCounterState is a counter that grows and shrinks.
type PNCounterState struct{ counter }

func newPNCounter() *PNCounterState { return &PNCounterState{newCounter(PNCounter)} }

// Value returns increments minus decrements, clamped to the range of int64.
func (s *PNCounterState) Value() int64 {
	p, n := s.sums()
	if p >= n {
		return int64(min(p-n, math.MaxInt64))
	}
	if n-p > math.MaxInt64 {
		return math.MinInt64
	}
	return -int64(n - p)
}

// Inc returns the op by which a adds delta. The author's totals saturate.
func (s *PNCounterState) Inc(a Author, delta uint64) Op { return s.count(Inc, a, delta, 0) }

// Dec returns the op by which a takes delta away.
func (s *PNCounterState) Dec(a Author, delta uint64) Op { return s.count(Dec, a, 0, delta) }

func (s *PNCounterState) count(k Kind, a Author, p, n uint64) Op {
	op := Op{Kind: k, P: p, N: n}
	if x := s.cells[a]; x != nil {
		op.P, op.N = addSaturating(x.p, p), addSaturating(x.n, n)
	}
	return op
}
