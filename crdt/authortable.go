package crdt

// Authors and dots inside a section or a row, where few authors occur often.
//
// Table: | count varint | count × author 40 |
// Dot:   | ref varint | place zigzag |, only the ref if it is 0
//
//	ref 0      no dot
//	ref 1      the author whose op or span this is; place = base - seq, where
//	           base is the number of that op or span
//	ref 2+i    author i of the table; place = seq - the last seq it was used with
//
// Authors stand in the order of their first use, and every one is used.

// authorTable is filled by encoding dots, or read before decoding them.
type authorTable struct {
	own   Author // of ref 1
	list  []Author
	last  []uint64
	seen  int            // authors used so far, when decoding
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
	if n == 0 {
		return t
	}
	named := make(map[Author]struct{}, n)
	for i := range t.list {
		t.list[i] = r.author()
		named[t.list[i]] = struct{}{}
	}
	if _, ok := named[own]; ok || len(named) < n {
		r.fail("author twice in a table")
	}
	return t
}

// all fails unless every author was used.
func (t *authorTable) all(r *reader) {
	if t.seen != len(t.list) {
		r.fail("author of nothing in a table")
	}
}

// use notes that a ref is used; authors that are new come in order.
func (t *authorTable) use(r *reader, ref uint64) {
	if i := int(ref) - 2; i == t.seen {
		t.seen++
	} else if i > t.seen {
		r.fail("authors of a table out of order")
	}
}

// ref returns the ref of an author, who joins the table if new.
func (t *authorTable) ref(a Author) uint64 {
	switch a {
	case Author{}:
		return 0
	case t.own:
		return 1
	}
	i, ok := t.index[a]
	if !ok {
		i = len(t.list)
		t.index[a] = i
		t.list, t.last = append(t.list, a), append(t.last, 0)
	}
	return uint64(i) + 2
}

// authorOf returns the author of a ref.
func (t *authorTable) authorOf(ref uint64) Author {
	switch ref {
	case 0:
		return Author{}
	case 1:
		return t.own
	}
	return t.list[ref-2]
}

// used remembers the last number of a ref.
func (t *authorTable) used(ref, seq uint64) {
	if ref >= 2 {
		t.last[ref-2] = seq
	}
}

func (t *authorTable) appendDot(dst []byte, d Dot, base uint64) []byte {
	ref := t.ref(d.Author)
	dst = appendUint(dst, ref)
	switch ref {
	case 0:
		return dst
	case 1:
		return appendInt(dst, int64(base-d.Seq))
	}
	dst = appendInt(dst, int64(d.Seq-t.last[ref-2]))
	t.used(ref, d.Seq)
	return dst
}

func (t *authorTable) readDot(r *reader, base uint64) Dot {
	var d Dot
	ref := r.upTo(uint64(len(t.list)) + 1)
	t.use(r, ref)
	switch ref {
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
