package crdt

// The rows of a sequence: spans of bounded size, so that typing rewrites a
// small row and not a growing one.
//
//	slot | 0 | author 40 | first seq 8 BE |  cell | author table | span |
//	slot | 1 | author 40 | first seq 8 BE |  cell | runs |, deleted but not held
//
// Spans are as in seqspan.go, runs as in runset.go. Rows are cut when elements
// arrive and keep their place from then on; pieces in memory come and go.

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sort"
)

const (
	rowSpan  = 0
	rowGrave = 1

	// A row takes no more elements once its load, the bytes of its visible
	// values and elemLoad for each, exceeds maxLoad: at most 128 elements.
	maxLoad  = 4 << 10
	elemLoad = 32

	// MaxSpan is how many elements a span can have.
	MaxSpan = 1 << 20
)

// seqRow is the elements first … first+n-1 of an author.
type seqRow struct {
	first uint64
	n     uint32
	load  uint32
	dirty bool
}

func (r *seqRow) end() uint64 { return r.first + uint64(r.n) }

// seqRows is how the elements held are cut into rows, and what changed.
type seqRows struct {
	list   map[Author][]seqRow // sorted, disjoint
	dirty  []Dot               // the first dots of changed rows
	graves map[Author]struct{} // with changed grave rows
	total  int
	loaded []*piece // between Load and Loaded
}

func newSeqRows() seqRows {
	return seqRows{list: map[Author][]seqRow{}, graves: map[Author]struct{}{}}
}

func (t *seqRows) weight() int { return 24*t.total + 16*len(t.dirty) }

func (t *seqRows) graveChanged(a Author) { t.graves[a] = struct{}{} }

// add takes in the elements of p, which is not in the sequence yet.
func (t *seqRows) add(s *SequenceState, p *piece) {
	chained := false
	if q, off := s.at(p.left); q != nil && q.author == p.author && q.seq+uint64(off)+1 == p.seq {
		chained = q.right == p.right
	}
	t.grow(p, 0, chained)
}

// shrink takes out elements. They are the last of their rows: whoever goes on from
// an element that is dropped is dropped too.
func (t *seqRows) shrink(dropped []DotRun) {
	slices.SortFunc(dropped, func(r, q DotRun) int { return r.first().Compare(q.first()) })
	for len(dropped) > 0 {
		a := dropped[0].Author
		rows := t.list[a]
		i := t.at(a, dropped[0].First)
		keep := i
		for ; i < len(rows); i++ {
			row := rows[i]
			for len(dropped) > 0 && dropped[0].Author == a && dropped[0].First+dropped[0].Len <= row.first {
				dropped = dropped[1:]
			}
			if len(dropped) > 0 && dropped[0].Author == a && dropped[0].First < row.end() {
				t.mark(a, &row)
				if dropped[0].First <= row.first {
					t.total--
					continue
				}
				row.n = uint32(dropped[0].First - row.first)
			}
			rows[keep] = row
			keep++
		}
		for len(dropped) > 0 && dropped[0].Author == a {
			dropped = dropped[1:]
		}
		if t.list[a] = slices.Delete(rows, keep, len(rows)); keep == 0 {
			delete(t.list, a)
		}
	}
}

// extend takes in the elements of p from seq on, which continue it.
func (t *seqRows) extend(p *piece, seq uint64) { t.grow(p, int(seq-p.seq), true) }

// grow takes in the elements of p from an offset on. chained says whether they
// go on where the element before ended.
func (t *seqRows) grow(p *piece, off int, chained bool) {
	rows := t.list[p.author]
	seq := p.seq + uint64(off)
	i := len(rows) - 1
	if i >= 0 && rows[i].first > seq {
		i = sort.Search(len(rows), func(i int) bool { return rows[i].first > seq }) - 1
	}
	for off < p.n {
		fits := chained && i >= 0 && rows[i].end() == seq && rows[i].n < MaxSpan &&
			(p.deleted || rows[i].load < maxLoad)
		if !fits {
			i++
			rows = slices.Insert(rows, i, seqRow{first: seq})
			t.total++
		}
		r, k := &rows[i], 1
		if p.deleted {
			k = min(p.n-off, int(MaxSpan-r.n))
		} else {
			r.load += elemLoad + uint32(len(p.vals.at(off)))
		}
		r.n += uint32(k)
		t.mark(p.author, r)
		seq, off, chained = seq+uint64(k), off+k, true
	}
	t.list[p.author] = rows
}

