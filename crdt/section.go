package crdt

// Sections: the operations of one group, in columns. Every op takes at least
// one byte, so that a short section cannot ask for many.
//
//	all        | kinds: ( kind 1 | repeat varint )… |
//	counters   | ops × P varint | PNCounter: ops × N varint |
//	             totals, as differences to the op before
//	register   | ops × stamp zigzag, less base | values |
//	map        | ops × stamp zigzag, less base | fields: values | values of the sets |
//	set        | author table | elements: values | ops × dots |
//	sequence   | author table | origins | deletions | values |
//
//	values     seq of byte strings, as in values.go
//	dots       | runs varint | runs × ( first dot | len varint ) |
//	origins    placed column | placed × left dot | placed × right dot |
//	             placed is 0 for an insert that goes on where the one before ended
//	deletions  runs column | runs × first dot | len column |
//	column     runs of equal numbers: ( number varint | repeat varint )…
//
// Dots are as in authortable.go. Their base is the number of the op; of a right
// origin the left one, which is beside it; of a deletion right after another
// one what that deleted, which is beside it too.

import (
	"fmt"
	"slices"
)

func encodeSection(f Family, ops []Op, author Author, base HLC) ([]byte, error) {
	for i := range ops {
		if err := ops[i].check(f, author); err != nil {
			return nil, fmt.Errorf("%v op %d: %w", f, ops[i].Seq, err)
		}
	}
	var kinds []columnRun
	for i := range ops {
		kinds = addColumn(kinds, uint64(ops[i].Kind), 1)
	}
	var b []byte
	for _, k := range kinds {
		b = appendUint(append(b, byte(k.value)), k.count)
	}
	switch f {
	case GCounter, PNCounter:
		return appendTotals(b, f, ops), nil
	case LWWRegister, LWWMap:
		return appendWrites(b, f, ops, base), nil
	case ORSet:
		return appendSetOps(b, ops, author), nil
	case Sequence:
		return appendSequenceOps(b, ops, author), nil
	}
	return nil, fmt.Errorf("%v is unknown", f)
}

func appendTotals(b []byte, f Family, ops []Op) []byte {
	var p, n uint64
	for i := range ops {
		b = appendUint(b, ops[i].P-p)
		p = ops[i].P
	}
	if f == PNCounter {
		for i := range ops {
			b = appendUint(b, ops[i].N-n)
			n = ops[i].N
		}
	}
	return b
}

func appendWrites(b []byte, f Family, ops []Op, base HLC) []byte {
	var fields, vals [][]byte
	for i := range ops {
		b = appendInt(b, int64(ops[i].Time-base))
		fields = append(fields, ops[i].Field)
		if ops[i].Kind == Set {
			vals = append(vals, ops[i].Value)
		}
	}
	if f == LWWMap {
		b = appendValues(b, fields)
	}
	return appendValues(b, vals)
}

func appendSetOps(b []byte, ops []Op, author Author) []byte {
	t := newAuthorTable(author)
	var elems [][]byte
	var dots []byte
	for i := range ops {
		elems = append(elems, ops[i].Field)
		dots = appendDots(dots, t, &ops[i])
	}
	return append(appendValues(t.append(b), elems), dots...)
}

func appendDots(b []byte, t *authorTable, op *Op) []byte {
	b = appendUint(b, uint64(len(op.Dots)))
	for _, r := range op.Dots {
		b = t.appendDot(b, Dot{r.Author, r.First}, op.Seq)
		b = appendUint(b, r.Len)
	}
	return b
}

