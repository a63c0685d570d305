package crdt

// The section of a sequence. Editing is predictable: one goes on where one
// was. So a bit says of a place that it is where the ops before suggest
// (seqguess.go), and what is elsewhere is written as its distance from there.
//
//	| author table | flags bytes |
//	| left refs | right refs | runs | end refs |                       columns
//	| lefts zigzag … | rights zigzag … | ends zigzag … | lens … |
//	| values of all inserts, as in values.go |
//
// Flags, for each op, from the low bits of the first byte on; what is left of
// the last byte is 0. The first is left out where only an insert can be: right
// after a deletion, to which another would be joined.
//
//	insert    0 | left as guessed | right as guessed |
//	deletion  1 | one run, as wide as the op | if so: its end as guessed |
//
// The rest is for what the flags do not say:
//
//	refs   of a dot's author: 0 none, 1 own, 2+i author i; an end is not none
//	runs   of a deletion: how many runs of elements
//	lefts, rights, ends
//	       for each dot with an author its base less its number; the end of a
//	       run is its last element
//	lens   of a deletion's runs varint, but of the last one zigzag, less what
//	       the others leave of the op's width
//
// The base is the number of the dot that is guessed, or of the left origin for
// a right one, if that is of the same author; else of an own dot that of the
// op, and of another author's the number used last.

import "slices"

// seqColumns is a section's numbers by what they mean.
type seqColumns struct {
	flags                              bitList
	leftRefs, rightRefs, runs, endRefs []columnRun
	lefts, rights, ends, lens          []uint64
}

func appendSequenceOps(b []byte, ops []Op, author Author) (section []byte, text int) {
	w := seqWriter{t: newAuthorTable(author), g: newGuesser(ops, author)}
	var vals [][]byte
	next := uint64(0) // after a deletion, the number behind it
	for i := range ops {
		op := &ops[i]
		if op.Seq != next {
			w.flags.add(op.Kind == Delete)
		}
		if next = 0; op.Kind == Delete {
			w.delete(op)
			next = op.Seq + op.Width()
		} else {
			w.insert(op)
			vals = append(vals, op.Values...)
		}
		w.g.note(op)
	}
	b = appendBytes(w.t.append(b), w.flags.b)
	for _, col := range [...][]columnRun{w.leftRefs, w.rightRefs, w.runs, w.endRefs} {
		b = appendColumn(b, col)
	}
	for _, nums := range [...][]uint64{w.lefts, w.rights, w.ends, w.lens} {
		for _, n := range nums {
			b = appendUint(b, n)
		}
	}
	n := len(b)
	b = appendValues(b, vals)
	return b, len(b) - n
}

// seqWriter gathers the columns of a section.
type seqWriter struct {
	seqColumns
	t *authorTable
	g *guesser
}

func (w *seqWriter) insert(op *Op) {
	left, right := op.Left == w.g.cursor, op.Right == w.g.right(op.Left)
	w.flags.add(left)
	w.flags.add(right)
	if !left {
		w.leftRefs, w.lefts = w.t.addDot(w.leftRefs, w.lefts, op.Left, w.g.cursor, op.Seq)
	}
	if !right {
		w.rightRefs, w.rights = w.t.addDot(w.rightRefs, w.rights, op.Right, op.Left, op.Seq)
	}
}

func (w *seqWriter) delete(op *Op) {
	guess, left := w.g.cursor, op.Width()
	one := len(op.Dots) == 1 && op.Dots[0].Len == left
	w.flags.add(one)
	if one {
		end := op.Dots[0].last()
		w.flags.add(end == guess)
		if end != guess {
			w.endRefs, w.ends = w.t.addDot(w.endRefs, w.ends, end, guess, op.Seq)
		}
		return
	}
	w.runs = addColumn(w.runs, uint64(len(op.Dots)), 1)
	for i, r := range op.Dots {
		w.endRefs, w.ends = w.t.addDot(w.endRefs, w.ends, r.last(), guess, op.Seq)
		if i < len(op.Dots)-1 {
			w.lens = append(w.lens, r.Len)
		} else {
			w.lens = append(w.lens, zigzag(r.Len-left))
		}
		guess, left = w.g.before(r.first()), left-r.Len
	}
}

// addDot adds a dot to a column of refs and one of places.
func (t *authorTable) addDot(refs []columnRun, places []uint64, d, guess Dot, seq uint64) ([]columnRun, []uint64) {
	ref := t.ref(d.Author)
	refs = addColumn(refs, ref, 1)
	if ref > 0 {
		places = append(places, zigzag(t.base(ref, guess, seq)-d.Seq))
		t.used(ref, d.Seq)
	}
	return refs, places
}

// base returns what a dot of a ref is written from.
func (t *authorTable) base(ref uint64, guess Dot, seq uint64) uint64 {
	switch {
	case guess.Author == t.authorOf(ref):
		return guess.Seq
	case ref == 1:
		return seq
	}
	return t.last[ref-2]
}

// seqReader takes the columns of a section apart.
type seqReader struct {
	seqColumns
	r      *reader
	t      *authorTable
	g      *guesser
	widths []int
	shapes []uint8 // of each op: the shape bits below
}

const (
	shapeLeft  = 1 // insert: left as guessed
	shapeRight = 2 // insert: right as guessed
	shapeOne   = 4 // deletion: one run, as wide as the op
	shapeEnd   = 8 // deletion: its end as guessed
)

