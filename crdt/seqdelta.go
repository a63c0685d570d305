package crdt

// Deltas of sequences.
//
//	| family | author table | authors varint | runs |
//	         authors × ( author 40 | spans varint | spans × ( gap varint | span ) )
//
// First the elements after since, as spans (seqspan.go); gap counts from the
// end of the author's span before, from 1 at first. Then, as runs (runs.go),
// all other elements known to be deleted: deletions carry no dot of their own
// in the state, so those that since covers are repeated.

import (
	"fmt"
	"maps"
	"slices"
)

// maxSpanBytes is where Delta cuts a span's values.
const maxSpanBytes = 1 << 20

// Delta encodes what changed after since; see Object.
func (s *SequenceState) Delta(since, _ Version) []byte {
	t := newAuthorTable(Author{})
	var body, spans []byte
	authors := 0
	gone := runSet{}
	for _, a := range slices.SortedFunc(maps.Keys(s.index), Author.Compare) {
		x := s.index[a]
		start := since[a] + 1
		n := 0
		spans, n = s.appendSpans(spans[:0], t, a, start)
		if n > 0 {
			authors++
			body = append(appendUint(a.Append(body), uint64(n)), spans...)
		}
		for p := x.next(1); p != nil && p.seq < start; p = x.next(p.end()) {
			if p.deleted {
				gone.add(DotRun{a, p.seq, min(p.end(), start) - p.seq})
			}
		}
	}
	for _, runs := range s.graves {
		for _, r := range runs {
			gone.add(r)
		}
	}
	d := t.append([]byte{byte(Sequence)})
	d = append(appendUint(d, uint64(authors)), body...)
	return appendRuns(d, gone.sorted())
}

// sorted returns the runs, by author.
func (s runSet) sorted() []DotRun {
	var all []DotRun
	for _, a := range slices.SortedFunc(maps.Keys(s), Author.Compare) {
		all = append(all, s[a]...)
	}
	return all
}

// appendSpans encodes the author's elements from start on, and says in how
// many spans.
func (s *SequenceState) appendSpans(dst []byte, t *authorTable, a Author, start uint64) ([]byte, int) {
	x := s.index[a]
	t.own = a
	spans, last := 0, uint64(1)
	for p := x.next(start); p != nil; p = x.next(start) {
		start = max(start, p.seq)
		first, right, size := start, p.right, 0
		for p != nil && start-first < MaxSpan && size < maxSpanBytes {
			k := min(p.end()-start, MaxSpan-(start-first))
			size += p.valueBytes()
			start += k
			if p = x.find(start); p != nil && (p.right != right || leftOf(p, int(start-p.seq)) != (Dot{a, start - 1})) {
				break
			}
		}
		dst = appendUint(dst, first-last)
		dst = s.appendSpan(dst, t, a, first, int(start-first))
		last = start
		spans++
	}
	return dst, spans
}

// MergeDelta joins a delta; see Object. The ids alone say what is new, the
// contexts are not needed.
func (s *SequenceState) MergeDelta(delta []byte, _, _ Version) (bool, error) {
	r := openDelta(delta, Sequence)
	t := readAuthorTable(&r, Author{})
	var pieces []*piece
	for range r.count(AuthorSize + 6) {
		a := r.author()
		t.own = a
		seq := uint64(1)
		for range r.count(6) {
			if gap := r.upTo(MaxSeq); gap > MaxSeq-seq {
				r.fail("span out of range")
			} else {
				seq += gap
			}
			span := readSpan(&r, t, a, seq)
			if r.err != nil {
				break
			}
			pieces = append(pieces, span...)
			seq = span[len(span)-1].end()
		}
	}
	runs := readRuns(&r)
	if err := r.end(); err != nil {
		return false, fmt.Errorf("crdt: merge sequence: %w", err)
	}
	changed := false
	for _, p := range pieces {
		changed = s.join(p) || changed
	}
	for _, d := range runs {
		changed = s.delete(d) || changed
	}
	return changed, nil
}