func appendSequenceOps(b []byte, ops []Op, author Author) []byte {
	t := newAuthorTable(author)
	var placed, runs, lens []columnRun
	var lefts, rights, firsts []*Op
	var vals [][]byte
	var last *Op
	for i := range ops {
		op := &ops[i]
		if op.Kind == Delete {
			runs = addColumn(runs, uint64(len(op.Dots)), 1)
			firsts = append(firsts, op)
			continue
		}
		if last != nil && op.Left == lastOf(author, last) && op.Right == last.Right {
			placed = addColumn(placed, 0, 1)
		} else {
			placed = addColumn(placed, 1, 1)
			lefts, rights = append(lefts, op), append(rights, op)
		}
		vals = append(vals, op.Values...)
		last = op
	}
	body := appendColumn(nil, placed)
	for _, op := range lefts {
		body = t.appendDot(body, op.Left, op.Seq)
	}
	for _, op := range rights {
		body = t.appendDot(body, op.Right, besideLeft(op, author))
	}
	body = appendColumn(body, runs)
	var d deleted
	for _, op := range firsts {
		for _, r := range op.Dots {
			body = t.appendDot(body, Dot{r.Author, r.First}, d.base(op))
			d.note(op, r.First)
			lens = addColumn(lens, r.Len, 1)
		}
	}
	body = appendColumn(body, lens)
	return appendValues(append(t.append(b), body...), vals)
}

// besideLeft is the base of an insert's right origin.
func besideLeft(op *Op, author Author) uint64 {
	if op.Left.Author == author {
		return op.Left.Seq
	}
	return op.Seq
}

// deleted remembers what the deletion before removed.
type deleted struct{ op, first uint64 }

func (d *deleted) base(op *Op) uint64 {
	if d.op == op.Seq || d.op+1 == op.Seq {
		return d.first
	}
	return op.Seq
}

func (d *deleted) note(op *Op, first uint64) { d.op, d.first = op.Seq, first }

// lastOf returns the last element an insert makes.
func lastOf(author Author, op *Op) Dot { return Dot{author, op.Seq + op.Width() - 1} }

// decodeSection reads the ops of g, which are numbered by its runs.
func decodeSection(g *Group, author Author, base HLC) ([]Op, error) {
	r := reader{b: g.Raw}
	n, dots := uint64(0), uint64(0)
	for _, run := range g.Runs {
		n += run.Count
		dots += run.Count * run.Width
	}
	if n > uint64(len(g.Raw)) {
		return nil, fmt.Errorf("%d ops in %d bytes", n, len(g.Raw))
	}
	ops := make([]Op, 0, n)
	widths := make([]int, 0, n)
	for _, run := range g.Runs {
		for i := range run.Count {
			ops = append(ops, Op{Seq: run.Seq + i*run.Width})
			widths = append(widths, int(run.Width))
		}
	}
	readKinds(&r, g.Family, ops, widths)
	switch g.Family {
	case GCounter, PNCounter:
		readTotals(&r, g.Family, ops)
	case LWWRegister, LWWMap:
		readWrites(&r, g.Family, ops, base)
	case ORSet:
		readSetOps(&r, ops, author)
	case Sequence:
		readSequenceOps(&r, ops, widths, author)
	}
	if err := r.end(); err != nil {
		return nil, err
	}
	for i := range ops {
		if err := ops[i].check(g.Family, author); err != nil {
			return nil, fmt.Errorf("op %d: %w", ops[i].Seq, err)
		}
	}
	return ops, nil
}

func readKinds(r *reader, f Family, ops []Op, widths []int) {
	for len(ops) > 0 && r.err == nil {
		k := Kind(r.byte())
		n := r.upTo(uint64(len(ops)))
		if n == 0 || !f.hasKind(k) {
			r.fail("bad run of kinds")
			return
		}
		for i := range ops[:n] {
			ops[i].Kind = k
			if k != Insert && widths[i] != 1 || widths[i] == 0 {
				r.fail("bad width for its kind")
			}
		}
		ops, widths = ops[n:], widths[n:]
	}
}

func readTotals(r *reader, f Family, ops []Op) {
	var p, n uint64
	for i := range ops {
		p += r.uint()
		ops[i].P = p
	}
	if f == PNCounter {
		for i := range ops {
			n += r.uint()
			ops[i].N = n
		}
	}
}

