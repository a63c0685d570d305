package replica_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/crdt/replica"
	"github.com/numax-mesh/numax/crdt/replica/replicatest"
	"github.com/numax-mesh/numax/datastore"
)

// tombstones counts the rows with a tombstone on a node's disk.
func tombstones(t *testing.T, x *replicatest.Node) (n int) {
	t.Helper()
	x.Sync()
	if err := datastore.ScanPrefix(x.Store, []byte("o"), func(k, v []byte) bool {
		if f, _, slot, ok := datastore.SplitObjectKey(k); ok && crdt.RowHasTombstone(crdt.Family(f), slot, v) {
			n++
		}
		return true
	}); err != nil {
		t.Fatal(err)
	}
	return n
}

func upkeep(nodes ...*replicatest.Node) {
	for _, x := range nodes {
		x.Replica.Upkeep(context.Background())
		x.Sync()
	}
}

func fill(x *replicatest.Node, n int) {
	for i := range n {
		x.Do(crdt.LWWMap, "map", func(o crdt.Object, now replica.Now) crdt.Op {
			return o.(*crdt.MapState).Set(now.Time, fmt.Appendf(nil, "field %d", i), []byte("value"))
		})
	}
	x.Do(crdt.Sequence, "text", func(o crdt.Object, _ replica.Now) crdt.Op {
		text := make([][]byte, n)
		for i := range text {
			text[i] = []byte{byte('a' + i%26)}
		}
		return o.(*crdt.SequenceState).InsertAt(0, text)
	})
}

func clearAll(x *replicatest.Node, n int) {
	for i := range n {
		x.Do(crdt.LWWMap, "map", func(o crdt.Object, now replica.Now) crdt.Op {
			return o.(*crdt.MapState).Remove(now.Time, fmt.Appendf(nil, "field %d", i))
		})
	}
	x.Do(crdt.Sequence, "text", func(o crdt.Object, _ replica.Now) crdt.Op {
		return o.(*crdt.SequenceState).DeleteRange(0, n)
	})
}

// Tombstones stay while anybody could still write beside them, whatever happens
// meanwhile; when all have signed that they applied the removals, they go, on
// every replica, and the mesh falls silent.
func TestTombstonesGo(t *testing.T) {
	n := replicatest.New(t, 1)
	n.Retention = replica.Retention{Every: time.Hour}
	a, b, c := n.Start("a"), n.Start("b"), n.Start("c")
	all := []*replicatest.Node{a, b, c}
	const fields = 100
	fill(a, fields)
	b.Inc("k") // authors all
	c.Inc("k")
	settle(n, all...)
	n.Cut("a", "c")
	n.Cut("b", "c")
	clearAll(a, fields-1)
	settle(n, a, b)
	for range 4 {
		upkeep(a, b)
		settle(n, a, b)
	}
	if got := tombstones(t, a); got < fields {
		t.Fatalf("%d rows with tombstones, want them all while one author has not heard of them", got)
	}
	// The one who has not heard writes beside what is deleted.
	c.Do(crdt.Sequence, "text", func(o crdt.Object, _ replica.Now) crdt.Op {
		return o.(*crdt.SequenceState).InsertAt(fields/2, [][]byte{[]byte("new")})
	})
	c.Sync()
	n.Heal("a", "c")
	n.Heal("b", "c")
	settle(n, all...)
	gone := func() bool {
		upkeep(all...)
		return tombstones(t, a)+tombstones(t, b)+tombstones(t, c) <= 3 // what "new" and "v" hang on
	}
	n.Wait("tombstones to go", gone)
	settle(n, all...)
	sameState(t, all...)
	for _, x := range all {
		wantShow(t, x, crdt.LWWMap, "map", `"field 99"="value"`)
	}
	wantShow(t, b, crdt.Sequence, "text", `"new" "v"`)
	for range 5 { // the last acks are about the first
		upkeep(all...)
		settle(n, all...)
	}
	before := a.D.Version()
	for range 5 {
		upkeep(all...)
		settle(n, all...)
	}
	for author, seq := range a.D.Version() {
		if before[author] != seq {
			t.Errorf("%v still signs acks with nothing to acknowledge: %d, then %d", author, before[author], seq)
		}
	}
	// Life goes on, for one who comes new as well.
	fill(b, fields)
	d := n.Start("d")
	settle(n, a, b, c, d)
	sameState(t, a, b, c, d)
}

// Who has met nobody keeps what it deleted as long as the log that tells of it: the
// first to come reads that log, and may write between the insertion and the deletion.
func TestTombstonesStayAlone(t *testing.T) {
	n := replicatest.New(t, 1)
	n.Retention = replica.Retention{Every: time.Hour}
	a := n.Start("a")
	fill(a, 100)
	a.Do(crdt.Sequence, "text", func(o crdt.Object, _ replica.Now) crdt.Op {
		return o.(*crdt.SequenceState).DeleteRange(1, 99) // nobody names them
	})
	a.Sync()
	for range 5 {
		upkeep(a)
	}
	if tombstones(t, a) == 0 {
		t.Error("no tombstone is left, and all of the log")
	}
	b := n.Start("b")
	settle(n, a, b)
	n.Wait("tombstones to go", func() bool {
		upkeep(a, b)
		settle(n, a, b)
		return tombstones(t, a) == 0
	})
	sameState(t, a, b)
}

// An author that is gone for good holds tombstones up until it is forgotten.
func TestForget(t *testing.T) {
	n := replicatest.New(t, 1)
	n.Retention = replica.Retention{Every: time.Hour}
	a, b, gone := n.Start("a"), n.Start("b"), n.Start("gone")
	fill(a, 50)
	b.Inc("k")
	gone.Inc("k")
	settle(n, a, b, gone)
	lost := gone.Replica.Author()
	gone.Stop()
	clearAll(a, 50)
	settle(n, a, b)
	for range 4 {
		upkeep(a, b)
		settle(n, a, b)
	}
	if tombstones(t, a) == 0 {
		t.Fatal("tombstones went before everybody had heard")
	}
	if err := a.D.Forget(a.Replica.Author()); err == nil {
		t.Error("a node forgets itself")
	}
	if err := b.D.Forget(lost); err != nil {
		t.Fatal(err)
	}
	n.Wait("tombstones to go", func() bool {
		upkeep(a, b)
		return tombstones(t, a)+tombstones(t, b) == 0
	})
	retired := 0
	for _, m := range a.D.Members() {
		if m.Retired {
			retired++
			if m.Author != lost {
				t.Errorf("%v is retired", m.Author)
			}
		}
	}
	if retired != 1 {
		t.Errorf("%d retired on the other node, want 1", retired)
	}
}

// A log is cut by age and by size, and what is left is what a restart checks.
func TestLogIsCut(t *testing.T) {
	n := replicatest.New(t, 1)
	n.Retention = cutAtOnce
	a := n.Start("a")
	entries := func() (n int) {
		if err := datastore.ScanPrefix(a.Store, []byte("e"), func(_, _ []byte) bool { n++; return true }); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for range 50 {
		a.Inc("k")
		a.Sync()
	}
	if entries() < 50 {
		t.Fatalf("%d entries", entries())
	}
	cut(a)
	if got := entries(); got > 1 {
		t.Errorf("%d entries after the cut", got)
	}
	for range 3 {
		a.Inc("k")
		a.Sync()
	}
	a.Crash()
	a.Start()
	wantShow(t, a, crdt.GCounter, "k", "53")
	a.Inc("k")
	a.Sync()
	b := n.Start("b")
	settle(n, a, b)
	wantShow(t, b, crdt.GCounter, "k", "54")
}
