package crdt

// The last-writer-wins map: one cell a field. A removed field keeps a
// tombstone, also if it was never set: a remove must win over an older set
// that arrives later.
//
//	slot | 1 | field … |  cell = the LWW cell
//	slot | 0 |            cell | floor 8 BE |, if anything was forgotten
//
// The floor is the highest stamp of the tombstones that Age forgot. Whoever
// still has one of them must see a later set win, so every set of an absent
// field is stamped above the floor, whatever the clock says; as it would be if
// the tombstone were here.

import (
	"encoding/binary"
	"fmt"
)

const (
	rowFloor = 0
	rowField = 1
)

// MapState is fields with values; the last write of a field wins.
type MapState struct {
	cells map[string]*mapCell
	order sortedKeys
	dirty []*mapCell
	gone  map[string]struct{} // forgotten, their rows still to be deleted

	floor      HLC
	floorDirty bool

	live   int
	weight int
}

type mapCell struct {
	field string
	lwwCell
}

const mapWeight = 160 // bytes a field takes besides its name and value

func newMap() *MapState { return &MapState{cells: map[string]*mapCell{}} }

// Family returns LWWMap.
func (s *MapState) Family() Family { return LWWMap }

// Get returns the value of a field, which the caller must not change, and
// whether the field is present.
func (s *MapState) Get(field []byte) ([]byte, bool) {
	c := s.cells[string(field)]
	if c == nil || c.tomb {
		return nil, false
	}
	return c.value, true
}

// Len returns how many fields are present.
func (s *MapState) Len() int { return s.live }

// Range calls f for each field present, in the order of their bytes, until it
// returns false. f must not keep or change what it is given.
func (s *MapState) Range(f func(field, value []byte) bool) {
	var buf []byte
	for _, k := range s.order.keys() {
		if c := s.cells[k]; !c.tomb {
			if buf = append(buf[:0], k...); !f(buf, c.value) {
				return
			}
		}
	}
}

// Set returns the op that writes a field; it wins over what is here. The op
// aliases its arguments.
func (s *MapState) Set(now HLC, field, value []byte) Op {
	return Op{Kind: Set, Time: s.next(now, field), Field: field, Value: value}
}

// Remove returns the op that removes a field; it wins over what is here.
func (s *MapState) Remove(now HLC, field []byte) Op {
	return Op{Kind: Remove, Time: s.next(now, field), Field: field}
}

func (s *MapState) next(now HLC, field []byte) HLC {
	if c := s.cells[string(field)]; c != nil {
		return c.next(now)
	}
	return min(max(now, s.floor+1), MaxStamp)
}

func (s *MapState) raiseFloor(t HLC) bool {
	if t <= s.floor {
		return false
	}
	s.floor, s.floorDirty = t, true
	return true
}

func (s *MapState) join(field []byte, w *lwwCell) *mapCell {
	c := s.cells[string(field)]
	if c == nil {
		c = &mapCell{field: string(field)}
		c.tomb = true // absent until the join below
		s.cells[c.field] = c
		delete(s.gone, c.field)
		s.order.add(c.field)
		s.weight += mapWeight + len(field)
	}
	wasLive, was := !c.tomb, len(c.value)
	if !c.join(w) {
		return nil
	}
	s.weight += len(c.value) - was
	if wasLive {
		s.live--
	}
	if !c.tomb {
		s.live++
	}
	return c
}

func (s *MapState) joinDirty(field []byte, w *lwwCell) bool {
	c := s.join(field, w)
	if c == nil {
		return false
	}
	if !c.dirty {
		c.dirty = true
		s.dirty = append(s.dirty, c)
	}
	return true
}

// Apply joins one op; see Object.
func (s *MapState) Apply(author Author, op *Op, _ Version) (bool, error) {
	if err := op.check(LWWMap, author); err != nil {
		return false, fmt.Errorf("crdt: apply to map: %w", err)
	}
	c := opCell(author, op)
	return s.joinDirty(op.Field, &c), nil
}

