package replica

import (
	"context"
	"encoding/binary"
	"testing"
	"time"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/crdt/crdttest"
	"github.com/numax-mesh/numax/datastore"
)

// What peers send costs in proportion to its bytes, beside the objects too: control
// ops, entries that wait, logs of many authors, states, what is read at a start.
func TestCost(t *testing.T) {
	opened := func() *lone { return open(t, "", datastore.Options{}) }
	numbered := func(i int) crdt.Author {
		var b [crdt.AuthorSize]byte
		binary.BigEndian.PutUint64(b[:], uint64(i+1))
		return crdt.MakeAuthor(b)
	}
	// entryOf is one that nobody signed: learned, not verified.
	entryOf := func(d *Dataset, a crdt.Author, first uint64, prev EntryID, deps crdt.Version) *Entry {
		op := crdt.Op{Seq: first, Kind: crdt.Inc, P: first}
		body, err := crdt.EncodeBody([]crdt.Group{{Family: crdt.GCounter, Key: []byte("k"), Ops: []crdt.Op{op}}}, a, first, 0)
		if err != nil {
			t.Fatal(err)
		}
		e, err := sealEntry(newTestAuthor(1, d.id).key, Header{Network: testNetwork, Dataset: d.id, Author: a, First: first, Count: 1, Prev: prev, Deps: deps}, body)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	// applied waits until an author's ops are: the committer may do some of the work.
	applied := func(d *Dataset, a crdt.Author, seq uint64) {
		for {
			d.mu.Lock()
			has := d.applied[a]
			d.mu.Unlock()
			if has >= seq {
				return
			}
			time.Sleep(50 * time.Microsecond) // a poll
		}
	}
	learn := func(d *Dataset, e *Entry) {
		if _, err := d.learn(context.Background(), e); err != nil {
			t.Error(err)
		}
	}
	for _, c := range []struct {
		name string
		n    int
		make func(n int) func()
	}{
		{"acks that say little after one that said much", 1 << 11, func(n int) func() {
			l := opened()
			much := make(summary, n)
			l.d.mu.Lock()
			for i := range n {
				h := hashAuthor(numbered(i))
				l.d.hashes[h] = numbered(i)
				much[h] = 1
			}
			l.d.mu.Unlock()
			little := summary{hashAuthor(numbered(0)): 1}
			return func() {
				l.d.r.cut.RLock()
				l.d.mu.Lock()
				l.d.obey(numbered(0), control{kind: controlAck, dead: much})
				for range n {
					l.d.obey(numbered(0), control{kind: controlAck, dead: little})
				}
				l.d.mu.Unlock()
				l.d.r.cut.RUnlock()
			}
		}},
		{"a log that comes from its end", 1 << 11, func(n int) func() {
			l := opened()
			a := numbered(1)
			entries := make([]*Entry, n)
			var prev EntryID
			for i := range entries {
				entries[i] = entryOf(l.d, a, uint64(i+1), prev, nil)
				prev = entries[i].ID
			}
			return func() {
				for i := n - 1; i >= 0; i-- {
					learn(l.d, entries[i])
				}
				applied(l.d, a, uint64(n))
			}
		}},
		{"authors that wait for one another, the last first", 1 << 9, func(n int) func() {
			l := opened()
			entries := make([]*Entry, n)
			for i := range entries {
				deps := crdt.Version{}
				if i > 0 {
					deps[numbered(i-1)] = 1
				}
				entries[i] = entryOf(l.d, numbered(i), 1, EntryID{}, deps)
			}
			return func() {
				for i := n - 1; i >= 0; i-- {
					learn(l.d, entries[i])
				}
				applied(l.d, numbered(n-1), 1)
				_ = l.Sync(ctx) // or the small one is over before the first commit
			}
		}},
		{"entries of one author while many others wait", 1 << 11, func(n int) func() {
			l := opened()
			for i := range n {
				learn(l.d, entryOf(l.d, numbered(i+10), 1, EntryID{}, crdt.Version{numbered(1): 1 << 40}))
			}
			var prev EntryID
			entries := make([]*Entry, n)
			for i := range entries {
				entries[i] = entryOf(l.d, numbered(1), uint64(i+1), prev, nil)
				prev = entries[i].ID
			}
			return func() {
				for _, e := range entries {
					learn(l.d, e)
				}
				applied(l.d, numbered(1), uint64(n))
			}
		}},
		{"an entry that depends on many, whose entries come one by one", 1 << 11, func(n int) func() {
			l := opened()
			deps := crdt.Version{}
			for i := range n {
				deps[numbered(i+10)] = 1
			}
			learn(l.d, entryOf(l.d, numbered(1), 1, EntryID{}, deps))
			entries := make([]*Entry, n)
			for i := range entries {
				entries[i] = entryOf(l.d, numbered(i+10), 1, EntryID{}, nil)
			}
			return func() {
				for _, e := range entries {
					learn(l.d, e)
				}
				applied(l.d, numbered(1), 1)
			}
		}},
		{"logs of many authors to a peer that has none", 1 << 11, func(n int) func() {
			l := opened()
			for i := range n {
				learn(l.d, entryOf(l.d, numbered(i), 1, EntryID{}, nil))
			}
			l.sync(t)
			return func() {
				s := l.d.newServe(wantFrame{dataset: l.d.id, credit: maxCredit}, l.d.r.now())
				for {
					if e, err := s.next(); err != nil || e == nil {
						return
					}
				}
			}
		}},
		{"acks of many authors", 1 << 11, func(n int) func() {
			all := make([]*ack, n)
			for i := range all {
				all[i] = &ack{upto: 1, applied: crdt.Version{numbered(i): 1, numbered(i + 1): 1}}
			}
			return func() {
				var low stability
				us := &ack{upto: 1, applied: crdt.Version{}}
				for i := range n {
					us.applied[numbered(i)] = 1
				}
				low.add(numbered(1<<20), us)
				for i, a := range all {
					low.add(numbered(i), a)
				}
			}
		}},
		{"a start with many facts and logs", 1 << 11, func(n int) func() {
			store := openStore(t)
			l := openOver(t, store)
			for i := range n {
				learn(l.d, entryOf(l.d, numbered(i), 1, EntryID{}, nil))
			}
			l.sync(t)
			var b datastore.Batch
			h := hashAuthor(numbered(0))
			for i := range n {
				x := hashAuthor(numbered(i))
				b.Put(datastore.FactKey(l.d.id, factDead, append(h[:], x[:]...)), []byte{1})
				b.Put(datastore.FactKey(l.d.id, factRetired, x[:]), []byte{})
			}
			if err := store.Write(&b); err != nil {
				t.Fatal(err)
			}
			return func() {
				if _, err := loadDataset(l.Replica, l.d.id, "d"); err != nil {
					t.Error(err)
				}
			}
		}},
		{"a state of many logs", 1 << 10, func(n int) func() {
			m := manifest{network: testNetwork, author: numbered(0), logs: make(map[crdt.Author]logHead)}
			for i := range n {
				m.logs[numbered(i)] = logHead{have: 1, head: EntryID{1}}
			}
			return func() {
				if _, err := decodeManifest(m.encode()); err != nil {
					t.Error(err)
				}
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) { crdttest.CheckCost(t, c.n, c.make) })
	}
}
