package crdt

// Sets of dots as disjoint runs, sorted, in chunks: what one addition or removal
// costs does not grow with the set, whatever order they come in.
//
//	author ─► [ 1…4 9…9 20…31 ] [ 40…41 … ] …    up to maxChunkRuns runs each
//
// A chunk is also a row of the store, so that a change rewrites one chunk:
//
//	cell | len varint | ( gap varint | len varint )… |
//
// The slot has the first number of the first run; gap counts from the end of the
// run before and is not 0.

import (
	"slices"
	"sort"
)

const maxChunkRuns = 128

// numRun is the numbers first ≤ n < end of an author.
type numRun struct{ first, end uint64 }

type runChunk struct {
	runs  []numRun
	row   uint64 // the first number that its row in the store has; 0: no row
	dirty bool
}

// runList is the runs of one author. No chunk is empty; runs neither touch nor
// overlap.
type runList struct {
	set    *runSet // that it is of
	chunks []*runChunk
	gone   []uint64 // rows of chunks that are no more
}

// runPlace is a run by its chunk and its index there; behind the last run of the
// last chunk it is the end.
type runPlace struct{ chunk, i int }

// search returns the place of the first run that ends at seq or behind.
func (l *runList) search(seq uint64) runPlace {
	c := sort.Search(len(l.chunks), func(i int) bool {
		runs := l.chunks[i].runs
		return runs[len(runs)-1].end >= seq
	})
	if c == len(l.chunks) {
		return runPlace{c, 0}
	}
	runs := l.chunks[c].runs
	return runPlace{c, sort.Search(len(runs), func(i int) bool { return runs[i].end >= seq })}
}

// at returns the run at a place; false at the end.
func (l *runList) at(p runPlace) (numRun, bool) {
	if l == nil || p.chunk == len(l.chunks) {
		return numRun{}, false
	}
	return l.chunks[p.chunk].runs[p.i], true
}

func (l *runList) next(p runPlace) runPlace {
	if p.i++; p.i == len(l.chunks[p.chunk].runs) {
		return runPlace{p.chunk + 1, 0}
	}
	return p
}

// add adds first ≤ n < end, joining the runs it touches; false if all of it was
// there.
func (l *runList) add(first, end uint64) bool {
	from := l.search(first)
	to := from
	for r, ok := l.at(to); ok && r.first <= end; r, ok = l.at(to) {
		if r.first <= first && r.end >= end {
			return false
		}
		first, end = min(first, r.first), max(end, r.end)
		to = l.next(to)
	}
	l.splice(from, to, numRun{first, end})
	return true
}

// take removes first ≤ n < end and returns what of it was there.
func (l *runList) take(first, end uint64) []numRun {
	var taken, left []numRun
	from := l.search(first + 1)
	to := from
	for r, ok := l.at(to); ok && r.first < end; r, ok = l.at(to) {
		lo, hi := max(r.first, first), min(r.end, end)
		taken = append(taken, numRun{lo, hi})
		if r.first < lo {
			left = append(left, numRun{r.first, lo})
		}
		if hi < r.end {
			left = append(left, numRun{hi, r.end})
		}
		to = l.next(to)
	}
	if len(taken) > 0 {
		l.splice(from, to, left...)
	}
	return taken
}

// missing returns what of first ≤ n < end is not in the list.
func (l *runList) missing(first, end uint64) []numRun {
	if l == nil {
		return []numRun{{first, end}}
	}
	var gaps []numRun
	p := l.search(first + 1)
	for r, ok := l.at(p); ok && r.first < end; r, ok = l.at(p) {
		if first < r.first {
			gaps = append(gaps, numRun{first, r.first})
		}
		first = r.end
		p = l.next(p)
	}
	if first < end {
		gaps = append(gaps, numRun{first, end})
	}
	return gaps
}

// splice puts runs, two at most, in the place of those from a place to another.
func (l *runList) splice(from, to runPlace, with ...numRun) {
	if from.chunk == len(l.chunks) { // behind all
		if from.chunk == 0 {
			l.chunks = append(l.chunks, &runChunk{})
		}
		from = runPlace{len(l.chunks) - 1, len(l.chunks[len(l.chunks)-1].runs)}
		to = from
	}
	c := l.chunks[from.chunk]
	c.dirty = true
	l.set.weight += runWeight * len(with)
	if from.chunk == to.chunk {
		l.set.weight -= runWeight * (to.i - from.i)
		c.runs = slices.Replace(c.runs, from.i, to.i, with...)
	} else {
		l.set.weight -= runWeight * (len(c.runs) - from.i + to.i)
		for _, between := range l.chunks[from.chunk+1 : to.chunk] {
			l.set.weight -= runWeight * len(between.runs)
		}
		c.runs = append(c.runs[:from.i], with...)
		if to.i > 0 {
			last := l.chunks[to.chunk]
			last.dirty = true
			last.runs = slices.Delete(last.runs, 0, to.i)
		}
		l.drop(from.chunk+1, to.chunk)
	}
	switch n := len(c.runs); {
	case n == 0:
		l.drop(from.chunk, from.chunk+1)
	case n > maxChunkRuns:
		keep := n / 2
		if from.i >= n-2 {
			keep = maxChunkRuns - 1 // appending: leave full chunks behind
		}
		right := &runChunk{runs: slices.Clone(c.runs[keep:]), dirty: true}
		c.runs = c.runs[:keep]
		l.chunks = slices.Insert(l.chunks, from.chunk+1, right)
	}
}

