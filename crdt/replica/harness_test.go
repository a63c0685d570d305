package replica

import (
	"context"
	"crypto/ed25519"
	"testing"
	"time"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/datastore"
)

// testAuthor is an author whose entries a test makes by hand.
type testAuthor struct {
	key    ed25519.PrivateKey
	author crdt.Author
	id     DatasetID
	next   uint64
	prev   EntryID
	total  uint64
}

var testNetwork = OpenNetwork("test")

func newTestAuthor(seed byte, id DatasetID) *testAuthor {
	key := ed25519.NewKeyFromSeed(append(make([]byte, 31), seed))
	var b [crdt.AuthorSize]byte
	copy(b[:], key.Public().(ed25519.PublicKey))
	b[39] = 1
	return &testAuthor{key: key, author: crdt.MakeAuthor(b), id: id, next: 1}
}

// group is a count of one up, as the next op.
func (a *testAuthor) inc(key string) crdt.Group {
	a.total++
	return crdt.Group{Family: crdt.GCounter, Key: []byte(key), Ops: []crdt.Op{{Seq: a.next, Kind: crdt.Inc, P: a.total}}}
}

func (a *testAuthor) entry(t testing.TB, deps crdt.Version, g crdt.Group, change ...func(*Header)) *Entry {
	t.Helper()
	var count uint64
	for i := range g.Ops {
		count += g.Ops[i].Width()
	}
	at := crdt.HLCFromTime(1_700_000_000_000)
	body, err := crdt.EncodeBody([]crdt.Group{g}, a.author, a.next, at)
	if err != nil {
		t.Fatal(err)
	}
	codec, packed := packBody(body, len(body))
	h := Header{
		Network: testNetwork, Dataset: a.id, Author: a.author, First: a.next, Count: count,
		Prev: a.prev, Time: at, Deps: deps, Codec: codec,
	}
	for _, f := range change {
		f(&h)
	}
	e, err := sealEntry(a.key, h, packed)
	if err != nil {
		t.Fatal(err)
	}
	a.next, a.prev = h.Last()+1, e.ID
	return e
}

func message(e *Entry) []byte { return append([]byte{gossipEntry}, e.raw...) }

// lone is a running replica without a mesh.
type lone struct {
	*Replica
	d     *Dataset
	store *datastore.Store
	stop  func() error
	ended chan struct{}
}

func openStore(t testing.TB) *datastore.Store {
	t.Helper()
	store, err := datastore.Open("", datastore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Crash() })
	return store
}

func open(t testing.TB, dir string, o datastore.Options) *lone {
	t.Helper()
	store, err := datastore.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return openOver(t, store)
}

func openOver(t testing.TB, store *datastore.Store, change ...func(*Options)) *lone {
	t.Helper()
	o := Options{Store: store, Key: ed25519.NewKeyFromSeed(make([]byte, 32)), Network: testNetwork}
	for _, f := range change {
		f(&o)
	}
	r, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	d, err := r.Dataset("d")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	l := &lone{Replica: r, d: d, store: store, ended: make(chan struct{})}
	var ran error
	go func() { ran = r.Run(ctx); close(l.ended) }()
	l.stop = func() error { cancel(); <-l.ended; return ran }
	t.Cleanup(func() { _ = store.Crash(); _ = l.stop() })
	return l
}

func (l *lone) crash(t testing.TB) {
	t.Helper()
	if err := l.store.Crash(); err != nil {
		t.Fatal(err)
	}
	_ = l.stop()
}

func (l *lone) close(t testing.TB) {
	t.Helper()
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	if err := l.store.Close(); err != nil {
		t.Fatal(err)
	}
}

func (l *lone) inc(key string) error {
	_, err := l.d.Update(context.Background(), crdt.GCounter, key, func(o crdt.Object, now Now) (crdt.Op, bool) {
		return o.(*crdt.GCounterState).Inc(now.Author, 1), true
	})
	return err
}

func (l *lone) sync(t testing.TB) {
	t.Helper()
	if err := l.Sync(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func (l *lone) count(t testing.TB, key string) (n uint64) {
	t.Helper()
	if err := l.d.View(crdt.GCounter, key, func(o crdt.Object) { n = o.(*crdt.GCounterState).Value() }); err != nil {
		t.Fatal(err)
	}
	return n
}

func (l *lone) text(t testing.TB, key string) (s string) {
	t.Helper()
	if err := l.d.View(crdt.Sequence, key, func(o crdt.Object) {
		o.(*crdt.SequenceState).Range(func(_ crdt.Dot, v []byte) bool { s += string(v); return true })
	}); err != nil {
		t.Fatal(err)
	}
	return s
}

// gossip gives the replica a message as the mesh would.
func (l *lone) gossip(m []byte) Verdict {
	v, token := l.Validate("peer", l.d.id, m)
	if v == Accept {
		l.Receive(context.Background(), "peer", token)
	}
	return v
}

func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !cond(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}

// anyProof has a proof decoded whoever it is against.
func anyProof(*Entry) bool { return true }
