package crdt

// Joining the ops of a sequence: typing a word makes one insert, holding the
// backspace key one deletion. What they do, and the dots they take, is the same.

import "slices"

// Coalesce returns ops, in the order of their numbers, with those joined that
// go on where the one before ended. It does not change what it is given; only
// the ops of a sequence are ever joined.
func Coalesce(f Family, ops []Op, author Author) []Op {
	if f != Sequence {
		return ops
	}
	var out []Op
	for i := range ops {
		op := &ops[i]
		if n := len(out); n > 0 && goesOn(&out[n-1], op, author) {
			out[n-1].join(op)
			continue
		}
		out = append(out, *op)
		last := &out[len(out)-1]
		last.Values, last.Dots = slices.Clip(last.Values), slices.Clip(last.Dots)
	}
	return out
}

// Coalesces reports whether Coalesce makes one op of last and op, which follows
// it on the same object, unless they are too wide together.
func Coalesces(f Family, last, op *Op, author Author) bool {
	return f == Sequence && goesOn(last, op, author)
}

// goesOn reports whether op can be part of last.
func goesOn(last, op *Op, author Author) bool {
	if last.Kind != op.Kind || last.Seq+last.Width() != op.Seq || last.Width()+op.Width() > MaxWidth {
		return false
	}
	return op.Kind == Delete || op.Left == lastOf(author, last) && op.Right == last.Right
}

// join makes op part of o.
func (o *Op) join(op *Op) {
	if op.Kind == Insert {
		o.Values = append(o.Values, op.Values...)
		return
	}
	o.Joined = uint32(o.Width() + op.Width())
	for i, r := range op.Dots {
		if n := len(o.Dots); i == 0 && n > 0 && o.Dots[n-1].touches(r) {
			if n == cap(o.Dots) {
				o.Dots = slices.Clone(o.Dots) // may be the caller's
			}
			last := &o.Dots[n-1]
			last.First, last.Len = min(last.First, r.First), last.Len+r.Len
			continue
		}
		o.Dots = append(o.Dots, r)
	}
}

// touches reports whether q begins where r ends, or the other way round.
func (r DotRun) touches(q DotRun) bool {
	return r.Author == q.Author && (r.First+r.Len == q.First || q.First+q.Len == r.First)
}