// drop lets go of chunks.
func (l *runList) drop(from, to int) {
	for _, c := range l.chunks[from:to] {
		if c.row != 0 {
			l.gone = append(l.gone, c.row)
		}
	}
	l.chunks = slices.Delete(l.chunks, from, to)
}

// len returns how many runs there are.
func (l *runList) len() int {
	n := 0
	for _, c := range l.chunks {
		n += len(c.runs)
	}
	return n
}

// load reads the row of a chunk. Rows come in order, before anything is added.
func (l *runList) load(r *reader, first uint64) {
	c := &runChunk{row: first}
	end := first
	for i := 0; len(r.b) > 0; i++ {
		gap := uint64(0)
		if i > 0 {
			if gap = r.upTo(MaxSeq); gap == 0 {
				r.fail("runs that touch")
			}
		}
		n := r.seq()
		if r.err == nil && (end+gap > MaxSeq || n > MaxSeq-end-gap+1 || i == maxChunkRuns) {
			r.fail("bad run of numbers")
		}
		if r.err != nil {
			return
		}
		c.runs = append(c.runs, numRun{end + gap, end + gap + n})
		end += gap + n
	}
	if n := len(l.chunks); first == 0 || len(c.runs) == 0 || n > 0 && l.chunks[n-1].end() >= first {
		r.fail("runs out of order")
		return
	}
	l.chunks = append(l.chunks, c)
	l.set.weight += runWeight * len(c.runs)
}

func (c *runChunk) end() uint64 { return c.runs[len(c.runs)-1].end }

// flush reports the rows that changed.
func (l *runList) flush(put func(first uint64, cell []byte), del func(first uint64)) {
	for _, first := range l.gone {
		del(first)
	}
	l.gone = l.gone[:0]
	for _, c := range l.chunks {
		if c.dirty && c.row != 0 && c.row != c.runs[0].first {
			del(c.row) // before any put: another chunk may begin there now
		}
	}
	var cell []byte
	for _, c := range l.chunks {
		if !c.dirty {
			continue
		}
		c.dirty, c.row = false, c.runs[0].first
		cell = cell[:0]
		for i, r := range c.runs {
			if i > 0 {
				cell = appendUint(cell, r.first-c.runs[i-1].end)
			}
			cell = appendUint(cell, r.end-r.first)
		}
		put(c.row, cell)
	}
}

// Bytes that a run takes, with the room that its chunk grows into, and that the
// list of an author does, with the author.
const (
	runWeight     = 32
	runListWeight = 400
)

// runSet is a set of dots.
type runSet struct {
	lists  map[Author]*runList
	weight int // about the bytes in memory
}

func newRunSet() *runSet { return &runSet{lists: map[Author]*runList{}} }

func (s *runSet) has(d Dot) bool {
	l := s.lists[d.Author]
	if l == nil {
		return false
	}
	r, ok := l.at(l.search(d.Seq + 1))
	return ok && r.first <= d.Seq
}

func (s *runSet) of(a Author) *runList {
	l := s.lists[a]
	if l == nil {
		l = &runList{set: s}
		s.lists[a] = l
		s.weight += runListWeight
	}
	return l
}

// drop lets go of the list of an author that has no runs any more.
func (s *runSet) drop(a Author) {
	if s.lists[a] != nil {
		delete(s.lists, a)
		s.weight -= runListWeight
	}
}

// add adds a run; false if all of it was there.
func (s *runSet) add(r DotRun) bool { return s.of(r.Author).add(r.First, r.First+r.Len) }

// take removes a run and returns what of it was there. Who keeps rows asks for
// those of an author that has no runs any more, too.
func (s *runSet) take(r DotRun) []numRun {
	if l := s.lists[r.Author]; l != nil {
		return l.take(r.First, r.First+r.Len)
	}
	return nil
}

// count returns how many runs an author has.
func (s *runSet) count(a Author) int {
	if l := s.lists[a]; l != nil {
		return l.len()
	}
	return 0
}
