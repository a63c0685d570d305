package crdt

// What the ops of a section suggest about the next one. Encoder and decoder
// guess the same, from what both know: the ops before in the same section.

import "sort"

type guesser struct {
	author Author
	ops    []Op // those noted are known
	known  int
	after  map[Dot]uint64 // first element of the last insert right after an element
	cursor Dot            // where typing, or deleting backwards, would go on
}

func newGuesser(ops []Op, author Author) *guesser {
	return &guesser{author: author, ops: ops, after: map[Dot]uint64{}}
}

// note makes the next op known.
func (g *guesser) note(op *Op) {
	g.known++
	if op.Kind == Insert {
		g.after[op.Left] = op.Seq
		g.cursor = lastOf(g.author, op)
	} else if n := len(op.Dots); n > 0 {
		g.cursor = g.before(Dot{op.Dots[n-1].Author, op.Dots[n-1].First})
	}
}

// insertOf returns the known op that inserted an element, or nil.
func (g *guesser) insertOf(d Dot) *Op {
	if d.Author != g.author || g.known == 0 || d.Seq < g.ops[0].Seq {
		return nil
	}
	i := sort.Search(g.known, func(i int) bool { return g.ops[i].Seq > d.Seq }) - 1
	if op := &g.ops[i]; op.Kind == Insert && d.Seq-op.Seq < op.Width() {
		return op
	}
	return nil
}

// before guesses the left neighbour of an element.
func (g *guesser) before(d Dot) Dot {
	if op := g.insertOf(d); op != nil && op.Seq == d.Seq {
		return op.Left
	}
	return Dot{d.Author, d.Seq - 1}
}

// right guesses the right neighbour of an element: what was last inserted
// there, else what its insert says, else the next of its author.
func (g *guesser) right(left Dot) Dot {
	if seq, ok := g.after[left]; ok {
		return Dot{g.author, seq}
	}
	if left.IsZero() {
		return left
	}
	if op := g.insertOf(left); op != nil && left == lastOf(g.author, op) {
		return op.Right
	}
	return Dot{left.Author, left.Seq + 1}
}

// lastOf returns the last element an insert makes.
func lastOf(author Author, op *Op) Dot { return Dot{author, op.Seq + op.Width() - 1} }
