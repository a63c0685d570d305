package crdttest

// Random local operations of every family.

import (
	"github.com/numax-mesh/numax/crdt"
)

var words = []string{"", "x", "y", "zz", "\x00", "é"}

func (w *world) word(what string) []byte { return []byte(words[w.int(0, len(words)-1, what)]) }

// now moves r's clock, sometimes backwards.
func (w *world) now(r *Replica) crdt.HLC { return r.clock.Now(int64(w.int(0, 3, "ms"))) }

// maker draws one operation; it is made later, on the state it finds. Nil
// means there is nothing to do.
func (w *world) maker(r *Replica) func() crdt.Op {
	n := uint64(w.int(0, 5, "n"))
	switch s := r.Object.(type) {
	case *crdt.GCounterState:
		if n == 5 {
			n = 1 << 63
		}
		return func() crdt.Op { return s.Inc(r.Author, n) }
	case *crdt.PNCounterState:
		if n%2 == 0 {
			return func() crdt.Op { return s.Inc(r.Author, n) }
		}
		return func() crdt.Op { return s.Dec(r.Author, n) }
	case *crdt.RegisterState:
		now, v := w.now(r), w.word("value")
		return func() crdt.Op { return s.Set(now, v) }
	case *crdt.MapState:
		now, k, v := w.now(r), w.word("field"), w.word("value")
		if n == 0 {
			return func() crdt.Op { return s.Remove(now, k) }
		}
		return func() crdt.Op { return s.Set(now, k, v) }
	case *crdt.SetState:
		e := w.word("elem")
		if n < 2 {
			op, ok := s.Remove(e)
			if !ok {
				return nil
			}
			return func() crdt.Op { return op }
		}
		return func() crdt.Op { return s.Add(e) }
	case *crdt.SequenceState:
		return w.sequenceMaker(r, s, n)
	}
	panic("crdttest: no operations for this family")
}

func (w *world) sequenceMaker(r *Replica, s *crdt.SequenceState, n uint64) func() crdt.Op {
	var vals [][]byte
	for range w.int(1, 3, "elements") {
		vals = append(vals, w.word("element"))
	}
	switch n {
	case 0:
		from, k := w.int(0, 5, "from"), w.int(1, 3, "count")
		return func() crdt.Op { return s.DeleteRange(from, k) }
	case 1: // any dot, known or not
		run := crdt.DotRun{
			Author: Author(names[w.int(0, len(names)-1, "whose")]),
			First:  uint64(w.int(1, 20, "first")), Len: uint64(w.int(1, 4, "len")),
		}
		return func() crdt.Op { return s.Delete(run) }
	case 2:
		d := crdt.Dot{Author: Author(names[w.int(0, len(names)-1, "whose")]), Seq: uint64(w.int(1, 20, "seq"))}
		return func() crdt.Op { return s.InsertAfter(d, vals) }
	default:
		pos := w.int(0, 8, "pos")
		return func() crdt.Op { return s.InsertAt(pos, vals) }
	}
}
