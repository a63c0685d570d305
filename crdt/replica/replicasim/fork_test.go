package replicasim

import (
	"context"
	"fmt"
	"time"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/crdt/replica"
)

// reconcile does what the operator of a mesh does after a fork: a resync along a
// tree, after which all states are equal; and sees that the copies live on, as
// authors that nobody refuses.
func (w *world) reconcile() bool {
	if w.forked == "" {
		return !w.failed()
	}
	rng := w.rng("reconcile")
	for k, name := range w.datasets {
		for n, x := range w.nodes[1:] {
			from := w.nodes[rng.IntN(n+1)].name
			d := x.current().sets[k]
			var err error
			for began := time.Now(); time.Since(began) < convergeWithin; time.Sleep(time.Second) {
				ctx, cancel := context.WithTimeout(context.Background(), convergeWithin)
				err = d.Resync(ctx, from)
				cancel()
				if err == nil {
					break
				}
			}
			if err != nil {
				w.failf("%s: resync of %s from %s: %v", name, x.name, from, err)
			}
		}
	}
	w.reconciled = true
	if !w.converge("a resync") {
		return false
	}
	for k, name := range w.datasets {
		for _, x := range w.nodes {
			_, err := x.current().sets[k].Update(context.Background(), crdt.GCounter, afterwards,
				func(o crdt.Object, now replica.Now) (crdt.Op, bool) {
					return o.(*crdt.GCounterState).Inc(now.Author, 1), true
				})
			if err != nil {
				w.failf("%s: after the resync %s cannot write: %v", name, x.name, err)
			}
		}
	}
	time.Sleep(pollEvery)
	if !w.converge("what was written after a resync") {
		return false
	}
	for k, name := range w.datasets {
		for _, x := range w.nodes {
			got, err := look(x.current().sets[k], object{crdt.GCounter, afterwards})
			if want := fmt.Sprint(len(w.nodes)); got.text != want || err != nil {
				w.failf("%s: after the resync each node counted one, %s sees %s (%v), want %s", name, x.name, got.text, err, want)
			}
		}
	}
	return !w.failed()
}

// afterwards is the counter that every node counts up after a resync.
const afterwards = "afterwards"
