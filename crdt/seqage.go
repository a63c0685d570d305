package crdt

// Forgetting deleted elements.
//
// An element decides where others go if it is an origin of one: of its
// children in the order's tree, and of those sorted by it as their right
// origin. One that nobody names, now or later, decides about nobody's place,
// and can be dropped without a change to the order of the rest (seqplace.go).
//
//	now    is seen here: as in a garbage collector, what stays marks its
//	       origins, and these theirs; what is left unmarked is spare.
//	later  takes two phases. Once every author knows the deletion (Dead), none
//	       names it any more if it is spare. Once each is known to have come so
//	       far, and what it wrote before is here (Gone), no op that names it
//	       comes. Nobody has to wait with the first: what is spare and deleted
//	       in any epoch is named no more as soon as it is found out.
//
// A deleted element that is not spare may still be named, and must: without it
// there may be no way to say "between these two". Who names it holds an
// element that is not dead and hangs on it; so it is not spare to anybody who
// has that element, and who has not cannot drop it, for that one is not dead
// everywhere.

import "math"

const firstEpoch = 1

// Age drops deleted elements; see Object.
func (s *SequenceState) Age(h Horizon) (dropped, left int) {
	s.epoch = max(s.epoch, h.Epoch)
	s.settleWithout(h.Stable.Covers)
	for a := range s.graves.lists {
		dropped += s.forgetGraves(a, h.Stable[a])
		left += s.graves.count(a)
	}
	if s.markSpare(min(h.Gone, h.Dead, s.epoch-1)) { // this epoch is not over
		dropped += s.dropSpare()
	}
	s.markSpare(math.MaxUint32)
	s.each(func(p *piece) { left += p.n - p.visible() })
	return dropped, left
}

// forgetGraves forgets the deletions of an author's elements up to a number:
// they will not come. It says how many runs of them went.
func (s *SequenceState) forgetGraves(a Author, last uint64) int {
	if last == 0 {
		return 0
	}
	n := len(s.graves.take(DotRun{a, 1, min(last, MaxSeq)}))
	if n > 0 {
		s.rows.graveChanged(a)
	}
	return n
}

// markSpare finds the elements deleted up to an epoch that nothing else names,
// but others of the kind; false if there are none.
func (s *SequenceState) markSpare(epoch uint32) bool {
	s.aged = true
	found := false
	s.each(func(p *piece) {
		p.spare = 0
		if p.deleted && p.epoch <= epoch && p.leaf != nil {
			p.spare, found = p.n, true
		}
	})
	if !found {
		return false
	}
	s.each(func(p *piece) {
		if p.spare == 0 {
			s.need(p.left, p.right)
		}
	})
	found = false
	s.each(func(p *piece) { found = found || p.spare > 0 })
	return found
}

// each calls f for every piece held.
func (s *SequenceState) each(f func(*piece)) {
	for _, x := range s.index {
		for _, c := range x.chunks {
			for _, p := range c {
				f(p)
			}
		}
	}
}

// need takes from the spare what somebody names, and what that names.
func (s *SequenceState) need(dots ...Dot) {
	for len(dots) > 0 {
		d := dots[len(dots)-1]
		dots = dots[:len(dots)-1]
		p, off := s.at(d)
		if p == nil || off < p.n-p.spare {
			continue
		}
		if p.spare == p.n {
			dots = append(dots, p.left, p.right)
		}
		p.spare = p.n - off - 1
	}
}

// dropSpare drops the spare elements and says how many there were.
func (s *SequenceState) dropSpare() int {
	var gone []*piece
	var dropped []DotRun
	n := 0
	isGone := func(p *piece) bool { return p.spare == p.n }
	s.rootKids.drop(isGone)
	s.each(func(p *piece) {
		if p.spare > 0 {
			n += p.spare
			dropped = append(dropped, DotRun{p.author, p.end() - uint64(p.spare), uint64(p.spare)})
		}
		switch {
		case isGone(p):
			gone = append(gone, p)
			return
		case p.spare > 0:
			p.rightKids = kids{} // they name the last element
			p.n -= p.spare
			p.leaf.count(-p.spare, 0)
			p.spare = 0
		default:
			p.rightKids.drop(isGone)
		}
		p.leftKids.drop(isGone)
	})
	s.rows.shrink(dropped)
	for _, p := range gone {
		if next := s.tree.after(p); next != nil && p.join < next.join {
			s.tree.setJoin(next, p.join)
		}
		s.tree.remove(p)
		x := s.index[p.author]
		if x.remove(p); len(x.chunks) == 0 {
			delete(s.index, p.author)
		}
		s.pieces--
	}
	s.rejoinAll()
	return n
}

// rejoinAll joins pieces that nothing parts any more.
func (s *SequenceState) rejoinAll() {
	for _, x := range s.index {
		for p := x.next(1); p != nil; p = x.next(p.end()) {
			for s.rejoin(p, x.find(p.end())) {
			}
		}
	}
}
