package crdt

// The observed-remove set without tombstones (ORSWOT, Bieniusa et al. 2012):
// a dot for each live add. What was removed is known by its absence from a
// state whose context covers it.
//
// Row: slot = element ‖ author (40) ‖ seq (8 BE), cell = empty: one row a live
// dot. The dot has a fixed length, so the element needs no escape.

import (
	"encoding/binary"
	"fmt"
	"slices"
)

const dotSlotSize = AuthorSize + 8

// setElem holds the live dots of an element: almost always one.
type setElem struct {
	key  string
	dot  Dot
	more []Dot
}

func (e *setElem) each(f func(Dot)) {
	f(e.dot)
	for _, d := range e.more {
		f(d)
	}
}

func (e *setElem) any(f func(Dot) bool) bool { return f(e.dot) || slices.ContainsFunc(e.more, f) }

func (e *setElem) has(d Dot) bool { return e.dot == d || slices.Contains(e.more, d) }

// setRow is a row to write: put if live, deleted otherwise.
type setRow struct {
	elem string
	live bool
}

// SetState is a set of byte strings; an add wins over a concurrent remove.
type SetState struct {
	elems  map[string]*setElem
	order  sortedKeys // may hold elements that are gone
	dots   int
	dirty  map[Dot]setRow
	weight int
}

const setWeight = 128 // bytes an element takes besides its name

func newSet() *SetState {
	return &SetState{elems: map[string]*setElem{}, dirty: map[Dot]setRow{}}
}

// Family returns ORSet.
func (s *SetState) Family() Family { return ORSet }

// Contains reports whether elem is present.
func (s *SetState) Contains(elem []byte) bool {
	_, ok := s.elems[string(elem)]
	return ok
}

// Len returns how many elements are present.
func (s *SetState) Len() int { return len(s.elems) }

// Range calls f for each element, in the order of their bytes, until it
// returns false. f must not keep or change what it is given.
func (s *SetState) Range(f func(elem []byte) bool) {
	var buf []byte
	for _, k := range s.keys() {
		if buf = append(buf[:0], k...); !f(buf) {
			return
		}
	}
}

// keys returns the elements in order. The keys of removed elements stay in
// the list until it is wanted; an element added again is then in it twice.
func (s *SetState) keys() []string {
	all := s.order.keys()
	if len(all) == len(s.elems) {
		return all
	}
	s.order.all = slices.Compact(all)
	s.order.sorted = len(s.order.all)
	s.order.filter(func(k string) bool { _, ok := s.elems[k]; return ok })
	return s.order.all
}

// Add returns the op that adds elem in place of the dots it has here. The op
// aliases elem.
func (s *SetState) Add(elem []byte) Op { return Op{Kind: Add, Field: elem, Dots: s.runs(elem)} }

// Remove returns the op that removes the dots elem has here; false if it has
// none, and there is nothing to do.
func (s *SetState) Remove(elem []byte) (Op, bool) {
	runs := s.runs(elem)
	return Op{Kind: Remove, Field: elem, Dots: runs}, len(runs) > 0
}

func (s *SetState) runs(elem []byte) []DotRun {
	e, ok := s.elems[string(elem)]
	if !ok {
		return nil
	}
	dots := make([]Dot, 0, 1+len(e.more))
	e.each(func(d Dot) { dots = append(dots, d) })
	return runsOf(dots)
}

// insert adds a dot to elem, which e is if it is present. It returns the
// element, nil if the dot was there.
func (s *SetState) insert(e *setElem, elem []byte, d Dot) *setElem {
	switch {
	case e == nil:
		e = &setElem{key: string(elem), dot: d}
		s.elems[e.key] = e
		if len(s.order.all) > 2*len(s.elems)+64 {
			s.keys() // keys of removed elements piled up
		}
		s.order.add(e.key)
		s.weight += setWeight + len(e.key)
	case e.has(d):
		return nil
	default:
		e.more = append(e.more, d)
	}
	s.dots++
	return e
}

func (s *SetState) add(e *setElem, elem []byte, d Dot) bool {
	if e = s.insert(e, elem, d); e == nil {
		return false
	}
	s.dirty[d] = setRow{e.key, true}
	return true
}

