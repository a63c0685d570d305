package replica

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/datastore"
	"github.com/numax-mesh/numax/datastore/datastoretest"
)

// While the state of a peer is joined the log is not cut: what the objects had
// when the join began is pinned, and the rest is replayed from the log.
func TestNoCutDuringJoin(t *testing.T) {
	l := openOver(t, openStore(t), func(o *Options) {
		o.Retention = Retention{Age: 1, Spare: -1, Every: time.Hour, Bytes: 1}
	})
	ctx := context.Background()
	for range 3 {
		if err := l.inc("k"); err != nil {
			t.Fatal(err)
		}
		l.sync(t)
	}
	cut := func() uint64 {
		l.Upkeep(ctx)
		l.Upkeep(ctx)
		l.sync(t)
		l.d.mu.Lock()
		defer l.d.mu.Unlock()
		return l.d.durable[l.d.self].cut
	}
	setJoining := func(on bool) {
		l.d.mu.Lock()
		defer l.d.mu.Unlock()
		l.d.joining = on
	}
	l.Upkeep(ctx) // sets a mark
	setJoining(true)
	if got := cut(); got != 0 {
		t.Errorf("the log is cut at %d during a join", got)
	}
	setJoining(false)
	if got := cut(); got == 0 {
		t.Error("the log is never cut after a join")
	}
}

