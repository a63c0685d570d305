package crdttest

// The laws, over random histories.

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/numax-mesh/numax/crdt"
)

// Laws checks a family: that any causal delivery converges, that states join
// like operations, that joins commute, associate and repeat, that rows and
// bodies come back as they went.
func Laws(t *testing.T, f crdt.Family) {
	t.Run("converge", rapid.MakeCheck(func(t *rapid.T) { checkConverge(t, f) }))
	t.Run("join", rapid.MakeCheck(func(t *rapid.T) { checkJoin(t, f) }))
	t.Run("age", rapid.MakeCheck(func(t *rapid.T) { checkAge(t, f) }))
}

// world is a few replicas and all entries ever written.
type world struct {
	t        *rapid.T
	replicas []*Replica
	log      []*Entry
}

var names = []string{"a", "b", "c"}

// newWorld plays a random history.
func newWorld(t *rapid.T, f crdt.Family) *world {
	w := &world{t: t}
	for _, n := range names {
		w.replicas = append(w.replicas, NewReplica(f, Author(n)))
	}
	for range rapid.IntRange(1, 40).Draw(t, "steps") {
		w.step(w.replicas[w.int(0, len(w.replicas)-1, "replica")])
	}
	return w
}

func (w *world) must(err error) {
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) int(low, high int, what string) int {
	return rapid.IntRange(low, high).Draw(w.t, what)
}

func (w *world) step(r *Replica) {
	switch w.int(0, 9, "action") {
	default:
		w.write(r)
	case 5, 6, 7:
		var ready []*Entry
		for _, e := range w.log {
			if r.Ready(e) {
				ready = append(ready, e)
			}
		}
		if len(ready) > 0 {
			w.must(r.Deliver(ready[w.int(0, len(ready)-1, "entry")]))
		}
	case 8:
		_, err := r.Merge(w.replicas[w.int(0, len(w.replicas)-1, "from")])
		w.must(err)
	case 9:
		c, err := r.Clone()
		w.must(err)
		if got, want := View(c.Object), View(r.Object); got != want {
			w.t.Fatalf("loaded from rows: %s, want %s", got, want)
		}
		*r = *c
	}
}

// write makes an entry of a few ops, and sends it through its encoding.
func (w *world) write(r *Replica) {
	var makers []func() crdt.Op
	for range w.int(1, 4, "ops") {
		makers = append(makers, w.maker(r))
	}
	w.send(r, slices.DeleteFunc(makers, func(m func() crdt.Op) bool { return m == nil })...)
}

func (w *world) send(r *Replica, makers ...func() crdt.Op) {
	e, err := r.Write(makers...)
	w.must(err)
	if e.Count > 0 {
		w.must(e.roundTrip(r.Object.Family(), r.clock.Last()))
		w.log = append(w.log, e)
	}
}

// roundTrip replaces the entry's ops by what decoding their body gives.
func (e *Entry) roundTrip(f crdt.Family, base crdt.HLC) error {
	in := []crdt.Group{{Family: f, Key: []byte("k"), Ops: e.Ops}}
	b, err := crdt.EncodeBody(in, e.Author, e.First, base)
	if err != nil {
		return err
	}
	out, err := crdt.DecodeBody(b, e.Author, e.First, e.Count, base)
	if err != nil {
		return err
	}
	again, err := crdt.EncodeBody(out, e.Author, e.First, base)
	if err != nil {
		return err
	}
	if !bytes.Equal(again, b) {
		return fmt.Errorf("body decodes and encodes as %x, want %x", again, b)
	}
	joined := crdt.Coalesce(f, e.Ops, e.Author)
	if len(out[0].Ops) != len(joined) {
		return fmt.Errorf("%d ops decode, want %d", len(out[0].Ops), len(joined))
	}
	for i := range joined {
		if got, want := normal(out[0].Ops[i]), normal(joined[i]); !reflect.DeepEqual(got, want) {
			return fmt.Errorf("op decodes as %+v, want %+v", got, want)
		}
	}
	e.Ops = out[0].Ops
	return nil
}

// normal makes nil and empty the same.
func normal(op crdt.Op) crdt.Op {
	op.Field, op.Value = append([]byte{}, op.Field...), append([]byte{}, op.Value...)
	op.Dots = append([]crdt.DotRun{}, op.Dots...)
	vals := make([][]byte, 0, len(op.Values))
	for _, v := range op.Values {
		vals = append(vals, append([]byte{}, v...))
	}
	op.Values = vals
	return op
}

// deliverAll gives r every entry, in a random causal order, some twice.
func (w *world) deliverAll(r *Replica) {
	for {
		var ready []*Entry
		for _, e := range w.log {
			if r.Ready(e) {
				ready = append(ready, e)
			}
		}
		if len(ready) == 0 {
			return
		}
		e := ready[w.int(0, len(ready)-1, "next")]
		w.must(r.Deliver(e))
		if w.int(0, 3, "again") == 0 {
			for i := range e.Ops {
				changed, err := r.Object.Apply(e.Author, &e.Ops[i], r.Version)
				w.must(err)
				if changed {
					w.t.Fatalf("applying %+v again changed the state", e.Ops[i])
				}
			}
		}
	}
}

func (w *world) print(r *Replica) string {
	s, err := r.Print()
	w.must(err)
	return s
}

func (w *world) same(what string, got, want *Replica) {
	if g, w2 := w.print(got), w.print(want); g != w2 {
		w.t.Fatalf("%s: got\n%s\nwant\n%s", what, g, w2)
	}
}

func checkConverge(t *rapid.T, f crdt.Family) {
	w := newWorld(t, f)
	fresh := NewReplica(f, Author("fresh"))
	for _, r := range append(w.replicas, fresh) {
		w.deliverAll(r)
	}
	for _, r := range w.replicas {
		w.same("by ops", r, fresh)
	}
	states := NewReplica(f, Author("states"))
	for _, r := range newOrder(w, len(w.replicas)) {
		_, err := states.Merge(w.replicas[r])
		w.must(err)
	}
	w.same("by states", states, fresh)
	loaded, err := fresh.Clone()
	w.must(err)
	w.same("by rows", loaded, fresh)
}

func newOrder(w *world, n int) []int {
	idx := make([]int, n)
	for i := range idx {
		idx[i] = i
	}
	return rapid.Permutation(idx).Draw(w.t, "order")
}

// checkJoin holds states together in every way.
func checkJoin(t *rapid.T, f crdt.Family) {
	w := newWorld(t, f)
	join := func(a, b *Replica) *Replica {
		c, err := a.Clone()
		w.must(err)
		_, err = c.Merge(b)
		w.must(err)
		return c
	}
	a, b, c := w.replicas[0], w.replicas[1], w.replicas[2]
	w.same("commute", join(a, b), join(b, a))
	w.same("associate", join(join(a, b), c), join(a, join(b, c)))
	ab := join(a, b)
	before := w.print(ab)
	for _, x := range []*Replica{a, b, ab} {
		changed, err := ab.Merge(x)
		w.must(err)
		if changed {
			t.Fatalf("merging a part again reports a change")
		}
	}
	if got := w.print(ab); got != before {
		t.Fatalf("merging a part again: got\n%s\nwant\n%s", got, before)
	}
}
