package replica_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/crdt/replica"
	"github.com/numax-mesh/numax/crdt/replica/replicatest"
)

// cutAtOnce makes two passes of upkeep cut everything that is applied.
var cutAtOnce = replica.Retention{Age: 1, Spare: -1, Every: time.Hour}

func cut(x *replicatest.Node) {
	x.Sync()
	for range 3 { // a mark, then the cut
		x.Replica.Upkeep(context.Background())
	}
	x.Sync()
}

// writeAll changes objects of every family, and deletes some of what is there.
func writeAll(x *replicatest.Node, round int) {
	val := func(i int) []byte { return fmt.Appendf(nil, "%s %d.%d", x.Name, round, i) }
	for i := range 20 {
		x.Inc("gcounter")
		x.Do(crdt.PNCounter, "pncounter", func(o crdt.Object, now replica.Now) crdt.Op {
			return o.(*crdt.PNCounterState).Dec(now.Author, 2)
		})
		x.Set("register", val(i))
		x.Do(crdt.LWWMap, "map", func(o crdt.Object, now replica.Now) crdt.Op {
			return o.(*crdt.MapState).Set(now.Time, fmt.Appendf(nil, "%s %d", x.Name, i), val(i))
		})
		x.Do(crdt.ORSet, "set", func(o crdt.Object, _ replica.Now) crdt.Op { return o.(*crdt.SetState).Add(val(i)) })
		x.Do(crdt.Sequence, "text", func(o crdt.Object, _ replica.Now) crdt.Op {
			s := o.(*crdt.SequenceState)
			return s.InsertAt(s.Len()*i/20, [][]byte{val(i)})
		})
	}
	for i := range 10 {
		x.Do(crdt.LWWMap, "map", func(o crdt.Object, now replica.Now) crdt.Op {
			return o.(*crdt.MapState).Remove(now.Time, fmt.Appendf(nil, "%s %d", x.Name, 2*i))
		})
		x.Do(crdt.ORSet, "set", func(o crdt.Object, _ replica.Now) crdt.Op {
			op, _ := o.(*crdt.SetState).Remove(val(2 * i))
			return op
		})
		x.Do(crdt.Sequence, "text", func(o crdt.Object, _ replica.Now) crdt.Op {
			s := o.(*crdt.SequenceState)
			return s.DeleteRange(s.Len()/2, 1)
		})
	}
}

var written = []replica.Object{
	{Family: crdt.GCounter, Key: "gcounter"},
	{Family: crdt.PNCounter, Key: "pncounter"},
	{Family: crdt.LWWRegister, Key: "register"},
	{Family: crdt.LWWMap, Key: "map"},
	{Family: crdt.ORSet, Key: "set"},
	{Family: crdt.Sequence, Key: "text"},
}

// settle waits until the nodes hold all that any of them wrote.
func settle(n *replicatest.Net, nodes ...*replicatest.Node) {
	for _, x := range nodes {
		x.Sync()
	}
	n.Wait("equal logs", func() bool { return replicatest.Same(nodes...) })
}

func sameState(t *testing.T, nodes ...*replicatest.Node) {
	t.Helper()
	for _, o := range written {
		want := nodes[0].Show(o.Family, o.Key)
		for _, x := range nodes[1:] {
			if got := x.Show(o.Family, o.Key); got != want {
				t.Errorf("%s %q is\n%s on %s and\n%s on %s", o.Family, o.Key, want, nodes[0].Name, got, x.Name)
			}
		}
	}
}

// A new replica gets a state where the log is cut, and what came since.
func TestBootstrapBelowTheCut(t *testing.T) {
	n := replicatest.New(t, 1)
	n.Retention = cutAtOnce
	a := n.Start("a")
	writeAll(a, 1)
	cut(a)
	writeAll(a, 2)
	b := n.Start("b")
	settle(n, a, b)
	sameState(t, a, b)
	if b.Replica.Stats().StatesJoined.Load() != 1 {
		t.Error("no state was joined")
	}
	writeAll(b, 3)
	writeAll(a, 4)
	settle(n, a, b)
	sameState(t, a, b)
	// What b got, it can hand on, a restart later.
	b.Crash()
	b.Start()
	a.Stop()
	c := n.Start("c")
	n.Wait("the state from one who had it from another", func() bool { return replicatest.Same(b, c) })
	sameState(t, b, c)
}

// Two that have both cut what the other lacks, and both wrote since: neither log
// helps, both states do, and nothing is lost.
func TestJoinBothWays(t *testing.T) {
	n := replicatest.New(t, 1)
	n.Retention = cutAtOnce
	a, b, c := n.Start("a"), n.Start("b"), n.Start("c")
	writeAll(a, 1)
	settle(n, a, b, c)
	n.Cut("a", "b")
	n.Cut("b", "c")
	n.Cut("a", "c")
	for round := 2; round < 4; round++ {
		for _, x := range []*replicatest.Node{a, b, c} {
			writeAll(x, round)
			cut(x)
		}
	}
	writeAll(c, 5)
	n.Heal("a", "b")
	settle(n, a, b)
	sameState(t, a, b)
	n.Heal("b", "c")
	settle(n, a, b, c)
	sameState(t, a, b, c)
	if got, want := a.Show(crdt.GCounter, "gcounter"), fmt.Sprint(20*(1+3*2+1)); got != want {
		t.Errorf("gcounter is %s, want %s: every increment once", got, want)
	}
}

// A replica writes on while it joins a state; nothing of it is lost or held up.
func TestWritesDuringJoin(t *testing.T) {
	n := replicatest.New(t, 1)
	n.Retention = cutAtOnce
	a := n.Start("a")
	for i := range 3000 {
		a.Set(fmt.Sprint("key ", i), []byte(strings.Repeat("x", 200)))
	}
	writeAll(a, 1)
	cut(a)
	b := n.Start("b")
	joined := func() bool { return b.Replica.Stats().StatesJoined.Load() > 0 }
	rounds := 0
	n.Wait("a state while writing", func() bool {
		rounds++
		writeAll(b, rounds)
		return joined()
	})
	settle(n, a, b)
	sameState(t, a, b)
	if got, want := a.Show(crdt.GCounter, "gcounter"), fmt.Sprint(20*(1+rounds)); got != want {
		t.Errorf("gcounter is %s, want %s", got, want)
	}
}

// A crash in the middle of a join, at any row, leaves the state as it was.
func TestCrashDuringJoin(t *testing.T) {
	n := replicatest.New(t, 1)
	n.Retention = cutAtOnce
	a := n.Start("a")
	for i := range 20_000 {
		a.Set(fmt.Sprint("key ", i), []byte(strings.Repeat("x", i%300)))
	}
	writeAll(a, 1)
	cut(a)
	b := n.Start("b")
	for range 5 {
		before := b.Replica.Stats().SyncIn.Load()
		n.Wait("some of the state", func() bool {
			s := b.Replica.Stats()
			return s.SyncIn.Load() > before+10_000 || s.StatesJoined.Load() > 0 || replicatest.Same(a, b)
		})
		b.Crash()
		b.Start()
		b.Inc("gcounter")
		b.Sync()
	}
	settle(n, a, b)
	sameState(t, a, b)
}