// What the store shows while it cannot sync may be gone after a power cut, and
// its seqs used again: no peer gets a state of it.
func TestNoStateWhileDiskFails(t *testing.T) {
	disk := datastoretest.NewDisk()
	l := open(t, "", datastore.Options{Storage: disk})
	if err := l.inc("k"); err != nil {
		t.Fatal(err)
	}
	l.sync(t)
	disk.Fail(datastoretest.FailSync, 0)
	if err := l.inc("k"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the disk to fail", func() bool { return l.Failure() != nil })
	if s, err := l.d.newState(false); !errors.Is(err, ErrBusy) {
		if err == nil {
			s.close()
		}
		t.Errorf("a state while the disk fails: %v, want %v", err, ErrBusy)
	}
	disk.Fail(datastoretest.NoFault, 0)
	eventually(t, "the disk to work", func() bool { return l.Failure() == nil })
	s, err := l.d.newState(false)
	if err != nil {
		t.Fatal(err)
	}
	s.close()
}

// A copy of our data directory wrote on and its state comes here: its end of our
// log lies within an entry of ours. We write on as somebody else.
func TestJoinOfACopy(t *testing.T) {
	dir := t.TempDir()
	a := open(t, dir, datastore.Options{})
	if err := a.inc("k"); err != nil {
		t.Fatal(err)
	}
	a.close(t)
	copied := t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	a, b := open(t, dir, datastore.Options{}), open(t, copied, datastore.Options{})
	for range 9 { // one entry of nine, beside nine of one
		if err := errors.Join(a.inc("k"), b.inc("k")); err != nil {
			t.Fatal(err)
		}
		b.sync(t)
	}
	if err := a.inc("k"); err != nil { // it is ahead of the copy
		t.Fatal(err)
	}
	a.sync(t)
	other := newTestAuthor(7, b.d.id)
	if v := b.gossip(message(other.entry(t, nil, other.inc("other")))); v != Accept {
		t.Fatal(v)
	}
	b.sync(t)
	old := a.Author()
	joinState(t, a, b, func() {})
	if a.Author() == old {
		t.Error("still the author that the copy is")
	}
	if err := a.inc("after"); err != nil {
		t.Fatal(err)
	}
	a.sync(t)
	if got := a.count(t, "other"); got != 1 {
		t.Errorf("other is %d, want 1", got)
	}
}

// joinState has a replica take over the state of another. meanwhile runs when all of
// the state has come and nothing of it is adopted.
func joinState(t *testing.T, to, from *lone, meanwhile func()) {
	t.Helper()
	s, err := from.d.newState(false)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	j, err := to.d.newJoin(s.manifest, false)
	if err != nil {
		t.Fatal(err)
	}
	defer j.close()
	for {
		rows, err := s.chunk()
		if err != nil {
			t.Fatal(err)
		}
		if rows == nil {
			break
		}
		if err := j.state.rows(rows); err != nil {
			t.Fatal(err)
		}
	}
	meanwhile()
	if err := j.finish(context.Background(), s.seal(), agreed); err != nil {
		t.Fatal(err)
	}
}

// What waited for an author to be heard of is deleted when a state brings it.
func TestDeletionsWaitForAState(t *testing.T) {
	a, b := open(t, "", datastore.Options{}), open(t, "", datastore.Options{})
	x := newTestAuthor(7, a.d.id)
	b.gossip(message(x.entry(t, nil, insert(x, "s", "a", "b", "c"))))
	b.sync(t)
	if err := a.d.DeleteElement(t.Context(), "s", FormatElementID(crdt.Dot{Author: x.author, Seq: 2})); err != nil {
		t.Fatal(err)
	}
	joinState(t, a, b, func() {})
	if got := a.text(t, "s"); got != "ac" || len(a.d.intents) != 0 {
		t.Errorf("got %q, and %d deletions wait; want ac", got, len(a.d.intents))
	}
}

// A log that ends, cut, where the state has it grows while the state comes: its head
// was not kept, and nobody is to blame.
func TestLogGrowsDuringJoin(t *testing.T) {
	a := openOver(t, openStore(t), func(o *Options) {
		o.Retention = Retention{Age: 1, Spare: -1, Every: time.Hour, Bytes: 1}
	})
	b := open(t, "", datastore.Options{})
	x, y := newTestAuthor(7, a.d.id), newTestAuthor(8, a.d.id)
	first := message(x.entry(t, nil, x.inc("k")))
	a.gossip(first)
	b.gossip(first)
	b.gossip(message(y.entry(t, nil, y.inc("k"))))
	b.sync(t)
	for range 3 {
		a.sync(t)
		a.Upkeep(t.Context())
	}
	if l := a.d.durable[x.author]; l.cut != 1 {
		t.Fatalf("the log is cut at %d, want 1", l.cut)
	}
	joinState(t, a, b, func() {
		a.gossip(message(x.entry(t, nil, x.inc("k"))))
		a.sync(t)
	})
	if got := a.count(t, "k"); got != 3 {
		t.Errorf("got %d, want 3", got)
	}
}

// What this replica signed to be dead while a state came is no origin of what it
// inserts afterwards: others may have dropped it.
func TestDeadStaysDeadAfterJoin(t *testing.T) {
	a, b := open(t, "", datastore.Options{}), open(t, "", datastore.Options{})
	x, y := newTestAuthor(7, a.d.id), newTestAuthor(8, a.d.id)
	first := message(x.entry(t, nil, insert(x, "s", "a", "b", "c")))
	a.gossip(first)
	b.gossip(first)
	b.gossip(message(y.entry(t, nil, y.inc("k"))))
	a.sync(t)
	b.sync(t)
	last := crdt.Dot{Author: x.author, Seq: 3} // no element names it
	joinState(t, a, b, func() {
		a.gossip(message(x.entry(t, nil, crdt.Group{Family: crdt.Sequence, Key: []byte("s"), Ops: []crdt.Op{
			{Seq: 4, Kind: crdt.Delete, Dots: []crdt.DotRun{{Author: last.Author, First: last.Seq, Len: 1}}},
		}})))
		a.sync(t)
		a.Upkeep(t.Context())
		a.sync(t)
		a.d.mu.Lock()
		defer a.d.mu.Unlock()
		if !a.d.dead[a.d.hash(a.d.self)].dominates(summary{a.d.hash(x.author): 4}) {
			t.Fatal("the deletion is not signed to be dead")
		}
	})
	var op crdt.Op
	if err := a.d.View(crdt.Sequence, "s", func(o crdt.Object) { op = o.(*crdt.SequenceState).InsertAt(2, nil) }); err != nil {
		t.Fatal(err)
	}
	if op.Left == last || op.Right == last {
		t.Errorf("the next insertion lies between %v and %v: one of them is dead", op.Left, op.Right)
	}
}
