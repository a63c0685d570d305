package crdt

// The sequence: a list whose elements keep their place.
//
//	seqplace.go  where an element goes      seqrows.go   rows in the store
//	seqtree.go   the list, by index         seqage.go    forgetting
//	seqindex.go  the elements, by id        seqmerge.go  joining states
//	values.go    their bytes                seqkids.go   children, in order
//	runset.go    what is deleted, by id
//
// A deleted element keeps its id and place, not its value, until Age drops it.
// The deletion of an element not yet known is remembered, and hides it when it
// comes.

import (
	"fmt"
)

// SequenceState is a list, or a text, that many edit at once.
type SequenceState struct {
	tree     orderTree
	rootKids kids // right children of the start
	index    map[Author]*seqIndex
	waiting  map[Dot][]*piece // held until that element is placed
	graves   *runSet          // deleted, not held
	hidden   *runSet          // of these nothing is left to delete: another deletion skips them
	rows     seqRows

	epoch uint32  // see Horizon
	aged  bool    // some may be spare, see seqage.go
	ctx   Version // of the op that is being applied

	visible int
	pieces  int
	bytes   int // of values
}

func newSequence() *SequenceState {
	return &SequenceState{
		index: map[Author]*seqIndex{}, waiting: map[Dot][]*piece{}, graves: newRunSet(), hidden: newRunSet(), rows: newSeqRows(),
		epoch: firstEpoch,
	}
}

// Family returns Sequence.
func (s *SequenceState) Family() Family { return Sequence }

func (s *SequenceState) indexOf(a Author) *seqIndex {
	x := s.index[a]
	if x == nil {
		x = &seqIndex{}
		s.index[a] = x
	}
	return x
}

// Len returns how many elements are visible.
func (s *SequenceState) Len() int { return s.visible }

// Has reports whether an element is in the list, visible or deleted.
func (s *SequenceState) Has(id Dot) bool {
	p, _ := s.at(id)
	return p != nil && p.leaf != nil
}

// Range calls f for each visible element in order until it returns false. f
// must not change value, nor the sequence.
func (s *SequenceState) Range(f func(id Dot, value []byte) bool) {
	s.tree.all(func(p *piece) bool {
		for i := range p.visible() {
			if !f(Dot{p.author, p.seq + uint64(i)}, p.vals.at(i)) {
				return false
			}
		}
		return true
	})
}

// InsertAfter returns the op that inserts values right after parent, or at the
// start if parent is zero or not in the list. The op aliases values.
func (s *SequenceState) InsertAfter(parent Dot, values [][]byte) Op {
	p, off := s.at(parent)
	if p == nil || p.leaf == nil {
		p = nil
	}
	return s.insertOp(p, off, values)
}

// InsertAt returns the op that inserts values before the visible element with
// index pos; beyond the end means at the end.
func (s *SequenceState) InsertAt(pos int, values [][]byte) Op {
	if pos = min(pos, s.visible); pos <= 0 {
		return s.insertOp(nil, 0, values)
	}
	p, off := s.tree.atVisible(pos - 1)
	return s.insertOp(p, off, values)
}

// insertOp resolves the origins: the element at an offset of p (the start if p
// is nil), and its neighbour, deleted or not, but both of those that may still
// be origins.
func (s *SequenceState) insertOp(p *piece, off int, values [][]byte) Op {
	op := Op{Kind: Insert, Values: values}
	for p != nil && p.spare > 0 && off >= p.n-p.spare {
		if off = p.n - p.spare - 1; off < 0 {
			if p = s.tree.before(p); p != nil {
				off = p.n - 1
			}
		}
	}
	next := s.tree.first()
	if p != nil {
		op.Left = Dot{p.author, p.seq + uint64(off)}
		if off+1 < p.n-p.spare {
			op.Right = Dot{p.author, op.Left.Seq + 1}
			return op
		}
		next = s.tree.after(p)
	}
	for next != nil && next.spare == next.n {
		next = s.tree.after(next)
	}
	if next != nil {
		op.Right = next.first()
	}
	return op
}

// Delete returns the op that deletes elements, known or not.
func (s *SequenceState) Delete(runs ...DotRun) Op { return Op{Kind: Delete, Dots: runs} }

// DeleteRange returns the op that deletes n visible elements from index pos;
// what is beyond the end is left out.
func (s *SequenceState) DeleteRange(pos, n int) Op {
	op := Op{Kind: Delete}
	pos = max(pos, 0)
	n = min(n, s.visible-pos)
	if n <= 0 {
		return op
	}
	p, off := s.tree.atVisible(pos)
	for ; n > 0; p, off = s.tree.after(p), 0 {
		k := min(n, p.visible()-off)
		if k <= 0 {
			continue
		}
		n -= k
		r := DotRun{p.author, p.seq + uint64(off), uint64(k)}
		if i := len(op.Dots) - 1; i >= 0 && op.Dots[i].Author == r.Author && op.Dots[i].First+op.Dots[i].Len == r.First {
			op.Dots[i].Len += r.Len
			continue
		}
		op.Dots = append(op.Dots, r)
	}
	return op
}

