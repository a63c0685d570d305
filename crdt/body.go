package crdt

// Bodies: the operations of one entry. They are signed and kept verbatim for
// good, so this format does not change; a new one gets a new version byte.
//
//	body    | version 1 | ops varint | groups varint | group column | width column | groups × group |
//	column  runs of equal values, to the number of ops in sum:
//	        ( value<<1 varint | or value<<1+1 varint | length-2 varint )…
//	group   | family 1 | key bytes | section bytes |
//
// The group column says, for each op in the order they were made, which group
// it belongs to; the width column how many dots it takes. Together with the
// first number, which the entry's header has, they number every op, so that a
// group of a family this build does not know can be kept and read later.
// Sections are drawn in section.go. The ops of a sequence that go on where the
// one before ended are joined.

import (
	"fmt"
	"slices"
)

const bodyVersion = 1

// Group is the operations a body has for one object, in the order they were
// made.
type Group struct {
	Family Family
	Key    []byte
	Ops    []Op // nil if this build does not know the family

	// Raw is the encoded section and Runs the numbers of its ops, if this
	// build does not know the family. Open reads them once it does.
	Raw  []byte
	Runs []OpRun
}

// OpRun is Count operations in a row, each Width dots wide, the first of them
// numbered Seq.
type OpRun struct{ Seq, Width, Count uint64 }

// runs returns the numbers of the group's ops.
func (g *Group) runs() []OpRun {
	if g.Ops == nil {
		return g.Runs
	}
	var runs []OpRun
	for i := range g.Ops {
		runs = addOp(runs, g.Ops[i].Seq, g.Ops[i].Width(), 1)
	}
	return runs
}

// addOp appends count ops to runs, extending the last run if they fit it.
func addOp(runs []OpRun, seq, width, count uint64) []OpRun {
	if n := len(runs); n > 0 && runs[n-1].Width == width && runs[n-1].Seq+width*runs[n-1].Count == seq {
		runs[n-1].Count += count
		return runs
	}
	return append(runs, OpRun{seq, width, count})
}

// EncodeBody encodes the operations of one entry. Their numbers must go from
// firstSeq on without holes, over all groups, and rise within each. base is the
// entry's stamp, which those of the ops are usually close to. Groups with Raw
// are encoded verbatim.
func EncodeBody(groups []Group, author Author, firstSeq uint64, base HLC) ([]byte, error) {
	b, _, err := EncodeBodyCut(groups, author, firstSeq, base)
	return b, err
}

// EncodeBodyCut is EncodeBody, and says where the last group's text begins, if
// it is one; otherwise the body's length. Numbers before and text behind are so
// unlike that they compress better apart.
func EncodeBodyCut(groups []Group, author Author, firstSeq uint64, base HLC) (body []byte, cut int, err error) {
	body, text, err := encodeBody(groups, author, firstSeq, base)
	if err != nil {
		return nil, 0, fmt.Errorf("crdt: encode body: %w", err)
	}
	return body, len(body) - text, nil
}

func encodeBody(groups []Group, author Author, firstSeq uint64, base HLC) (body []byte, text int, err error) {
	if len(groups) == 0 {
		return nil, 0, fmt.Errorf("no ops")
	}
	runs := make([][]OpRun, len(groups))
	groups = slices.Clone(groups)
	for i := range groups {
		groups[i].Ops = Coalesce(groups[i].Family, groups[i].Ops, author)
		if runs[i] = groups[i].runs(); len(runs[i]) == 0 {
			return nil, 0, fmt.Errorf("group without ops")
		}
	}
	if err := checkRuns(groups); err != nil {
		return nil, 0, err
	}
	order, widths, ops, err := interleave(runs, firstSeq)
	if err != nil {
		return nil, 0, err
	}
	b := appendUint([]byte{bodyVersion}, ops)
	b = appendUint(b, uint64(len(groups)))
	b = appendColumn(b, order)
	b = appendColumn(b, widths)
	for i := range groups {
		g := &groups[i]
		if len(g.Key) > MaxKey {
			return nil, 0, fmt.Errorf("key of %d bytes", len(g.Key))
		}
		section := g.Raw
		text = 0
		if g.Ops != nil {
			if section, text, err = encodeSection(g.Family, g.Ops, author, base); err != nil {
				return nil, 0, err
			}
		} else if g.Family.Known() {
			return nil, 0, fmt.Errorf("raw section of a known family")
		}
		b = appendBytes(append(b, byte(g.Family)), g.Key)
		b = appendBytes(b, section)
	}
	return b, text, nil
}

// columnRun is one run of a column.
type columnRun struct{ value, count uint64 }

func addColumn(col []columnRun, value, count uint64) []columnRun {
	if n := len(col); n > 0 && col[n-1].value == value {
		col[n-1].count += count
		return col
	}
	return append(col, columnRun{value, count})
}

func appendColumn(dst []byte, col []columnRun) []byte {
	for _, c := range col {
		if c.count == 1 {
			dst = appendUint(dst, c.value<<1)
		} else {
			dst = appendUint(appendUint(dst, c.value<<1|1), c.count-2)
		}
	}
	return dst
}

// readColumn reads runs, of values up to limit, until they sum to n.
func readColumn(r *reader, n, limit uint64) []columnRun {
	var col []columnRun
	for n > 0 && r.err == nil {
		v := r.uint()
		c := columnRun{v >> 1, 1}
		if v&1 == 1 {
			c.count = r.upTo(n) + 2
		}
		if c.value > limit || c.count > n || len(col) > 0 && col[len(col)-1].value == c.value {
			r.fail("bad run in a column")
			return nil
		}
		col = append(col, c)
		n -= c.count
	}
	return col
}