func readWrites(r *reader, f Family, ops []Op, base HLC) {
	sets := make([]*Op, 0, len(ops))
	for i := range ops {
		ops[i].Time = base + HLC(r.int())
		if ops[i].Kind == Set {
			sets = append(sets, &ops[i])
		}
	}
	if f == LWWMap {
		readValues(r, len(ops), func(i int, v []byte) { ops[i].Field = v })
	}
	readValues(r, len(sets), func(i int, v []byte) { sets[i].Value = v })
}

func readSetOps(r *reader, ops []Op, author Author) {
	t := readAuthorTable(r, author)
	readValues(r, len(ops), func(i int, v []byte) { ops[i].Field = v })
	for i := range ops {
		readDots(r, t, &ops[i])
	}
}

func readDots(r *reader, t *authorTable, op *Op) {
	n := r.count(3)
	if n == 0 {
		return
	}
	op.Dots = make([]DotRun, n)
	for i := range op.Dots {
		d := t.readDot(r, op.Seq)
		op.Dots[i] = DotRun{d.Author, d.Seq, r.seq()}
	}
}

func readSequenceOps(r *reader, ops []Op, widths []int, author Author) {
	t := readAuthorTable(r, author)
	var inserts, deletes []*Op
	elems := 0
	for i := range ops {
		if ops[i].Kind == Delete {
			deletes = append(deletes, &ops[i])
			continue
		}
		inserts = append(inserts, &ops[i])
		elems += widths[i]
	}
	readOrigins(r, t, inserts, ops, widths, author)
	readDeletions(r, t, deletes)
	if elems > len(r.b) { // an element takes a byte, of its value or its length
		r.fail("more elements than bytes")
		return
	}
	all := make([][]byte, elems)
	readValues(r, elems, func(i int, v []byte) { all[i] = v })
	for i := range ops {
		if ops[i].Kind == Insert {
			n := widths[i]
			ops[i].Values, all = slices.Clip(all[:n]), all[n:]
		}
	}
}

func readOrigins(r *reader, t *authorTable, inserts []*Op, ops []Op, widths []int, author Author) {
	var placed []*Op
	at := inserts
	for _, run := range readColumn(r, uint64(len(inserts)), 1) {
		if run.value == 1 {
			placed = append(placed, at[:run.count]...)
		}
		at = at[run.count:]
	}
	for _, op := range placed {
		op.Left = t.readDot(r, op.Seq)
	}
	for _, op := range placed {
		op.Right = t.readDot(r, besideLeft(op, author))
	}
	var last *Op
	lastWidth := 0
	for i := range ops {
		op := &ops[i]
		if op.Kind != Insert {
			continue
		}
		if len(placed) > 0 && op == placed[0] {
			placed = placed[1:]
		} else {
			if last == nil {
				r.fail("nothing to go on from")
				return
			}
			op.Left, op.Right = Dot{author, last.Seq + uint64(lastWidth) - 1}, last.Right
		}
		last, lastWidth = op, widths[i]
	}
}

func readDeletions(r *reader, t *authorTable, deletes []*Op) {
	total := uint64(0)
	at := deletes
	for _, run := range readColumn(r, uint64(len(deletes)), uint64(len(r.b))) {
		total += run.value * run.count
		if total > uint64(len(r.b)) { // a dot takes a byte
			r.fail("more deletions than bytes")
			return
		}
		for _, op := range at[:run.count] {
			if run.value > 0 {
				op.Dots = make([]DotRun, run.value)
			}
		}
		at = at[run.count:]
	}
	var d deleted
	for _, op := range deletes {
		for i := range op.Dots {
			first := t.readDot(r, d.base(op))
			d.note(op, first.Seq)
			op.Dots[i] = DotRun{Author: first.Author, First: first.Seq}
		}
	}
	lens := readColumn(r, total, MaxSeq)
	for _, op := range deletes {
		for i := range op.Dots {
			if len(lens) == 0 {
				return // r has failed
			}
			if op.Dots[i].Len = lens[0].value; op.Dots[i].Len == 0 {
				r.fail("deletion of nothing")
			}
			if lens[0].count--; lens[0].count == 0 {
				lens = lens[1:]
			}
		}
	}
}
