package crdt

// Authors and dots inside a section, a row or a delta, where few authors occur
// often.
//
// Table: | count varint | count × author 40 |
// Dot:   | ref varint | place zigzag |, only the ref if it is 0
//
//	ref 0      no dot
//	ref 1      the author whose op or span this is; place = base - seq, where
//	           base is the number of that op or span
//	ref 2+i    author i of the table; place = seq - the last seq it was used with

// authorTable is filled by encoding dots, or read before decoding them.
type authorTable struct {
	own   Author // of ref 1; may change from span to span
	list  []Author
	last  []uint64
	index map[Author]int // only when encoding
}

func newAuthorTable(own Author) *authorTable {
	return &authorTable{own: own, index: map[Author]int{}}
}

func (t *authorTable) append(dst []byte) []byte {
	dst = appendUint(dst, uint64(len(t.list)))
	for _, a := range t.list {
		dst = a.Append(dst)
	}
	return dst
}

func readAuthorTable(r *reader, own Author) *authorTable {
	t := &authorTable{own: own}
	n := r.count(AuthorSize)
	t.list, t.last = make([]Author, n), make([]uint64, n)
	for i := range t.list {
		t.list[i] = r.author()
	}
	return t
}

func (t *authorTable) appendDot(dst []byte, d Dot, base uint64) []byte {
	switch d.Author {
	case Author{}:
		return append(dst, 0)
	case t.own:
		return appendInt(append(dst, 1), int64(base-d.Seq))
	}
	i, ok := t.index[d.Author]
	if !ok {
		i = len(t.list)
		t.index[d.Author] = i
		t.list, t.last = append(t.list, d.Author), append(t.last, 0)
	}
	dst = appendInt(appendUint(dst, uint64(i)+2), int64(d.Seq-t.last[i]))
	t.last[i] = d.Seq
	return dst
}

func (t *authorTable) readDot(r *reader, base uint64) Dot {
	var d Dot
	switch ref := r.upTo(uint64(len(t.list)) + 1); ref {
	case 0:
		return d
	case 1:
		d = Dot{t.own, base - uint64(r.int())}
	default:
		d = Dot{t.list[ref-2], t.last[ref-2] + uint64(r.int())}
		t.last[ref-2] = d.Seq
	}
	if r.err == nil && (d.Seq == 0 || d.Seq > MaxSeq || d.Author.IsZero()) {
		r.fail("dot out of range")
	}
	if r.err != nil {
		return Dot{}
	}
	return d
}
