package crdt

// Sections: the operations of one group, in columns. Every op takes a byte, of
// the section or of the columns of the body, so that few cannot ask for many.
//
//	counters   | kinds | ops × P varint | PNCounter: ops × N varint |
//	             totals, as differences to the op before
//	register   | kinds | ops × stamp zigzag, less base | values |
//	map        | kinds | ops × stamp zigzag, less base | fields: values |
//	             values of the sets |
//	set        | kinds | author table | elements: values | ops × dots |
//	sequence   see seqsection.go
//
//	kinds      column, as in body.go
//	values     seq of byte strings, as in values.go
//	dots       | runs varint | runs × ( first dot | len varint ) |
//
// Dots are as in authortable.go, their base being the number of the op.

import (
	"fmt"
	"math"
)

// encodeSection also says how many bytes at the end are text.
func encodeSection(f Family, ops []Op, author Author, base HLC) (section []byte, text int, err error) {
	for i := range ops {
		if err := ops[i].check(f, author); err != nil {
			return nil, 0, fmt.Errorf("%v op %d: %w", f, ops[i].Seq, err)
		}
	}
	if f == Sequence {
		section, text = appendSequenceOps(nil, ops, author)
		return section, text, nil
	}
	var kinds []columnRun
	for i := range ops {
		kinds = addColumn(kinds, uint64(ops[i].Kind), 1)
	}
	b := appendColumn(nil, kinds)
	switch f {
	case GCounter, PNCounter:
		return appendTotals(b, f, ops), 0, nil
	case LWWRegister, LWWMap:
		return appendWrites(b, f, ops, base), 0, nil
	case ORSet:
		return appendSetOps(b, ops, author), 0, nil
	}
	return nil, 0, fmt.Errorf("%v is unknown", f)
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

// decodeSection reads the ops of g, which are numbered by its runs.
func decodeSection(g *Group, author Author, base HLC) ([]Op, error) {
	r := reader{b: g.Raw}
	n, dots := uint64(0), uint64(0)
	for _, run := range g.Runs {
		n += run.Count
		dots += run.Count * run.Width
	}
	if n > uint64(len(g.Raw)+len(g.Runs)) {
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
	if g.Family != Sequence {
		readKinds(&r, g.Family, ops, widths)
	}
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
		if g.Family == Sequence && i > 0 && goesOn(&ops[i-1], &ops[i], author) {
			return nil, fmt.Errorf("op %d is not joined to the one before", ops[i].Seq)
		}
	}
	return ops, nil
}

func readKinds(r *reader, f Family, ops []Op, widths []int) {
	for _, run := range readColumn(r, uint64(len(ops)), math.MaxUint8) {
		k := Kind(run.value)
		if !f.hasKind(k) {
			r.fail("a kind that the family does not have")
		}
		for i := range ops[:run.count] {
			ops[i].Kind = k
			if widths[i] != 1 {
				r.fail("op too wide")
			}
		}
		ops, widths = ops[run.count:], widths[run.count:]
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
	t.all(r)
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