// Apply joins one op; see Object. Elements that ctx covers are held, or were
// and are forgotten: either way they are not new.
func (s *SequenceState) Apply(author Author, op *Op, ctx Version) (bool, error) {
	if err := op.check(Sequence, author); err != nil {
		return false, fmt.Errorf("crdt: apply to sequence: %w", err)
	}
	changed := false
	if op.Kind == Delete {
		for _, r := range op.Dots {
			changed = s.delete(r, ctx[r.Author]) || changed
		}
		return changed, nil
	}
	seen := ctx[author]
	if seen < op.Seq && s.typed(author, op) {
		return true, nil
	}
	s.ctx = ctx
	defer func() { s.ctx = nil }()
	p := &piece{author: author, seq: op.Seq, left: op.Left, right: op.Right}
	size := 0
	for _, v := range op.Values {
		size += len(v)
	}
	p.vals.buf = make([]byte, 0, min(size, maxPacked))
	for _, v := range op.Values {
		if len(p.vals.buf)+len(v) > maxPacked {
			changed = s.join(p, seen) || changed
			p = &piece{author: author, seq: p.end(), left: p.last(), right: op.Right}
		}
		p.vals.push(p.n, v)
		p.n++
	}
	return s.join(p, seen) || changed, nil
}

// typed is the fast path of join, for an op that goes on where the last one
// of its author ended.
func (s *SequenceState) typed(author Author, op *Op) bool {
	x := s.index[author]
	if x.end() > op.Seq || len(s.waiting) > 0 || s.graves.count(author) > 0 {
		return false
	}
	q := x.find(op.Left.Seq)
	if q == nil || !q.continues(Dot{author, op.Seq}, op.Left, op.Right, 0) {
		return false
	}
	size := 0
	for _, v := range op.Values {
		size += len(v)
	}
	if len(q.vals.buf)+size > maxPacked {
		return false
	}
	for i, v := range op.Values {
		q.vals.push(q.n+i, v)
	}
	n := len(op.Values)
	q.n += n
	q.leaf.count(n, n)
	s.visible += n
	s.bytes += size
	s.rows.extend(q, op.Seq)
	return true
}

// join adds the elements of p that are not held, but for those up to seen,
// which are forgotten, and deletes those held if p says so. p becomes part of
// the sequence.
func (s *SequenceState) join(p *piece, seen uint64) bool {
	changed := false
	for p != nil {
		q := s.index[p.author].next(p.seq)
		if q != nil && q.seq <= p.seq { // held
			n := min(q.end(), p.end()) - p.seq
			if p.deleted {
				changed = s.delete(DotRun{p.author, p.seq, n}, 0) || changed
			}
			p = p.cut(n)
			continue
		}
		end := p.end()
		if q != nil {
			end = min(end, q.seq)
		}
		if p.seq <= seen {
			p = p.cut(min(end, seen+1) - p.seq)
			continue
		}
		rest := p.cut(end - p.seq)
		run := DotRun{p.author, p.seq, uint64(p.n)}
		s.bytes += p.valueBytes()
		s.rows.add(s, p)
		s.admit(p)
		if p.deleted {
			s.hidden.add(run)
		}
		s.hideBuried(run)
		changed, p = true, rest
	}
	return changed
}

// cut keeps the first n elements of p, which is not in a sequence yet, and
// returns the others; nil if there are none.
func (p *piece) cut(n uint64) *piece {
	if n == uint64(p.n) {
		return nil
	}
	r := *p
	r.seq, r.n, r.left = p.seq+n, p.n-int(n), Dot{p.author, p.seq + n - 1}
	if !p.deleted {
		r.vals = p.vals.cut(int(n))
	}
	p.n = int(n)
	return &r
}

// delete hides elements, and remembers those that are not held, but for those
// up to seen: they will not come.
func (s *SequenceState) delete(r DotRun, seen uint64) bool {
	changed := false
	for _, gap := range s.hidden.of(r.Author).missing(r.First, r.First+r.Len) {
		for seq := gap.first; seq < gap.end; {
			p := s.index[r.Author].next(seq)
			if p != nil && p.seq <= seq {
				end := min(p.end(), gap.end)
				changed = s.hide(p, seq, end) || changed
				seq = end
				continue
			}
			end := gap.end
			if p != nil {
				end = min(end, p.seq)
			}
			if seq = max(seq, seen+1); seq < end && s.graves.add(DotRun{r.Author, seq, end - seq}) {
				s.rows.graveChanged(r.Author)
				changed = true
			}
			seq = end
		}
	}
	s.hidden.add(r)
	return changed
}

// hideBuried deletes what has come of elements that were deleted before.
func (s *SequenceState) hideBuried(r DotRun) {
	for _, run := range s.graves.take(r) {
		s.rows.graveChanged(r.Author)
		for seq := run.first; seq < run.end; {
			p := s.index[r.Author].find(seq)
			end := min(p.end(), run.end)
			s.hide(p, seq, end)
			seq = end
		}
	}
}

// hide deletes the elements from seq to end of a piece; false if they are deleted.
func (s *SequenceState) hide(p *piece, seq, end uint64) bool {
	if p.deleted {
		return false
	}
	s.rows.touch(p.author, seq, end)
	x := s.indexOf(p.author)
	switch k := int(end - seq); {
	case seq == p.seq && s.shift(x.find(seq-1), p, k), end == p.end() && s.shift(p, x.find(end), k):
		return true
	}
	p = s.cutBefore(p, int(seq-p.seq))
	s.cutBefore(p, int(end-p.seq))
	s.bytes -= p.valueBytes()
	p.deleted, p.epoch = true, s.epoch
	p.vals = values{}
	if p.leaf != nil {
		p.leaf.count(0, -p.n)
		s.visible -= p.n
	}
	if q := x.find(seq - 1); s.rejoin(q, p) {
		p = q
	}
	s.rejoin(p, x.find(end))
	return true
}

func (p *piece) valueBytes() int {
	if p.deleted {
		return 0
	}
	return len(p.vals.buf)
}

// Weight is about the bytes in memory.
func (s *SequenceState) Weight() int {
	return 256 + s.bytes + 320*s.pieces + s.graves.weight + s.hidden.weight + s.rows.weight()
}
