package replica

import (
	"crypto/ed25519"
	"encoding/binary"
	"testing"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/datastore"
)

// authorsOf makes n authors of one key.
func authorsOf(key ed25519.PrivateKey, id DatasetID, n int) []*testAuthor {
	all := make([]*testAuthor, n)
	for i := range all {
		all[i] = &testAuthor{key: key, id: id, next: 1}
		var b [crdt.AuthorSize]byte
		copy(b[:], key.Public().(ed25519.PublicKey))
		binary.BigEndian.PutUint64(b[ed25519.PublicKeySize:], uint64(i+1))
		all[i].author = crdt.MakeAuthor(b)
	}
	return all
}

// One key cannot take all slots, gets those back that are retired, and not for
// ever; who is refused is named in the next want.
func TestSlotsOfOneKey(t *testing.T) {
	l := open(t, "", datastore.Options{})
	greedy, honest := newTestAuthor(1, l.d.id), newTestAuthor(2, l.d.id)
	all := authorsOf(greedy.key, l.d.id, maxEverKey+8)
	logs := func() int {
		l.d.mu.Lock()
		defer l.d.mu.Unlock()
		return len(l.d.logs)
	}
	send := func(from, to int) {
		for _, a := range all[from:to] {
			l.gossip(message(a.entry(t, nil, a.inc("k"))))
		}
	}
	send(0, maxOfKey+2)
	if n := logs(); n != maxOfKey {
		t.Fatalf("%d authors of one key are taken, want %d", n, maxOfKey)
	}
	refused := l.d.wanted()
	for _, a := range all[maxOfKey : maxOfKey+2] {
		if refused[hashAuthor(a.author)] != refusedSeq {
			t.Errorf("a want does not say that %v is refused", a.author)
		}
	}
	if n, _ := l.d.Refusals(); n != 2 || l.stats.Refused.Load() != 2 {
		t.Errorf("%d authors are refused, %d counted, want 2", n, l.stats.Refused.Load())
	}
	l.gossip(message(honest.entry(t, nil, honest.inc("k"))))
	if n := logs(); n != maxOfKey+1 {
		t.Errorf("there is no room for another key: %d authors", n)
	}
	for from := maxOfKey + 2; from < len(all); from += maxOfKey {
		l.d.mu.Lock()
		for _, a := range all[:from] {
			l.d.retired[hashAuthor(a.author)] = true
		}
		l.d.mu.Unlock()
		send(from, min(from+maxOfKey, len(all)))
	}
	if n := logs(); n != maxEverKey+1 {
		t.Errorf("%d authors of one key are taken in all, want %d", n-1, maxEverKey)
	}
}

// Who is refused learns it from the peer's want, and when it is over.
func TestHearsRefusal(t *testing.T) {
	l := open(t, "", datastore.Options{})
	a := newTestAuthor(1, l.d.id)
	version := summary{hashAuthor(l.d.self): refusedSeq, hashAuthor(a.author): 7}
	if known := l.d.heardWant("peer", version); len(known) != 1 || known[hashAuthor(a.author)] != 7 {
		t.Errorf("the peer's version: got %v, want what it has of one author", known)
	}
	if _, by := l.d.Refusals(); len(by) != 1 || by[0] != "peer" {
		t.Errorf("refused by %q, want the peer", by)
	}
	l.d.heardWant("peer", summary{})
	if _, by := l.d.Refusals(); len(by) != 0 {
		t.Errorf("refused by %q, want nobody any more", by)
	}
}

// When slots run short, the rest is for keys that have none yet.
func TestRoomForNewcomers(t *testing.T) {
	l := open(t, "", datastore.Options{})
	known, fresh := newTestAuthor(1, l.d.id), newTestAuthor(2, l.d.id)
	l.gossip(message(known.entry(t, nil, known.inc("k"))))
	l.d.mu.Lock()
	defer l.d.mu.Unlock()
	for n := range newcomers {
		var b [crdt.AuthorSize]byte
		binary.BigEndian.PutUint64(b[:], uint64(n+1))
		l.d.logs[crdt.MakeAuthor(b)] = logHead{have: 1}
	}
	second := authorsOf(known.key, l.d.id, 9)[8]
	if l.d.hasRoom(second.author) {
		t.Error("a key that has an author gets another when slots are short")
	}
	if !l.d.hasRoom(fresh.author) {
		t.Error("a newcomer finds no room")
	}
}
