package replica

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/datastore"
)

// Ops of a family that a build does not know are there once it does, in the
// order in which they came. A build that knows less is played by moving what it
// would have kept to where it would have kept it.
func TestKeptOpsAreApplied(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, datastore.Options{})
	a := newTestAuthor(1, l.d.id)
	var kept []row
	for i, op := range []crdt.Op{
		{Seq: 1, Kind: crdt.Add, Field: []byte("x")},
		{Seq: 2, Kind: crdt.Add, Field: []byte("y")},
		{Seq: 3, Kind: crdt.Remove, Field: []byte("x"), Dots: []crdt.DotRun{{Author: a.author, First: 1, Len: 1}}},
	} {
		e := a.entry(t, nil, crdt.Group{Family: crdt.ORSet, Key: []byte("s"), Ops: []crdt.Op{op}})
		plain, err := unpack(e.Codec, e.body())
		if err != nil {
			t.Fatal(err)
		}
		// The section is what follows family, key and its own length.
		group := []byte{byte(crdt.ORSet), 1, 's'}
		raw := plain[bytes.Index(plain, group)+len(group)+1:]
		g := crdt.Group{Family: crdt.ORSet, Key: []byte("s"), Raw: raw, Runs: []crdt.OpRun{{Seq: op.Seq, Width: 1, Count: 1}}}
		l.d.r.cut.RLock()
		l.d.mu.Lock()
		l.d.keep(e, &g)
		kept = append(kept, l.d.extra[len(l.d.extra)-1])
		l.d.applied[a.author], l.d.logs[a.author] = e.Last(), logHead{have: e.Last(), head: e.ID}
		l.d.learned = append(l.d.learned, e)
		l.d.touched[a.author] = struct{}{}
		l.d.r.queue.push(1, 0)
		l.d.mu.Unlock()
		l.d.r.cut.RUnlock()
		if k, err := decodeKept(kept[i].key, kept[i].value); err != nil || k.rank != uint64(i+1) || k.author != a.author || !bytes.Equal(k.group.Raw, raw) {
			t.Fatalf("kept row: %+v, %v", k, err)
		}
	}
	l.sync(t)
	l.close(t)
	l = open(t, dir, datastore.Options{})
	elems := func() (all string) {
		if err := l.d.View(crdt.ORSet, "s", func(o crdt.Object) {
			o.(*crdt.SetState).Range(func(e []byte) bool { all += string(e); return true })
		}); err != nil {
			t.Fatal(err)
		}
		return all
	}
	if got := elems(); got != "y" {
		t.Errorf("set is %q after the upgrade, want y", got)
	}
	l.sync(t)
	if _, err := l.store.Get(kept[0].key); !errors.Is(err, datastore.ErrNotFound) {
		t.Errorf("a kept row is still there (%v)", err)
	}
	l.close(t)
	l = open(t, dir, datastore.Options{})
	if got := elems(); got != "y" {
		t.Errorf("set is %q a restart later, want y", got)
	}
}

// Ops of a family that nobody here knows stay, in logs and in states.
func TestUnknownFamilyTravels(t *testing.T) {
	const unknown crdt.Family = 99
	l := open(t, "", datastore.Options{})
	a := newTestAuthor(1, l.d.id)
	e := a.entry(t, nil, crdt.Group{Family: unknown, Key: []byte("k"), Raw: []byte("who knows"), Runs: []crdt.OpRun{{Seq: 1, Width: 1, Count: 1}}},
		func(h *Header) { h.Count = 1 })
	l.gossip(message(e))
	l.gossip(message(a.entry(t, nil, a.inc("n"))))
	l.sync(t)
	var file bytes.Buffer
	if _, err := l.d.WriteSnapshot(context.Background(), &file); err != nil {
		t.Fatal(err)
	}
	other := open(t, "", datastore.Options{})
	if _, err := other.Restore(context.Background(), bytes.NewReader(file.Bytes())); err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, x := range []*lone{l, other} {
		if err := datastore.ScanPrefix(x.store, datastore.FamilyPrefix(x.d.cache.space, byte(familyKept)), func(_, v []byte) bool {
			if bytes.HasSuffix(v, []byte("who knows")) {
				found++
			}
			return true
		}); err != nil {
			t.Fatal(err)
		}
	}
	if found != 2 || other.count(t, "n") != 1 {
		t.Errorf("the op is on %d of 2 replicas, n = %d", found, other.count(t, "n"))
	}
}

// A store that is found elsewhere than it was goes on as a new author; one that
// is where it was, or does not know, as the old one.
func TestPlace(t *testing.T) {
	store := openStore(t)
	at := func(place string) crdt.Author {
		r, err := Open(Options{Store: store, Key: newTestAuthor(1, DatasetID{}).key, Network: testNetwork, Place: []byte(place)})
		if err != nil {
			t.Fatal(err)
		}
		return r.Author()
	}
	first := at("")
	for _, c := range []struct {
		place string
		same  bool
	}{{"here", true}, {"here", true}, {"", true}, {"there", false}, {"there", true}, {"here", false}} {
		a := at(c.place)
		if (a == first) != c.same {
			t.Errorf("at %q: the same author: %v, want %v", c.place, a == first, c.same)
		}
		first = a
	}
}
