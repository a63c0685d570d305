package crdt

// The encoding of a span: elements of one author in a row, each the left
// origin of the next, all with one right origin.
//
//	| n varint | left dot | right dot | lengths varint … | epochs | values |
//	epochs  ( epoch zigzag, less the one before, at first 1 | elements varint )…
//
// The lengths are of visible and deleted elements in turn, visible first, up
// to n in sum; the epochs are those of the deleted ones, in runs, and the
// values those of the visible ones. Dots are as in authortable.go, their base
// being the span's first number.

import "math"

// appendSpan encodes n elements from seq, all held, as a span.
func (s *SequenceState) appendSpan(dst []byte, t *authorTable, a Author, seq uint64, n int) []byte {
	x := s.index[a]
	p := x.find(seq)
	dst = appendUint(dst, uint64(n))
	dst = t.appendDot(dst, leftOf(p, int(seq-p.seq)), seq)
	dst = t.appendDot(dst, p.right, seq)

	var vals [][]byte
	var run int
	var epochs []columnRun
	deleted := false
	for end := seq + uint64(n); seq < end; {
		p := x.find(seq)
		k := int(min(p.end(), end) - seq)
		if p.deleted != deleted {
			dst = appendUint(dst, uint64(run))
			run, deleted = 0, p.deleted
		}
		run += k
		if deleted {
			epochs = addColumn(epochs, uint64(p.epoch), uint64(k))
		} else {
			off := int(seq - p.seq)
			for i := range k {
				vals = append(vals, p.vals.at(off+i))
			}
		}
		seq += uint64(k)
	}
	dst = appendUint(dst, uint64(run))
	last := uint64(firstEpoch)
	for _, e := range epochs {
		dst = appendUint(appendInt(dst, int64(e.value-last)), e.count)
		last = e.value
	}
	return appendValues(dst, vals)
}

// readSpan reads a span that starts at seq as pieces: of elements that are
// visible, or deleted in the same epoch.
func readSpan(r *reader, t *authorTable, a Author, seq uint64) []*piece {
	n := int(r.upTo(MaxSpan))
	if r.err == nil && (n == 0 || seq > MaxSeq-uint64(n)) {
		r.fail("span out of range")
	}
	left, right := t.readDot(r, seq), t.readDot(r, seq)
	lengths := readLengths(r, n)
	live, dead := 0, 0
	for i, k := range lengths {
		if i%2 == 0 {
			live += k
		} else {
			dead += k
		}
	}
	epochs := readEpochs(r, dead)
	if r.err != nil {
		return nil
	}
	var pieces []*piece
	add := func(k int, epoch uint64) {
		pieces = append(pieces, &piece{author: a, seq: seq, n: k, left: left, right: right, deleted: epoch > 0, epoch: uint32(epoch)})
		seq += uint64(k)
		left = Dot{a, seq - 1}
	}
	for i, k := range lengths {
		if i%2 == 0 && k > 0 {
			add(k, 0)
		}
		for i%2 == 1 && k > 0 {
			e := &epochs[0]
			part := min(k, int(e.count))
			add(part, e.value)
			k -= part
			if e.count -= uint64(part); e.count == 0 {
				epochs = epochs[1:]
			}
		}
	}
	i, got := 0, 0
	readValues(r, live, func(_ int, v []byte) {
		for pieces[i].deleted || got == pieces[i].n {
			i, got = i+1, 0
		}
		pieces[i].vals.push(got, v)
		got++
	})
	return pieces
}

// readLengths reads lengths that sum to n. Only the first may be 0.
func readLengths(r *reader, n int) []int {
	var lengths []int
	for n > 0 && r.err == nil {
		k := int(r.upTo(uint64(n)))
		if k == 0 && len(lengths) > 0 {
			r.fail("empty run of elements")
		}
		lengths = append(lengths, k)
		n -= k
	}
	return lengths
}

// readEpochs reads the epochs of n deleted elements.
func readEpochs(r *reader, n int) []columnRun {
	var epochs []columnRun
	last := uint64(firstEpoch)
	for n > 0 && r.err == nil {
		e := columnRun{last + uint64(r.int()), r.upTo(uint64(n))}
		if e.count == 0 || e.value == 0 || e.value > math.MaxUint32 || len(epochs) > 0 && e.value == last {
			r.fail("bad run of epochs")
		}
		epochs = append(epochs, e)
		last = e.value
		n -= int(e.count)
	}
	return epochs
}

// spanHasDeleted reports whether a row's span has a deleted element.
func spanHasDeleted(r *reader) bool {
	r.take(AuthorSize * r.count(AuthorSize))
	n := r.uint()
	for range 2 { // the origins
		if r.uint() > 0 {
			r.uint()
		}
	}
	return r.uint() < n && r.err == nil
}
