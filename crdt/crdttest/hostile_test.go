package crdttest

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/numax-mesh/numax/crdt"
)

// Origins that no honest author would send, known or not, in any order of
// arrival, must still give every replica one list: nobody can make two differ.
func TestHostileOriginsConverge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{t: t}
		dot := func(what string) crdt.Dot {
			n := w.int(0, 3*8, what)
			if n == 0 {
				return crdt.Dot{}
			}
			return crdt.Dot{Author: Author(names[n%3]), Seq: uint64(1 + n/3)}
		}
		type sent struct {
			author crdt.Author
			op     crdt.Op
		}
		var all []sent
		for _, name := range names {
			a := Author(name)
			for seq := uint64(1); seq < 9; {
				op := crdt.Op{Seq: seq, Kind: crdt.Insert, Left: dot("left"), Right: dot("right")}
				for range w.int(1, 3, "elements") {
					op.Values = append(op.Values, w.word("element"))
				}
				for _, d := range []*crdt.Dot{&op.Left, &op.Right} {
					if d.Author == a && d.Seq >= seq {
						*d = crdt.Dot{}
					}
				}
				if w.int(0, 1, "go on") == 0 && seq > 1 {
					op.Left = crdt.Dot{Author: a, Seq: seq - 1}
				}
				if w.int(0, 5, "delete") == 0 {
					op = crdt.Op{Seq: seq, Kind: crdt.Delete, Dots: []crdt.DotRun{
						{Author: Author(names[w.int(0, 2, "whose")]), First: uint64(w.int(1, 9, "first")), Len: uint64(w.int(1, 3, "len"))},
					}}
				}
				all = append(all, sent{a, op})
				seq += op.Width()
			}
		}
		play := func(name string) *Replica {
			r := NewReplica(crdt.Sequence, Author(name))
			for _, i := range newOrder(w, len(all)) {
				if _, err := r.Object.Apply(all[i].author, &all[i].op, nil); err != nil {
					t.Fatal(err)
				}
				if w.int(0, 9, "save") == 0 {
					c, err := r.Clone()
					w.must(err)
					r = c
				}
			}
			return r
		}
		first := play("first")
		w.same("another order", play("second"), first)
		loaded, err := first.Clone()
		w.must(err)
		w.same("loaded", loaded, first)
	})
}
