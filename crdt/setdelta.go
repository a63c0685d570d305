package crdt

// Deltas of sets.
//
//	| family | count varint | count × ( element bytes | author 40 | seq varint ) |
//	         | runs of dots |
//
// First the live dots after since, with their elements; then, as runs, the
// live dots that since covers. A dot the sender's context covers and that is
// in neither was removed. With no since the runs are empty.

import "fmt"

// Delta encodes what changed after since; see Object.
func (s *SetState) Delta(since, _ Version) []byte {
	var body []byte
	var kept []Dot
	n := 0
	for elem, e := range s.elems {
		e.each(func(d Dot) {
			if since.Covers(d) {
				kept = append(kept, d)
				return
			}
			n++
			body = append(appendUint(body, uint64(len(elem))), elem...)
			body = appendUint(d.Author.Append(body), d.Seq)
		})
	}
	body = append(appendUint([]byte{byte(ORSet)}, uint64(n)), body...)
	return appendRuns(body, runsOf(kept))
}

// MergeDelta joins a delta under the two contexts; see Object.
func (s *SetState) MergeDelta(delta []byte, mine, theirs Version) (bool, error) {
	type add struct {
		elem []byte
		dot  Dot
	}
	r := openDelta(delta, ORSet)
	adds := make([]add, r.count(AuthorSize+2))
	for i := range adds {
		adds[i] = add{r.bytes(MaxField), Dot{r.author(), r.seq()}}
	}
	kept := readRuns(&r)
	if err := r.end(); err != nil {
		return false, fmt.Errorf("crdt: merge set: %w", err)
	}

	live := newRunSet(kept)
	fresh := make(map[Dot]struct{}, len(adds))
	for _, a := range adds {
		fresh[a.dot] = struct{}{}
	}
	changed := false
	for _, e := range s.elems {
		changed = s.drop(e, func(d Dot) bool {
			if !theirs.Covers(d) || live.has(d) {
				return false
			}
			_, ok := fresh[d]
			return !ok
		}) || changed
	}
	for _, a := range adds {
		if !mine.Covers(a.dot) { // covered and absent: removed here
			changed = s.add(s.elems[string(a.elem)], a.elem, a.dot) || changed
		}
	}
	return changed, nil
}
