package crdt

// Joining whole states of a sequence, either of which may have forgotten
// elements. What a side lacks although its context covers it was deleted and
// forgotten there: it is not taken, or deleted here. No op that names it comes
// any more, and none may be made here, even by somebody who had no part in the
// agreement to forget it; so what is spare is found out at once.

import (
	"maps"
	"math"
	"slices"
)

// Merge joins another state; see Object. Its epochs count for nothing here.
func (s *SequenceState) Merge(other Object, mine, theirs Version) (bool, error) {
	o, ok := other.(*SequenceState)
	if !ok {
		return false, otherFamily(s, other)
	}
	var gone []DotRun
	for a, x := range s.index {
		gone = append(gone, x.without(o.index[a], a, theirs[a])...)
	}

	changed := false
	for _, a := range slices.SortedFunc(maps.Keys(o.index), Author.Compare) {
		x := o.index[a]
		for p := x.next(1); p != nil; p = x.next(p.end()) {
			q := &piece{author: a, seq: p.seq, n: p.n, left: p.left, right: p.right, deleted: p.deleted, vals: p.vals.clone()}
			if q.deleted {
				q.epoch = s.epoch
			}
			changed = s.join(q, mine[a]) || changed
		}
	}
	for a, l := range o.graves.lists {
		for _, c := range l.chunks {
			for _, r := range c.runs {
				changed = s.delete(DotRun{a, r.first, r.end - r.first}, mine[a]) || changed
			}
		}
	}
	for _, r := range gone {
		changed = s.delete(r, mine[r.Author]) || changed
	}
	changed = s.settleWithout(func(d Dot) bool { return mine.Covers(d) || theirs.Covers(d) }) || changed
	s.markSpare(math.MaxUint32)
	return changed, nil
}

// without returns the visible elements up to a number that the other index of
// the author does not hold.
func (x *seqIndex) without(o *seqIndex, a Author, last uint64) []DotRun {
	var runs []DotRun
	for p := x.next(1); p != nil && p.seq <= last; p = x.next(p.end()) {
		if p.deleted {
			continue
		}
		end := min(p.end(), last+1)
		for seq := p.seq; seq < end; {
			q := o.next(seq)
			if q == nil {
				q = &piece{seq: end}
			}
			if q.seq > seq {
				runs = append(runs, DotRun{a, seq, min(q.seq, end) - seq})
			}
			seq = max(q.end(), seq+1)
		}
	}
	return runs
}

// settleWithout places what waits for elements that never come: for those the
// start or the end takes their place.
func (s *SequenceState) settleWithout(never func(Dot) bool) bool {
	lost := func(d Dot) bool {
		p, _ := s.at(d)
		return p == nil && never(d)
	}
	changed := false
	var free []*piece
	for d, ps := range s.waiting {
		for _, p := range ps {
			if left, right := lost(p.left), lost(p.right); left || right {
				if left {
					p.left = Dot{}
				}
				if right {
					p.right = Dot{}
				}
				s.rows.touch(p.author, p.seq, p.end())
				changed = true
			}
		}
		if lost(d) {
			delete(s.waiting, d)
			free = append(free, ps...)
		}
	}
	slices.SortFunc(free, comparePieces)
	for _, p := range free {
		s.settle(p)
	}
	return changed
}
