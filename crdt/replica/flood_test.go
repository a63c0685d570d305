package replica

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/datastore"
)

// While a peer sends entries that are as costly to apply as they may be, as fast as
// they are taken, local writes go on.
func TestLocalWritesDuringFlood(t *testing.T) {
	if testing.Short() {
		t.Skip("measures time")
	}
	l := open(t, t.TempDir(), datastore.Options{})
	chain, flood := newTestAuthor(1, l.d.id), newTestAuthor(2, l.d.id)
	sequence := func(a *testAuthor, origins func(i int, op *crdt.Op)) crdt.Group {
		ops := make([]crdt.Op, crdt.MaxOps)
		for i := range ops {
			ops[i] = crdt.Op{Seq: a.next + uint64(i), Kind: crdt.Insert, Values: [][]byte{{'x'}}}
			origins(i, &ops[i])
		}
		return crdt.Group{Family: crdt.Sequence, Key: []byte("text"), Ops: ops}
	}
	rng := rand.New(rand.NewPCG(1, 1))
	l.gossip(message(chain.entry(t, nil, sequence(chain, func(i int, op *crdt.Op) {
		if i > 0 {
			op.Right = crdt.Dot{Author: chain.author, Seq: uint64(i)}
		}
	}))))
	var entries []*Entry
	for range 12 {
		entries = append(entries, flood.entry(t, crdt.Version{chain.author: crdt.MaxOps}, sequence(flood, func(i int, op *crdt.Op) {
			op.Right = crdt.Dot{Author: chain.author, Seq: rng.Uint64N(crdt.MaxOps) + 1}
		})))
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	over := make(chan struct{})
	wg.Go(func() {
		defer close(over)
		for _, e := range entries {
			l.gossip(message(e))
		}
	})
	var took []time.Duration
	for n := 0; ; n++ {
		began := time.Now()
		if err := l.inc("mine"); err != nil {
			t.Fatal(err)
		}
		if n%4 == 0 {
			if err := l.Sync(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		took = append(took, time.Since(began))
		select {
		case <-over:
			slices.Sort(took)
			t.Logf("%d local writes: p50 %v, p99 %v, worst %v", len(took), took[len(took)/2], took[len(took)*99/100], took[len(took)-1])
			if worst := took[len(took)-1]; worst > 2*time.Second {
				t.Errorf("a local write took %v", worst)
			}
			return
		case <-time.After(time.Millisecond):
		}
	}
}
