package crdt

// The last-writer-wins map: one cell a field. A removed field keeps a
// tombstone, also if it was never set: a remove must win over an older set
// that arrives later.
//
// Row:   slot = field, cell = the LWW cell
// Delta: | family | count varint | count × ( field bytes | cell bytes ) |

import (
	"fmt"
)

// MapState is fields with values; the last write of a field wins.
type MapState struct {
	cells  map[string]*mapCell
	order  sortedKeys
	dirty  []*mapCell
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
	return min(now, MaxStamp)
}

func (s *MapState) join(field []byte, w *lwwCell) *mapCell {
	c := s.cells[string(field)]
	if c == nil {
		c = &mapCell{field: string(field)}
		c.tomb = true // absent until the join below
		s.cells[c.field] = c
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
	return mergeByDelta(s, other, mine, theirs)
}

// Delta encodes the cells written after since; see Object.
func (s *MapState) Delta(since, _ Version) []byte {
	var body, cell []byte
	n := 0
	for _, c := range s.cells {
		if since.Covers(c.dot) {
			continue
		}
		n++
		cell = c.append(cell[:0])
		body = appendUint(body, uint64(len(c.field)))
		body = append(body, c.field...)
		body = appendBytes(body, cell)
	}
	return append(appendUint([]byte{byte(LWWMap)}, uint64(n)), body...)
}

// MergeDelta joins a delta; see Object.
func (s *MapState) MergeDelta(delta []byte, _, _ Version) (bool, error) {
	type row struct {
		field []byte
		cell  lwwCell
	}
	r := openDelta(delta, LWWMap)
	rows := make([]row, r.count(lwwCellMin+2))
	for i := range rows {
		rows[i].field = r.bytes(MaxField)
		cr := reader{b: r.bytes(lwwCellMin + 10 + MaxValue), err: r.err}
		rows[i].cell = readLWWCell(&cr)
		if cr.err != nil {
			r.fail(cr.err.Error())
			break
		}
	}
	if err := r.end(); err != nil {
		return false, fmt.Errorf("crdt: merge map: %w", err)
	}
	changed := false
	for i := range rows {
		changed = s.joinDirty(rows[i].field, &rows[i].cell) || changed
	}
	return changed, nil
}

// Load takes the row of one field; see Object.
func (s *MapState) Load(slot, cell []byte) error {
	r := reader{b: cell}
	c := readLWWCell(&r)
	if len(slot) > MaxField {
		r.fail("field too long")
	}
	if err := r.end(); err != nil {
		return fmt.Errorf("crdt: load map: %w", err)
	}
	s.join(slot, &c)
	return nil
}

// Loaded ends loading.
func (s *MapState) Loaded() error { return nil }

// Flush reports the rows that changed; see Object.
func (s *MapState) Flush(put func(slot, cell []byte), _ func(slot []byte)) {
	var slot, cell []byte
	for _, c := range s.dirty {
		c.dirty = false
		slot, cell = append(slot[:0], c.field...), c.append(cell[:0])
		put(slot, cell)
	}
	clear(s.dirty)
	s.dirty = s.dirty[:0]
}

// Weight is about the bytes in memory.
func (s *MapState) Weight() int { return 128 + s.weight }
