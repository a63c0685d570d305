package crdt

// Where an element goes: FugueMax (Weidner and Kleppmann, "The Art of the
// Fugue", 2023), which keeps runs typed at one spot together.
//
// The list is a walk over a tree: the left children of an element, with all
// below them, come before it, the right children after it. An element with
// origins (left, right) is
//
//	a left child of right     if left is right's own left origin too: there was
//	                          something between left's old neighbours, and this
//	                          went before it
//	a right child of left     otherwise; the start is the root
//
// Left siblings are sorted by (author, seq); right siblings first by right
// origin, the furthest first, then by (author, seq). Parents and the order of
// siblings depend only on elements that were there before, so the order is a
// function of the set of (id, left, right), whatever order they come in and
// however odd the origins a peer makes up.
//
// What an author makes up can hang a long chain on an element, and any number of
// siblings in front of or behind it; seqtree.go finds the end of a subtree without
// a walk.
//
// An element whose origins are not both placed is held, and waits.

import "math"

// at returns the piece that holds d and d's offset in it, or nil.
func (s *SequenceState) at(d Dot) (*piece, int) {
	p := s.index[d.Author].find(d.Seq)
	if p == nil {
		return nil, 0
	}
	return p, int(d.Seq - p.seq)
}

// missing returns the origin p has to wait for, if any. For one that will not
// come the start or the end takes its place: no honest author names an element
// that may be forgotten.
func (s *SequenceState) missing(p *piece) (Dot, bool) {
	for _, d := range [...]*Dot{&p.left, &p.right} {
		if d.IsZero() {
			continue
		}
		switch q, _ := s.at(*d); {
		case q == nil && s.ctx.Covers(*d):
			*d = Dot{}
			s.rows.touch(p.author, p.seq, p.end())
		case q == nil || q.leaf == nil:
			return *d, true
		}
	}
	return Dot{}, false
}

// admit indexes p, whose elements are not held yet, and places it, or lets it
// wait.
func (s *SequenceState) admit(p *piece) {
	s.indexOf(p.author).insert(p)
	s.pieces++
	s.settle(p)
}

// settle places p if it can, and then whatever waited for it.
func (s *SequenceState) settle(p *piece) {
	queue := []*piece{p}
	for len(queue) > 0 {
		p, queue = queue[0], queue[1:]
		if d, wait := s.missing(p); wait {
			s.waiting[d] = append(s.waiting[d], p)
			continue
		}
		seq, n := p.seq, p.n
		author := p.author
		if s.aged {
			s.need(p.left, p.right)
		}
		s.place(p)
		queue = s.wake(queue, author, seq, n)
	}
}

// wake moves to queue what waits for one of n dots.
func (s *SequenceState) wake(queue []*piece, a Author, seq uint64, n int) []*piece {
	if n > len(s.waiting) {
		for d, ps := range s.waiting {
			if d.Author == a && d.Seq >= seq && d.Seq-seq < uint64(n) {
				queue = append(queue, ps...)
				delete(s.waiting, d)
			}
		}
		return queue
	}
	for i := range n {
		d := Dot{a, seq + uint64(i)}
		if ps, ok := s.waiting[d]; ok {
			queue = append(queue, ps...)
			delete(s.waiting, d)
		}
	}
	return queue
}

// place puts p, both origins of which are placed, into the list.
func (s *SequenceState) place(p *piece) {
	s.visible += p.visible()
	if !p.right.IsZero() {
		q, off := s.at(p.right)
		if leftOf(q, off) == p.left {
			s.placeLeft(p, s.cutBefore(q, off))
			return
		}
	}
	if p.left.IsZero() {
		s.placeRight(p, nil)
		return
	}
	q, off := s.at(p.left)
	if off == q.n-1 && s.absorb(q, p) {
		return
	}
	s.cutBefore(q, off+1)
	s.placeRight(p, q)
}

// leftOf returns the left origin of the element at an offset of q.
func leftOf(q *piece, off int) Dot {
	if off == 0 {
		return q.left
	}
	return Dot{q.author, q.seq + uint64(off) - 1}
}

// placeLeft makes p a left child of q's first element: in front of the next
// sibling and all below it, or in front of q.
func (s *SequenceState) placeLeft(p, q *piece) {
	p.depth = q.depth + 1
	at := q
	if next := q.leftKids.insert(p, comparePieces); next != nil {
		at = s.tree.leftEnd(next)
	}
	p.join = at.join
	s.tree.insertBefore(at, p)
	s.tree.setJoin(at, q.depth)
}

// placeRight makes p a right child of q's last element, or of the root: in front
// of the next sibling and all below it, or behind everything below its parent.
func (s *SequenceState) placeRight(p, q *piece) {
	siblings, parent := &s.rootKids, 0
	if q != nil {
		siblings, parent = &q.rightKids, q.depth+q.n-1
	}
	p.depth, p.join = parent+1, parent
	alone := siblings.empty()
	switch next := siblings.insert(p, s.compareRight); {
	case next != nil:
		s.tree.insertBefore(s.tree.leftEnd(next), p)
	case q == nil:
		s.tree.insertLast(p)
	case alone:
		s.tree.insertAfter(q, p)
	default:
		if at := s.tree.rightEnd(q, parent); at != nil {
			s.tree.insertBefore(at, p)
		} else {
			s.tree.insertLast(p)
		}
	}
}

