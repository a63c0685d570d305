package replica_test

import (
	"context"
	"os"
	"testing"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/crdt/replica/replicatest"
	"github.com/numax-mesh/numax/datastore"
)

// copied starts a node with one write, and its twin over a copy of its directory;
// a sees b only, the twin c.
func copied(t *testing.T) (n *replicatest.Net, a, twin, b, c *replicatest.Node) {
	t.Helper()
	n = replicatest.New(t, 1)
	dir, to := t.TempDir(), t.TempDir()
	a = n.StartOver("a", dir, datastore.Options{})
	a.Inc("k")
	a.Sync()
	a.Stop()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	twin = n.StartAs("twin", "a", to)
	b, c = n.Start("b"), n.Start("c")
	for _, x := range []string{"a", "b"} {
		for _, y := range []string{"twin", "c"} {
			n.Cut(x, y)
		}
	}
	a.Start()
	return n, a, twin, b, c
}

// A data directory is copied and both copies write on: the author's two logs
// become known, everywhere, and nothing more of them is taken; both copies go on
// as new authors; and a resync makes all states equal again.
func TestForkedAuthor(t *testing.T) {
	n, a, twin, b, c := copied(t)
	old := a.Replica.Author()
	for range 3 {
		a.Inc("k")
		a.Sync()
	}
	for range 5 {
		twin.Inc("k")
		twin.Inc("other")
		twin.Sync()
	}
	settle(n, a, b)
	settle(n, twin, c)
	b.Inc("b")
	n.Heal("b", "c")
	all := []*replicatest.Node{a, b, c, twin}
	forked := func(x *replicatest.Node) bool {
		for _, m := range x.D.Members() {
			if m.Author == old && m.Forked {
				return true
			}
		}
		return false
	}
	n.Wait("the fork to be known to all", func() bool { return forked(a) && forked(b) && forked(c) && forked(twin) })
	a.Inc("after")
	twin.Inc("after")
	for _, x := range all {
		n.Wait("what both write as new authors", sees(x, "after", "2"))
	}
	settle(n, all...)
	if a.Replica.Author() == old || twin.Replica.Author() == old || a.Replica.Author() == twin.Replica.Author() {
		t.Error("a copy does not write as a new author")
	}
	wantShow(t, b, crdt.GCounter, "other", "0")
	wantShow(t, c, crdt.GCounter, "other", "5")

	// The state of c is the one to go on with; b hands it to a. What only they
	// have stays.
	for _, step := range []struct{ to, from *replicatest.Node }{{b, c}, {a, b}} {
		if err := step.to.D.Resync(context.Background(), step.from.Name); err != nil {
			t.Fatal(err)
		}
	}
	settle(n, all...)
	for _, x := range all {
		for key, want := range map[string]string{"other": "5", "k": "6", "b": "1", "after": "2"} {
			wantShow(t, x, crdt.GCounter, key, want)
		}
	}
	if err := a.D.Resync(context.Background(), "nobody"); err == nil {
		t.Error("a resync from nobody")
	}
	b.Crash()
	b.Start()
	b.Inc("after")
	for _, x := range all {
		n.Wait("life to go on", sees(x, "after", "3"))
	}
}

// Who comes when an author has long been found to fork gets nothing of its logs,
// but hears of it: otherwise it would never be equal to those who know. After a
// resync the state of a replica that had held the longer half can be handed on.
func TestForkAndNewcomer(t *testing.T) {
	n, a, twin, b, c := copied(t)
	for range 9 {
		a.Inc("k")
		a.Sync()
	}
	twin.Inc("k")
	b.Inc("b") // its own ops make both sides ack the forked author
	c.Inc("c")
	settle(n, a, b)
	settle(n, twin, c)
	n.Heal("b", "c")
	settle(n, a, b, c, twin)

	late := n.Start("late")
	settle(n, a, b, c, twin, late)
	if err := b.D.Resync(context.Background(), "c"); err != nil {
		t.Fatal(err)
	}
	settle(n, b, c)
	if err := late.D.Resync(context.Background(), "b"); err != nil {
		t.Fatal(err)
	}
	settle(n, a, b, c, twin, late)
	wantShow(t, late, crdt.GCounter, "k", "2")
	wantShow(t, late, crdt.GCounter, "b", "1")
}

// Who comes when an author has long been found to fork is given nothing of its logs.
// What others wrote when they had applied some of it waits for that nevertheless: not
// for ever.
func TestWrittenAfterAFork(t *testing.T) {
	n, a, twin, b, c := copied(t)
	for range 9 {
		a.Inc("k")
		a.Sync()
	}
	settle(n, a, b)
	b.Inc("b")
	b.Sync()
	twin.Inc("k")
	settle(n, a, b)
	settle(n, twin, c)
	n.Heal("b", "c")
	settle(n, a, b, c, twin)
	late := n.Start("late")
	n.Wait("what b wrote to be seen by who never had the author that forked", sees(late, "b", "1"))
}
