package replica_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/crdt/replica"
	"github.com/numax-mesh/numax/crdt/replica/replicatest"
)

func wantShow(t *testing.T, x *replicatest.Node, f crdt.Family, key, want string) {
	t.Helper()
	if got := x.Show(f, key); got != want {
		t.Errorf("%s: %s %q is %s, want %s", x.Name, f, key, got, want)
	}
}

func sees(x *replicatest.Node, key, want string) func() bool {
	return func() bool { return x.Show(crdt.GCounter, key) == want }
}

func TestGossip(t *testing.T) {
	n := replicatest.New(t, 1)
	a, b := n.Start("a"), n.Start("b")
	a.Inc("k")
	n.Wait("an update on the other node", sees(b, "k", "1"))
	b.Inc("k")
	n.Wait("an update back", sees(a, "k", "2"))
	n.Wait("equal logs", func() bool { return replicatest.Same(a, b) })
}

func TestWithoutGossip(t *testing.T) {
	n := replicatest.New(t, 1)
	n.LoseShare(1)
	a, b := n.Start("a"), n.Start("b")
	for i := 1; i <= 3; i++ {
		a.Inc("k")
		n.Wait("beacons and an exchange", sees(b, "k", fmt.Sprint(i)))
	}
	b.Inc("k")
	n.Wait("the other way", sees(a, "k", "4"))
}

// One lost message is a gap when the next comes; it is pulled, sooner than a
// beacon would bring it.
func TestGapIsPulled(t *testing.T) {
	n := replicatest.New(t, 1)
	a, b := n.Start("a"), n.Start("b")
	a.Inc("k")
	n.Wait("a first update", sees(b, "k", "1"))
	lose := true
	n.LoseGossip(func() bool { l := lose; lose = false; return l })
	a.Inc("k")
	a.Sync()
	a.Inc("k")
	n.WaitFor(2*time.Second, "what was lost", sees(b, "k", "3"))
}

func TestLargeValueTravels(t *testing.T) {
	n := replicatest.New(t, 1)
	a, b := n.Start("a"), n.Start("b")
	value := make([]byte, 900<<10)
	rng := rand.New(rand.NewPCG(7, 7))
	for i := range value {
		value[i] = byte(rng.Uint32())
	}
	a.Set("big", value)
	n.Wait("a value above MaxInline", func() bool { return b.Show(crdt.LWWRegister, "big") == a.Show(crdt.LWWRegister, "big") })
	if out := a.Replica.Stats().GossipOut.Load(); out > replica.MaxInline {
		t.Errorf("%d bytes of gossip for a large entry, want its header only", out)
	}
}

// A late returner is equal within five seconds, from whoever is there.
func TestLateReturner(t *testing.T) {
	n := replicatest.New(t, 1)
	a, b, c := n.Start("a"), n.Start("b"), n.Start("c")
	n.Cut("a", "c") // c only ever meets b
	a.Inc("k")
	n.Wait("a relayed update", sees(c, "k", "1"))
	b.Stop()
	for i := range 20_000 {
		a.Inc("k")
		if i%100 == 0 {
			a.Set("last", fmt.Append(nil, i))
		}
	}
	a.Sync()
	a.Stop()
	a.Start()
	wantShow(t, a, crdt.GCounter, "k", "20001")
	b.Start()
	began := time.Now()
	n.WaitFor(5*time.Second, "20,000 ops", sees(b, "k", "20001"))
	t.Logf("b caught up in %v", time.Since(began))
	n.WaitFor(5*time.Second, "20,000 ops through b", sees(c, "k", "20001"))
	n.Wait("equal logs", func() bool { return replicatest.Same(a, b, c) })
}

func TestManySmallEntries(t *testing.T) {
	n := replicatest.New(t, 1)
	n.Cut("a", "b")
	a, b := n.Start("a"), n.Start("b")
	for range 300 {
		a.Inc("k")
		b.Inc("k")
		a.Sync()
		b.Sync()
	}
	n.Heal("a", "b")
	n.WaitFor(5*time.Second, "600 entries both ways", func() bool { return sees(a, "k", "600")() && sees(b, "k", "600")() })
}

func TestDuplicatesCountOnce(t *testing.T) {
	n := replicatest.New(t, 1)
	n.Twice(true)
	a, b := n.Start("a"), n.Start("b")
	for range 50 {
		a.Inc("k")
	}
	n.Wait("all of it", sees(b, "k", "50"))
	if got := b.Replica.Stats().OpsRemote.Load(); got != 50 {
		t.Errorf("%d ops were applied, want 50", got)
	}
}

// Links that flap must not make later meetings slow.
func TestFlappingLink(t *testing.T) {
	n := replicatest.New(t, 1)
	n.LoseShare(1)
	a, b := n.Start("a"), n.Start("b")
	for i := 1; i <= 8; i++ {
		a.Inc("k")
		n.WaitFor(3*time.Second, "an update after the link came back", sees(b, "k", fmt.Sprint(i)))
		n.Cut("a", "b")
		n.Wait("the session's end", func() bool { return len(a.Replica.Peers()) == 0 })
		n.Heal("a", "b")
	}
}

