package crdt

// The last-writer-wins register: one cell.
//
// Row: slot = empty, cell = the LWW cell

import "fmt"

// RegisterState is one value; the last write wins.
type RegisterState struct{ cell lwwCell }

// Family returns LWWRegister.
func (s *RegisterState) Family() Family { return LWWRegister }

// Get returns the value, which the caller must not change, and whether there
// is one.
func (s *RegisterState) Get() (value []byte, ok bool) { return s.cell.value, !s.cell.dot.IsZero() }

// Stamp returns when and by which op the value was written.
func (s *RegisterState) Stamp() (HLC, Dot) { return s.cell.time, s.cell.dot }

// Set returns the op that writes value. It wins over what is here, whatever
// the clock says. The op aliases value.
func (s *RegisterState) Set(now HLC, value []byte) Op {
	return Op{Kind: Set, Time: s.cell.next(now), Value: value}
}

func (s *RegisterState) join(c *lwwCell) bool {
	if !s.cell.join(c) {
		return false
	}
	s.cell.dirty = true
	return true
}

// Apply joins one op; see Object.
func (s *RegisterState) Apply(author Author, op *Op, _ Version) (bool, error) {
	if err := op.check(LWWRegister, author); err != nil {
		return false, fmt.Errorf("crdt: apply to register: %w", err)
	}
	c := opCell(author, op)
	return s.join(&c), nil
}

// Merge joins another state; see Object.
func (s *RegisterState) Merge(other Object, mine, _ Version) (bool, error) {
	o, ok := other.(*RegisterState)
	if !ok {
		return false, otherFamily(s, other)
	}
	return !mine.Covers(o.cell.dot) && s.join(&o.cell), nil
}

// Age has nothing to forget; see Object.
func (s *RegisterState) Age(Horizon) (dropped, left int) { return 0, 0 }

// readRegister reads a cell of a register, which has no tombstones.
func readRegister(r *reader) (lwwCell, error) {
	c := readLWWCell(r)
	if c.tomb {
		r.fail("tombstone in a register")
	}
	return c, r.end()
}

// Load takes the register's row; see Object.
func (s *RegisterState) Load(slot, cell []byte) error {
	r := reader{b: cell}
	if len(slot) > 0 {
		r.fail("slot not empty")
	}
	c, err := readRegister(&r)
	if err != nil {
		return fmt.Errorf("crdt: load register: %w", err)
	}
	s.cell.join(&c)
	return nil
}

// Loaded ends loading.
func (s *RegisterState) Loaded() error { return nil }

// Flush reports the row if it changed; see Object.
func (s *RegisterState) Flush(put func(slot, cell []byte), _ func(slot []byte)) {
	if s.cell.dirty {
		s.cell.dirty = false
		put(nil, s.cell.append(nil))
	}
}

// Weight is about the bytes in memory.
func (s *RegisterState) Weight() int { return 96 + len(s.cell.value) }