// drop removes the dots of e for which gone is true; e leaves the set with its
// last dot.
func (s *SetState) drop(e *setElem, gone func(Dot) bool) bool {
	if !e.any(gone) {
		return false
	}
	var keep []Dot
	e.each(func(d Dot) {
		if !gone(d) {
			keep = append(keep, d)
			return
		}
		s.dots--
		if s.dirty[d].live {
			delete(s.dirty, d) // never reached a row
		} else {
			s.dirty[d] = setRow{e.key, false}
		}
	})
	if len(keep) == 0 {
		delete(s.elems, e.key)
		s.weight -= setWeight + len(e.key)
		return true
	}
	e.dot, e.more = keep[0], keep[1:]
	return true
}

// Apply joins one op; see Object.
func (s *SetState) Apply(author Author, op *Op, ctx Version) (bool, error) {
	if err := op.check(ORSet, author); err != nil {
		return false, fmt.Errorf("crdt: apply to set: %w", err)
	}
	// An add also replaces the author's own older dots, listed or not: so an
	// element has at most one dot an author, whatever an author sends.
	gone := func(d Dot) bool {
		return op.Kind == Add && d.Author == author && d.Seq < op.Seq ||
			slices.ContainsFunc(op.Dots, func(r DotRun) bool { return r.Contains(d) })
	}
	e := s.elems[string(op.Field)]
	changed := e != nil && s.drop(e, gone)
	if d := (Dot{author, op.Seq}); op.Kind == Add && !ctx.Covers(d) {
		if changed {
			e = s.elems[string(op.Field)] // gone, maybe
		}
		changed = s.add(e, op.Field, d) || changed
	}
	return changed, nil
}

// Merge joins another state; see Object.
func (s *SetState) Merge(other Object, mine, theirs Version) (bool, error) {
	o, ok := other.(*SetState)
	if !ok {
		return false, otherFamily(s, other)
	}
	changed := false
	for key, e := range s.elems {
		x := o.elems[key]
		changed = s.drop(e, func(d Dot) bool { // covered and absent: removed there
			return theirs.Covers(d) && (x == nil || !x.has(d))
		}) || changed
	}
	for key, x := range o.elems {
		x.each(func(d Dot) {
			if !mine.Covers(d) { // covered and absent: removed here
				changed = s.add(s.elems[key], []byte(key), d) || changed
			}
		})
	}
	return changed, nil
}

// Age has nothing to forget: there are no tombstones.
func (s *SetState) Age(Horizon) (dropped, left int) { return 0, 0 }

// Load takes the row of one live dot; see Object.
func (s *SetState) Load(slot, cell []byte) error {
	n := len(slot) - dotSlotSize
	if n < 0 || n > MaxField || len(cell) > 0 {
		return fmt.Errorf("crdt: load set: row of %d and %d bytes", len(slot), len(cell))
	}
	d := slotDot(slot[n:])
	if d.Author.IsZero() || d.Seq == 0 || d.Seq > MaxSeq {
		return fmt.Errorf("crdt: load set: bad dot %v", d)
	}
	s.insert(s.elems[string(slot[:n])], slot[:n], d)
	return nil
}

// Loaded ends loading.
func (s *SetState) Loaded() error { return nil }

// Flush reports the rows that changed; see Object.
func (s *SetState) Flush(put func(slot, cell []byte), del func(slot []byte)) {
	var slot []byte
	for d, row := range s.dirty {
		slot = appendSlotDot(append(slot[:0], row.elem...), d)
		if row.live {
			put(slot, nil)
		} else {
			del(slot)
		}
	}
	clear(s.dirty)
}

// Weight is about the bytes in memory.
func (s *SetState) Weight() int { return 128 + s.weight + 16*(s.dots-len(s.elems)) + 64*len(s.dirty) }

// appendSlotDot appends a dot as slots spell it: author (40), seq (8, big
// endian, so that rows sort by it).
func appendSlotDot(dst []byte, d Dot) []byte {
	return binary.BigEndian.AppendUint64(d.Author.Append(dst), d.Seq)
}

// slotDot reads what appendSlotDot wrote: dotSlotSize bytes.
func slotDot(b []byte) Dot {
	return Dot{MakeAuthor([AuthorSize]byte(b)), binary.BigEndian.Uint64(b[AuthorSize:])}
}