func TestRunEndsItsGoroutines(t *testing.T) {
	before := goleak.IgnoreCurrent()
	n := replicatest.New(t, 1)
	a, b := n.Start("a"), n.Start("b")
	a.Inc("k")
	n.Wait("an update", sees(b, "k", "1"))
	a.Stop()
	b.Stop()
	goleak.VerifyNone(t, before,
		goleak.IgnoreTopFunction("github.com/syndtr/goleveldb/leveldb.(*DB).mpoolDrain")) // ends up to a second after Close
}

// act does something random to one of a few objects of every family.
func act(x *replicatest.Node, rng *rand.Rand) {
	key := fmt.Sprint("k", rng.IntN(2))
	some := func() []byte { return fmt.Append(nil, rng.IntN(5)) }
	switch rng.IntN(6) {
	case 0:
		x.Inc(key)
	case 1:
		x.Do(crdt.PNCounter, key, func(o crdt.Object, now replica.Now) crdt.Op {
			if rng.IntN(2) == 0 {
				return o.(*crdt.PNCounterState).Dec(now.Author, rng.Uint64N(9)+1)
			}
			return o.(*crdt.PNCounterState).Inc(now.Author, rng.Uint64N(9)+1)
		})
	case 2:
		x.Set(key, some())
	case 3:
		x.Do(crdt.LWWMap, key, func(o crdt.Object, now replica.Now) crdt.Op {
			if rng.IntN(3) == 0 {
				return o.(*crdt.MapState).Remove(now.Time, some())
			}
			return o.(*crdt.MapState).Set(now.Time, some(), some())
		})
	case 4:
		x.Do(crdt.ORSet, key, func(o crdt.Object, _ replica.Now) crdt.Op {
			e := some()
			if op, ok := o.(*crdt.SetState).Remove(e); ok && rng.IntN(2) == 0 {
				return op
			}
			return o.(*crdt.SetState).Add(e)
		})
	case 5:
		x.Do(crdt.Sequence, key, func(o crdt.Object, _ replica.Now) crdt.Op {
			s := o.(*crdt.SequenceState)
			if n := s.Len(); n > 3 && rng.IntN(3) == 0 {
				return s.DeleteRange(rng.IntN(n-1), 1)
			}
			return s.InsertAt(rng.IntN(s.Len()+1), [][]byte{some(), some()})
		})
	}
}

func wantSame(t *testing.T, n *replicatest.Net, nodes ...*replicatest.Node) {
	t.Helper()
	n.Wait("equal logs", func() bool { return replicatest.Same(nodes...) })
	for f := crdt.GCounter; f.Known(); f++ {
		for _, key := range []string{"k0", "k1"} {
			for _, x := range nodes[1:] {
				// The log is there before the last of it is applied.
				n.Wait(fmt.Sprintf("%s %q equal on %s and %s", f, key, nodes[0].Name, x.Name), func() bool {
					return nodes[0].Show(f, key) == x.Show(f, key)
				})
			}
		}
	}
	for _, x := range nodes[1:] {
		if !maps.Equal(x.D.Version(), nodes[0].D.Version()) {
			t.Errorf("versions of %s and %s differ", x.Name, nodes[0].Name)
		}
	}
}

func TestConvergence(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 2))
			n := replicatest.New(t, seed)
			n.LoseShare(0.3)
			n.Twice(seed%2 == 0)
			names := []string{"a", "b", "c", "d"}
			var nodes []*replicatest.Node
			for _, name := range names {
				nodes = append(nodes, n.Start(name))
			}
			for range 400 {
				i, j := rng.IntN(4), rng.IntN(4)
				switch p := rng.IntN(100); {
				case p < 4 && i != j:
					n.Cut(names[i], names[j])
				case p < 8 && i != j:
					n.Heal(names[i], names[j])
				case p == 8:
					nodes[i].Stop()
					nodes[i].Start()
				case p == 9:
					nodes[i].Sync() // else ops that others never saw may be lost, as they should
					nodes[i].Crash()
					nodes[i].Start()
				case p < 20:
					nodes[i].Sync()
				default:
					act(nodes[i], rng)
				}
			}
			for i := range names {
				for j := range i {
					n.Heal(names[i], names[j])
				}
			}
			for _, x := range nodes {
				x.Sync()
			}
			wantSame(t, n, nodes...)
			for _, x := range nodes {
				if f := x.Replica.Stats().Forks.Load(); f != 0 {
					t.Errorf("%s saw %d forks", x.Name, f)
				}
			}
			// What is in memory is what a restart reads.
			before := nodes[0].Show(crdt.Sequence, "k0")
			nodes[0].Stop()
			nodes[0].Start()
			wantShow(t, nodes[0], crdt.Sequence, "k0", before)
		})
	}
}