func (t *seqRows) mark(a Author, r *seqRow) {
	if !r.dirty {
		r.dirty = true
		t.dirty = append(t.dirty, Dot{a, r.first})
	}
}

// at returns the index of the row that holds seq, or would.
func (t *seqRows) at(a Author, seq uint64) int {
	rows := t.list[a]
	return sort.Search(len(rows), func(i int) bool { return rows[i].end() > seq })
}

// touch marks the rows with elements from seq to end.
func (t *seqRows) touch(a Author, seq, end uint64) {
	rows := t.list[a]
	for i := t.at(a, seq); i < len(rows) && rows[i].first < end; i++ {
		t.mark(a, &rows[i])
	}
}

// Load takes one row; see Object.
func (s *SequenceState) Load(slot, cell []byte) error {
	r := reader{b: cell}
	switch {
	case len(slot) == 1+dotSlotSize && slot[0] == rowSpan:
		s.loadSpan(&r, slotDot(slot[1:]))
	case len(slot) == 1+dotSlotSize && slot[0] == rowGrave:
		first := slotDot(slot[1:])
		if first.Author.IsZero() {
			r.fail("no author")
			break
		}
		s.graves.of(first.Author).load(&r, first.Seq)
	default:
		r.fail("bad slot")
	}
	if err := r.end(); err != nil {
		return fmt.Errorf("crdt: load sequence: %w", err)
	}
	return nil
}

func (s *SequenceState) loadSpan(r *reader, first Dot) {
	rows := s.rows.list[first.Author]
	if n := len(rows); first.Author.IsZero() || first.Seq == 0 || n > 0 && rows[n-1].end() > first.Seq {
		r.fail("span out of order")
		return
	}
	t := readAuthorTable(r, first.Author)
	pieces := readSpan(r, t, first.Author, first.Seq)
	t.all(r)
	if r.err != nil || len(r.b) > 0 {
		return
	}
	row := seqRow{first: first.Seq}
	for _, p := range pieces {
		row.n += uint32(p.n)
		if !p.deleted {
			row.load += uint32(len(p.vals.buf) + elemLoad*p.n)
		}
	}
	s.rows.list[first.Author] = append(rows, row)
	s.rows.total++
	s.rows.loaded = append(s.rows.loaded, pieces...)
}

// Loaded builds the list from the rows; see Object.
func (s *SequenceState) Loaded() error {
	for _, p := range s.rows.loaded {
		run := DotRun{p.author, p.seq, uint64(p.n)}
		s.bytes += p.valueBytes()
		s.admit(p)
		if p.deleted {
			s.hidden.add(run)
		}
		s.hideBuried(run)
	}
	s.rows.loaded = nil
	for a, l := range s.graves.lists {
		for _, c := range l.chunks {
			for _, r := range c.runs {
				s.hidden.add(DotRun{a, r.first, r.end - r.first})
			}
		}
	}
	return nil
}

// Flush reports the rows that changed; see Object.
func (s *SequenceState) Flush(put func(slot, cell []byte), del func(slot []byte)) {
	var slot, cell, span []byte
	for _, d := range s.rows.dirty {
		slot = appendSlotDot(append(slot[:0], rowSpan), d)
		rows, i := s.rows.list[d.Author], s.rows.at(d.Author, d.Seq)
		if i == len(rows) || rows[i].first != d.Seq {
			del(slot)
			continue
		}
		row := &rows[i]
		row.dirty = false
		t := newAuthorTable(d.Author)
		span = s.appendSpan(span[:0], t, d.Author, d.Seq, int(row.n))
		cell = append(t.append(cell[:0]), span...)
		put(slot, cell)
	}
	s.rows.dirty = s.rows.dirty[:0]
	for a := range s.rows.graves {
		slot = appendSlotDot(append(slot[:0], rowGrave), Dot{a, 0})
		at := len(slot) - 8
		s.graves.of(a).flush(func(first uint64, cell []byte) {
			binary.BigEndian.PutUint64(slot[at:], first)
			put(slot, cell)
		}, func(first uint64) {
			binary.BigEndian.PutUint64(slot[at:], first)
			del(slot)
		})
		if s.graves.count(a) == 0 {
			s.graves.drop(a)
		}
	}
	clear(s.rows.graves)
}