func comparePieces(p, q *piece) int { return p.first().Compare(q.first()) }

func (s *SequenceState) compareRight(p, q *piece) int {
	if p.right != q.right {
		if c := s.position(q.right) - s.position(p.right); c != 0 {
			return c
		}
	}
	return comparePieces(p, q)
}

// position returns the place of a placed element in the list; the end, which a
// right origin of zero means, is behind all.
func (s *SequenceState) position(d Dot) int {
	if d.IsZero() {
		return math.MaxInt
	}
	p, off := s.at(d)
	return s.tree.position(p) + off
}

// cutBefore makes the element at an offset of q the first of a piece, which it
// returns; nil if the offset is q's end.
func (s *SequenceState) cutBefore(q *piece, off int) *piece {
	switch off {
	case 0:
		return q
	case q.n:
		return nil
	}
	r := &piece{
		author: q.author, seq: q.seq + uint64(off), n: q.n - off,
		left: Dot{q.author, q.seq + uint64(off) - 1}, right: q.right, deleted: q.deleted, epoch: q.epoch,
	}
	r.spare = min(q.spare, r.n)
	q.spare -= r.spare
	if !q.deleted {
		r.vals = q.vals.cut(off)
	}
	q.n = off
	s.indexOf(q.author).insert(r)
	s.pieces++
	if q.leaf == nil { // r waits for q, as q for its origin
		s.waiting[r.left] = append(s.waiting[r.left], r)
		return r
	}
	r.rightKids, q.rightKids = q.rightKids, kids{one: r}
	r.depth, r.join = q.depth+off, q.depth+off-1
	q.leaf.count(-r.n, -r.visible())
	s.tree.insertAfter(q, r)
	return r
}

// continues reports whether an element with that id and origins, deleted in
// that epoch (0: visible), may become the next of q, at the end of the list's
// walk below q.
func (q *piece) continues(id, left, right Dot, epoch uint32) bool {
	return q.author == id.Author && q.end() == id.Seq && q.last() == left && q.right == right &&
		q.epoch == epoch && q.leaf != nil && q.rightKids.empty()
}

// absorb makes p, new in the list but already in the index, part of q.
func (s *SequenceState) absorb(q, p *piece) bool {
	if !q.continues(p.first(), p.left, p.right, p.epoch) ||
		len(q.vals.buf)+len(p.vals.buf) > maxPacked {
		return false
	}
	s.indexOf(p.author).remove(p)
	s.pieces--
	if !q.deleted {
		q.vals.pushAll(q.n, &p.vals, p.n)
	}
	q.n += p.n
	q.leaf.count(p.n, p.visible())
	return true
}

// chained reports whether p goes on where q ends, as if cut from it, and
// nothing came between.
func chained(q, p *piece) bool {
	return q != nil && p != nil && q.leaf != nil && p.leaf != nil &&
		q.author == p.author && q.end() == p.seq && p.left == q.last() && p.right == q.right &&
		q.rightKids.only(p) && p.leftKids.empty()
}

// rejoin undoes a cut between two pieces alike.
func (s *SequenceState) rejoin(q, p *piece) bool {
	if !chained(q, p) || q.epoch != p.epoch || q.spare > 0 && p.spare < p.n ||
		len(q.vals.buf)+len(p.vals.buf) > maxPacked {
		return false
	}
	s.tree.remove(p)
	s.indexOf(p.author).remove(p)
	s.pieces--
	if !q.deleted {
		q.vals.pushAll(q.n, &p.vals, p.n)
	}
	q.n += p.n
	q.spare += p.spare
	q.rightKids = p.rightKids
	q.leaf.count(p.n, p.visible())
	return true
}

// shift moves the border between a visible piece and a deleted one, so that a
// key held down neither cuts nor joins: it hides the last k elements of q, or
// the first k of p. The other piece must be deleted, in this epoch, and chained.
func (s *SequenceState) shift(q, p *piece, k int) bool {
	if !chained(q, p) || q.deleted == p.deleted || q.epoch+p.epoch != s.epoch || q.spare > 0 {
		return false
	}
	shown := q
	if q.deleted {
		shown = p
	}
	if k >= shown.n {
		return false
	}
	s.bytes -= shown.valueBytes()
	if q.deleted {
		p.vals = p.vals.cut(k)
		p.seq, p.n, q.n = p.seq+uint64(k), p.n-k, q.n+k
		p.depth += k
		q.leaf.count(k, 0)
		p.leaf.count(-k, -k)
	} else {
		q.vals.cut(q.n - k)
		p.seq, p.n, q.n = p.seq-uint64(k), p.n+k, q.n-k
		p.depth -= k
		q.leaf.count(-k, -k)
		p.leaf.count(k, 0)
	}
	p.left = q.last()
	s.tree.setJoin(p, p.depth-1)
	s.bytes += shown.valueBytes()
	s.visible -= k
	return true
}
