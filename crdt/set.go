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

// setElem holds the live dots of an element, at most one of an author: almost
// always one in all.
type setElem struct {
	key  string
	dot  Dot               // the only one, if dots is nil
	dots map[Author]uint64 // all of them
}

func (e *setElem) each(f func(Dot)) {
	if e.dots == nil {
		f(e.dot)
		return
	}
	for a, seq := range e.dots {
		f(Dot{a, seq})
	}
}

// of returns the dot of an author; false if there is none.
func (e *setElem) of(a Author) (Dot, bool) {
	if e.dots == nil {
		return e.dot, e.dot.Author == a
	}
	seq, ok := e.dots[a]
	return Dot{a, seq}, ok
}

func (e *setElem) has(d Dot) bool {
	x, ok := e.of(d.Author)
	return ok && x == d
}

// put adds a dot, of an author that has none.
func (e *setElem) put(d Dot) {
	if e.dots == nil {
		e.dots = map[Author]uint64{e.dot.Author: e.dot.Seq}
	}
	e.dots[d.Author] = d.Seq
}

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
	dots := make([]Dot, 0, 1+len(e.dots))
	e.each(func(d Dot) { dots = append(dots, d) })
	return runsOf(dots)
}

// insert adds a dot to elem, which has none of that author.
func (s *SetState) insert(elem []byte, d Dot) *setElem {
	e := s.elems[string(elem)]
	if e == nil {
		e = &setElem{key: string(elem), dot: d}
		s.elems[e.key] = e
		if len(s.order.all) > 2*len(s.elems)+64 {
			s.keys() // keys of removed elements piled up
		}
		s.order.add(e.key)
		s.weight += setWeight + len(e.key)
	} else {
		e.put(d)
	}
	s.dots++
	return e
}

// add adds a dot in the place of an older one of its author; false if there is one
// that is not older.
func (s *SetState) add(elem []byte, d Dot) bool {
	if e := s.elems[string(elem)]; e != nil {
		if old, ok := e.of(d.Author); ok {
			if old.Seq >= d.Seq {
				return false
			}
			s.drop(e, old)
		}
	}
	s.dirty[d] = setRow{s.insert(elem, d).key, true}
	return true
}

// drop removes a dot that e has; e leaves the set with its last one.
func (s *SetState) drop(e *setElem, d Dot) {
	s.dots--
	if s.dirty[d].live {
		delete(s.dirty, d) // never reached a row
	} else {
		s.dirty[d] = setRow{e.key, false}
	}
	if delete(e.dots, d.Author); len(e.dots) == 0 {
		delete(s.elems, e.key)
		s.weight -= setWeight + len(e.key)
	}
}

// Apply joins one op; see Object.
func (s *SetState) Apply(author Author, op *Op, ctx Version) (bool, error) {
	if err := op.check(ORSet, author); err != nil {
		return false, fmt.Errorf("crdt: apply to set: %w", err)
	}
	changed := false
	e := s.elems[string(op.Field)]
	for i := 0; i < len(op.Dots) && e != nil; i++ {
		if d, ok := e.of(op.Dots[i].Author); ok && op.Dots[i].Contains(d) {
			s.drop(e, d)
			changed = true
			e = s.elems[string(op.Field)] // gone, maybe
		}
	}
	if op.Kind != Add {
		return changed, nil
	}
	// An add also replaces the author's own older dot, listed or not: so an
	// element has at most one dot an author, whatever an author sends.
	if d := (Dot{author, op.Seq}); !ctx.Covers(d) {
		changed = s.add(op.Field, d) || changed
	} else if e != nil {
		if old, ok := e.of(author); ok && old.Seq < op.Seq {
			s.drop(e, old)
			changed = true
		}
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
		var gone []Dot
		e.each(func(d Dot) { // covered and absent: removed there
			if theirs.Covers(d) && (x == nil || !x.has(d)) {
				gone = append(gone, d)
			}
		})
		for _, d := range gone {
			s.drop(e, d)
			changed = true
		}
	}
	for key, x := range o.elems {
		x.each(func(d Dot) {
			if !mine.Covers(d) { // covered and absent: removed here
				changed = s.add([]byte(key), d) || changed
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
	if e := s.elems[string(slot[:n])]; e != nil {
		if _, twice := e.of(d.Author); twice {
			return fmt.Errorf("crdt: load set: two dots of one author")
		}
	}
	s.insert(slot[:n], d)
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
func (s *SetState) Weight() int { return 128 + s.weight + 64*(s.dots-len(s.elems)) + 64*len(s.dirty) }

// appendSlotDot appends a dot as slots spell it: author (40), seq (8, big
// endian, so that rows sort by it).
func appendSlotDot(dst []byte, d Dot) []byte {
	return binary.BigEndian.AppendUint64(d.Author.Append(dst), d.Seq)
}

// slotDot reads what appendSlotDot wrote: dotSlotSize bytes.
func slotDot(b []byte) Dot {
	return Dot{MakeAuthor([AuthorSize]byte(b)), binary.BigEndian.Uint64(b[AuthorSize:])}
}