// Merge joins another state; see Object.
func (s *MapState) Merge(other Object, mine, theirs Version) (bool, error) {
	o, ok := other.(*MapState)
	if !ok {
		return false, otherFamily(s, other)
	}
	before := len(s.cells)
	for field, c := range s.cells {
		if o.cells[field] == nil && theirs.Covers(c.dot) {
			s.forget(c)
		}
	}
	changed := s.forgotten(before) > 0
	changed = s.raiseFloor(o.floor) || changed
	for field, c := range o.cells {
		if !mine.Covers(c.dot) { // else it was applied here, and lost or was removed
			changed = s.joinDirty([]byte(field), &c.lwwCell) || changed
		}
	}
	return changed, nil
}

// Age forgets tombstones; see Object. A removal that everybody knows has
// nothing left to win against but later sets, which are stamped above it.
func (s *MapState) Age(h Horizon) (dropped, left int) {
	if s.live < len(s.cells) {
		before := len(s.cells)
		for _, c := range s.cells {
			if c.tomb && c.time < min(h.Before, MaxStamp) && h.Stable.Covers(c.dot) {
				s.raiseFloor(c.time)
				s.forget(c)
			}
		}
		dropped = s.forgotten(before)
	}
	return dropped, len(s.cells) - s.live
}

// forget drops a field; forgotten must follow.
func (s *MapState) forget(c *mapCell) {
	delete(s.cells, c.field)
	c.dirty = false
	s.weight -= mapWeight + len(c.field) + len(c.value)
	if !c.tomb {
		s.live--
	}
	if s.gone == nil {
		s.gone = map[string]struct{}{}
	}
	s.gone[c.field] = struct{}{}
}

// forgotten takes the fields that left out of the order and counts them.
func (s *MapState) forgotten(before int) int {
	n := before - len(s.cells)
	if n > 0 {
		s.order.filter(func(k string) bool { return s.cells[k] != nil })
	}
	return n
}

// Load takes the row of one field; see Object.
func (s *MapState) Load(slot, cell []byte) error {
	r := reader{b: cell}
	var c lwwCell
	var floor HLC
	switch {
	case len(slot) == 1 && slot[0] == rowFloor:
		if b := r.take(8); b != nil {
			floor = HLC(binary.BigEndian.Uint64(b))
		}
		if floor >= MaxStamp {
			r.fail("floor too high")
		}
	case len(slot) > 0 && len(slot) <= 1+MaxField && slot[0] == rowField:
		c = readLWWCell(&r)
	default:
		r.fail("bad slot")
	}
	if err := r.end(); err != nil {
		return fmt.Errorf("crdt: load map: %w", err)
	}
	if slot[0] == rowFloor {
		s.floor = floor
	} else {
		s.join(slot[1:], &c)
	}
	return nil
}

// Loaded ends loading.
func (s *MapState) Loaded() error { return nil }

// Flush reports the rows that changed; see Object.
func (s *MapState) Flush(put func(slot, cell []byte), del func(slot []byte)) {
	var slot, cell []byte
	if s.floorDirty {
		s.floorDirty = false
		put([]byte{rowFloor}, binary.BigEndian.AppendUint64(nil, uint64(s.floor)))
	}
	for field := range s.gone {
		slot = append(append(slot[:0], rowField), field...)
		del(slot)
	}
	clear(s.gone)
	for _, c := range s.dirty {
		if !c.dirty {
			continue // forgotten since
		}
		c.dirty = false
		slot, cell = append(append(slot[:0], rowField), c.field...), c.append(cell[:0])
		put(slot, cell)
	}
	clear(s.dirty)
	s.dirty = s.dirty[:0]
}

// Weight is about the bytes in memory.
func (s *MapState) Weight() int { return 128 + s.weight }