func readSequenceOps(r *reader, ops []Op, widths []int, author Author) {
	c := seqReader{r: r, t: readAuthorTable(r, author), g: newGuesser(ops, author), widths: widths}
	c.flags.b = r.bytes(len(r.b))
	elems := c.readShapes(ops)
	c.readColumns(ops)
	if elems > len(r.b) { // an element takes a byte, of its value or its length
		r.fail("more elements than bytes")
	}
	if r.err != nil {
		return
	}
	all := make([][]byte, elems)
	readValues(r, elems, func(i int, v []byte) { all[i] = v })
	for i := range ops {
		op := &ops[i]
		if op.Kind == Insert {
			n := widths[i]
			op.Values, all = slices.Clip(all[:n]), all[n:]
			c.insert(op, c.shapes[i])
		} else {
			if widths[i] > 1 {
				op.Joined = uint32(widths[i])
			}
			c.delete(op, c.shapes[i])
		}
		c.g.note(op)
	}
	c.t.all(r)
}

// readShapes reads the flags, with them the kinds of the ops, and returns how
// many elements they insert.
func (c *seqReader) readShapes(ops []Op) (elems int) {
	c.shapes = make([]uint8, len(ops))
	next := uint64(0)
	for i := range ops {
		op := &ops[i]
		if op.Seq != next && c.flags.take() {
			op.Kind = Delete
			next = op.Seq + uint64(c.widths[i])
			if c.flags.take() {
				c.shapes[i] = shapeOne
				if c.flags.take() {
					c.shapes[i] |= shapeEnd
				}
			}
			continue
		}
		op.Kind, next = Insert, 0
		elems += c.widths[i]
		if c.flags.take() {
			c.shapes[i] |= shapeLeft
		}
		if c.flags.take() {
			c.shapes[i] |= shapeRight
		}
	}
	if !c.flags.empty() {
		c.r.fail("flags do not end with the ops")
	}
	return elems
}

func (c *seqReader) readColumns(ops []Op) {
	var lefts, rights, ends, many uint64
	for i := range ops {
		switch s := c.shapes[i]; {
		case ops[i].Kind == Insert:
			lefts += uint64(^s & shapeLeft / shapeLeft)
			rights += uint64(^s & shapeRight / shapeRight)
		case s&shapeOne == 0:
			many++
		case s&shapeEnd == 0:
			ends++
		}
	}
	r, refs := c.r, uint64(len(c.t.list))+1
	c.leftRefs, c.rightRefs = readColumn(r, lefts, refs), readColumn(r, rights, refs)
	c.runs = readColumn(r, many, uint64(len(r.b)))
	runs := uint64(0)
	for _, run := range c.runs {
		if runs += run.value * run.count; runs > uint64(len(r.b)) { // a run takes a byte
			r.fail("more deletions than bytes")
			return
		}
	}
	c.endRefs = readColumn(r, runs+ends, refs)
	places := func(refs []columnRun) (n uint64) {
		for _, run := range refs {
			if run.value > 0 {
				n += run.count
			}
		}
		return n
	}
	if places(c.endRefs) < runs+ends {
		r.fail("deletion of nothing")
	}
	c.lefts, c.rights = r.uints(places(c.leftRefs)), r.uints(places(c.rightRefs))
	c.ends, c.lens = r.uints(runs+ends), r.uints(runs)
}

func (c *seqReader) insert(op *Op, shape uint8) {
	op.Left = c.g.cursor
	if shape&shapeLeft == 0 {
		op.Left = c.dot(&c.leftRefs, &c.lefts, c.g.cursor, op.Seq)
		c.differs(op.Left, c.g.cursor)
	}
	guess := c.g.right(op.Left)
	op.Right = guess
	if shape&shapeRight == 0 {
		op.Right = c.dot(&c.rightRefs, &c.rights, op.Left, op.Seq)
		c.differs(op.Right, guess)
	}
}

func (c *seqReader) delete(op *Op, shape uint8) {
	guess, left := c.g.cursor, op.Width()
	if shape&shapeOne != 0 {
		end := guess
		if shape&shapeEnd == 0 {
			end = c.dot(&c.endRefs, &c.ends, guess, op.Seq)
			c.differs(end, guess)
		}
		op.Dots = []DotRun{c.run(end, left)}
		return
	}
	if n := next(&c.runs); n > 0 {
		op.Dots = make([]DotRun, n)
	}
	for i := range op.Dots {
		n := c.lens[0]
		if c.lens = c.lens[1:]; i == len(op.Dots)-1 {
			n = unzigzag(n) + left
		}
		if n == left && len(op.Dots) == 1 {
			c.r.fail("a guess spelled out")
		}
		op.Dots[i] = c.run(c.dot(&c.endRefs, &c.ends, guess, op.Seq), n)
		guess, left = c.g.before(op.Dots[i].first()), left-n
	}
}

// run returns n elements up to end.
func (c *seqReader) run(end Dot, n uint64) DotRun {
	if n == 0 || n > end.Seq {
		c.r.fail("bad run of deletions")
		return DotRun{}
	}
	return DotRun{end.Author, end.Seq - n + 1, n}
}

// dot reads what addDot added.
func (c *seqReader) dot(refs *[]columnRun, places *[]uint64, guess Dot, seq uint64) Dot {
	ref := next(refs)
	c.t.use(c.r, ref)
	if ref == 0 {
		return Dot{}
	}
	d := Dot{c.t.authorOf(ref), c.t.base(ref, guess, seq) - unzigzag((*places)[0])}
	*places = (*places)[1:]
	c.t.used(ref, d.Seq)
	return d
}

// differs fails if what is spelled out is what was guessed.
func (c *seqReader) differs(d, guess Dot) {
	if d == guess {
		c.r.fail("a guess spelled out")
	}
}

// next takes one value off a column, which must not be empty.
func next(col *[]columnRun) uint64 {
	run := &(*col)[0]
	v := run.value
	if run.count--; run.count == 0 {
		*col = (*col)[1:]
	}
	return v
}