// interleave puts the ops of all groups in order of their numbers.
func interleave(runs [][]OpRun, seq uint64) (order, widths []columnRun, ops uint64, err error) {
	starts := map[uint64]int{} // first number of a group's next run → group
	next := make([]int, len(runs))
	left := 0
	for i, rs := range runs {
		starts[rs[0].Seq] = i
		left += len(rs)
	}
	first := seq
	for ; left > 0; left-- {
		g, ok := starts[seq]
		if !ok || next[g] == len(runs[g]) {
			return nil, nil, 0, fmt.Errorf("no op has number %d", seq)
		}
		delete(starts, seq)
		r := runs[g][next[g]]
		if r.Count == 0 || r.Width == 0 || r.Width > MaxWidth || r.Count > MaxOps {
			return nil, nil, 0, fmt.Errorf("bad run of ops at %d", seq)
		}
		order, widths = addColumn(order, uint64(g), r.Count), addColumn(widths, r.Width, r.Count)
		ops += r.Count
		seq += r.Width * r.Count
		if next[g]++; next[g] < len(runs[g]) {
			starts[runs[g][next[g]].Seq] = g
		}
	}
	if ops > MaxOps || seq-first > MaxWidth || first == 0 || seq > MaxSeq {
		return nil, nil, 0, fmt.Errorf("%d ops with %d dots from %d", ops, seq-first, first)
	}
	return order, widths, ops, nil
}

// DecodeBody reads what EncodeBody wrote: count dots of author from firstSeq.
// What it returns aliases b. It accepts nothing malformed, and the memory it
// takes is bounded by a multiple of len(b).
func DecodeBody(b []byte, author Author, firstSeq, count uint64, base HLC) ([]Group, error) {
	groups, err := decodeBody(b, author, firstSeq, count, base)
	if err != nil {
		return nil, fmt.Errorf("crdt: decode body: %w", err)
	}
	return groups, nil
}

func decodeBody(b []byte, author Author, firstSeq, count uint64, base HLC) ([]Group, error) {
	r := reader{b: b}
	switch {
	case r.byte() != bodyVersion:
		return nil, fmt.Errorf("unknown version")
	case author.IsZero(), firstSeq == 0, firstSeq > MaxSeq-MaxWidth, count == 0, count > MaxWidth:
		return nil, fmt.Errorf("%d dots from %d of %v", count, firstSeq, author)
	}
	ops := r.upTo(min(count, MaxOps))
	n := r.count(minGroup)
	if r.err == nil && (n == 0 || uint64(n) > ops) {
		r.fail("number of groups and ops disagree")
	}
	order := readColumn(&r, ops, uint64(max(n, 1)-1))
	widths := readColumn(&r, ops, count)
	for _, w := range widths {
		if w.value == 0 {
			r.fail("op without a dot")
		}
	}
	if r.err != nil {
		return nil, r.err
	}
	groups := make([]Group, n)
	if end := number(groups, order, widths, firstSeq); end != firstSeq+count {
		return nil, fmt.Errorf("ops take %d dots, want %d", end-firstSeq, count)
	}
	for i := range groups {
		g := &groups[i]
		if len(g.Runs) == 0 {
			return nil, fmt.Errorf("group without ops")
		}
		g.Family = Family(r.byte())
		g.Key = r.bytes(MaxKey)
		g.Raw = r.bytes(len(r.b))
		if r.err != nil {
			return nil, r.err
		}
		if g.Family.Known() {
			if err := g.Open(author, base); err != nil {
				return nil, err
			}
		}
	}
	if err := checkRuns(groups); err != nil {
		return nil, err
	}
	return groups, r.end()
}

// checkRuns fails if the ops of a body name more than MaxRuns runs of dots.
func checkRuns(groups []Group) error {
	n := 0
	for i := range groups {
		for k := range groups[i].Ops {
			n += len(groups[i].Ops[k].Dots)
		}
	}
	if n > MaxRuns {
		return fmt.Errorf("%d runs of dots, at most %d", n, MaxRuns)
	}
	return nil
}

// BodyOps reads from the beginning of a body how many operations it says it has; 0
// if it does not make sense.
func BodyOps(b []byte) uint64 {
	r := reader{b: b}
	if r.byte() != bodyVersion {
		return 0
	}
	return r.upTo(MaxOps)
}

// minGroup is the fewest bytes a group takes: two in a column, and an empty
// group.
const minGroup = 5

// number hands each group the numbers of its ops and returns the one after the
// last. The columns have equal sums.
func number(groups []Group, order, widths []columnRun, seq uint64) uint64 {
	var w columnRun
	for _, o := range order {
		g := &groups[o.value]
		for o.count > 0 {
			if w.count == 0 {
				w, widths = widths[0], widths[1:]
			}
			k := min(o.count, w.count)
			g.Runs = addOp(g.Runs, seq, w.value, k)
			seq += w.value * k
			o.count -= k
			w.count -= k
		}
	}
	return seq
}

// Open decodes Raw into Ops, if this build knows the family by now, and drops
// Raw and Runs; otherwise it changes nothing. author and base are those of the
// entry. The ops alias Raw.
func (g *Group) Open(author Author, base HLC) error {
	if !g.Family.Known() || g.Ops != nil {
		return nil
	}
	ops, err := decodeSection(g, author, base)
	if err != nil {
		return fmt.Errorf("%v section: %w", g.Family, err)
	}
	g.Ops, g.Raw, g.Runs = ops, nil, nil
	return nil
}
