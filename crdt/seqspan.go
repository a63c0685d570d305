package crdt

// The encoding of a span: elements of one author in a row, each the left
// origin of the next, all with one right origin.
//
//	| n varint | left dot | right dot | lengths varint … | values |
//
// The lengths are of visible and deleted elements in turn, visible first, up
// to n in sum; the values are those of the visible ones. Dots are as in
// authortable.go, their base being the span's first number.

// appendSpan encodes n elements from seq, all held, as a span.
func (s *SequenceState) appendSpan(dst []byte, t *authorTable, a Author, seq uint64, n int) []byte {
	x := s.index[a]
	p := x.find(seq)
	dst = appendUint(dst, uint64(n))
	dst = t.appendDot(dst, leftOf(p, int(seq-p.seq)), seq)
	dst = t.appendDot(dst, p.right, seq)

	var vals [][]byte
	var run int
	deleted := false
	for end := seq + uint64(n); seq < end; {
		p := x.find(seq)
		k := int(min(p.end(), end) - seq)
		if p.deleted != deleted {
			dst = appendUint(dst, uint64(run))
			run, deleted = 0, p.deleted
		}
		run += k
		if !deleted {
			off := int(seq - p.seq)
			for i := range k {
				vals = append(vals, p.vals.at(off+i))
			}
		}
		seq += uint64(k)
	}
	dst = appendUint(dst, uint64(run))
	return appendValues(dst, vals)
}

// readSpan reads a span that starts at seq as pieces, one for each length.
func readSpan(r *reader, t *authorTable, a Author, seq uint64) []*piece {
	n := int(r.upTo(MaxSpan))
	if r.err == nil && (n == 0 || seq > MaxSeq-uint64(n)) {
		r.fail("span out of range")
	}
	left, right := t.readDot(r, seq), t.readDot(r, seq)
	var pieces []*piece
	live := 0
	for deleted := false; n > 0 && r.err == nil; deleted = !deleted {
		k := int(r.upTo(uint64(n)))
		if k == 0 && (deleted || len(pieces) > 0) {
			r.fail("empty run of elements")
		}
		if !deleted {
			live += k
		}
		if k > 0 {
			pieces = append(pieces, &piece{author: a, seq: seq, n: k, left: left, right: right, deleted: deleted})
			seq += uint64(k)
			left = Dot{a, seq - 1}
		} else {
			pieces = append(pieces, nil)
		}
		n -= k
	}
	if r.err != nil {
		return nil
	}
	if len(pieces) > 0 && pieces[0] == nil {
		pieces = pieces[1:]
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
