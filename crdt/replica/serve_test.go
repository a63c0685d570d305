package replica

import (
	"bytes"
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/datastore"
)

// What a serve holds in memory is bounded, however many authors it reads and however
// large their entries are; and what it sends, and in which order, does not depend
// on how much room there is.
func TestServesHoldLittle(t *testing.T) {
	l := open(t, "", datastore.Options{})
	random := rand.New(rand.NewPCG(1, 1))
	const authors, each = 80, 3
	heads, sent := make([]EntryID, authors), map[EntryID]bool{}
	for round := range each {
		for i := range authors {
			a := newTestAuthor(byte(i), l.d.id)
			a.next, a.total = uint64(round+1), 0
			value := make([]byte, 40<<10)
			for k := range value {
				value[k] = byte(random.Uint32())
			}
			g := crdt.Group{Family: crdt.LWWRegister, Key: []byte("k"), Ops: []crdt.Op{{Seq: a.next, Kind: crdt.Set, Time: 1, Value: value}}}
			e := a.entry(t, nil, g, func(h *Header) {
				h.Time = crdt.HLCFromTime(1_700_000_000_000 + int64(random.IntN(1_000_000)+round*2_000_000))
				h.Prev = EntryID{}
				if round > 0 {
					h.Prev = heads[i]
				}
			})
			heads[i] = e.ID
			if _, err := l.d.learn(context.Background(), e); err != nil {
				t.Fatal(err)
			}
			sent[e.ID] = true
		}
	}
	l.sync(t)

	var want [][]byte
	for name, taken := range map[string]int64{"room": 0, "no room": maxAhead} {
		l.ahead.Store(taken)
		s := l.d.newServe(wantFrame{dataset: l.d.id, credit: maxCredit}, l.now().Add(time.Hour))
		var got [][]byte
		last := crdt.HLC(0)
		for {
			raw, err := s.next()
			if err != nil {
				t.Fatal(err)
			}
			if raw == nil {
				break
			}
			e, _, err := splitEntry(raw, false)
			if err != nil || e.Time < last {
				t.Fatalf("%s: entry at %d after one at %d, %v", name, e.Time, last, err)
			}
			last = e.Time
			got = append(got, raw)
			held := 0
			for _, c := range s.cursors {
				for _, a := range c.ahead {
					held += len(a.raw)
				}
			}
			if held > serveBuffer || int64(held) != s.held.Load() || l.ahead.Load() != taken+int64(held) {
				t.Fatalf("%s: a serve holds %d bytes and says %d of %d in all, want at most %d", name, held, s.held.Load(), l.ahead.Load()-taken, serveBuffer)
			}
		}
		if s.close(); l.ahead.Load() != taken {
			t.Errorf("%s: %d bytes are held after the end", name, l.ahead.Load()-taken)
		}
		if len(got) != len(sent) {
			t.Errorf("%s: %d entries served, want %d", name, len(got), len(sent))
		}
		if want == nil {
			want = got
		}
		for i := range min(len(got), len(want)) {
			if !bytes.Equal(got[i], want[i]) {
				t.Fatalf("entry %d is another one without room", i)
			}
		}
	}
}

// A serve that ends in the middle gives back what it holds, also when a frame is being made.
func TestServeEnds(t *testing.T) {
	l := open(t, "", datastore.Options{})
	for i := range 20 {
		a := newTestAuthor(byte(i), l.d.id)
		if _, err := l.d.learn(context.Background(), a.entry(t, nil, a.inc("k"))); err != nil {
			t.Fatal(err)
		}
	}
	l.sync(t)
	s := l.d.newServe(wantFrame{dataset: l.d.id, credit: maxCredit}, l.now().Add(time.Hour))
	for range 3 {
		if _, err := s.next(); err != nil {
			t.Fatal(err)
		}
	}
	if l.ahead.Load() == 0 {
		t.Fatal("nothing was read ahead")
	}
	s.close()
	for range 3 { // what a sender does that does not know yet
		if _, err := s.next(); err != nil {
			t.Fatal(err)
		}
	}
	s.release()
	if n := l.ahead.Load(); n != 0 {
		t.Errorf("%d bytes are held after the end", n)
	}
}

// Who wants a dataset again has given up what it wanted before: a peer has one
// serve of a dataset, however often it asks.
func TestWantsOfOneDataset(t *testing.T) {
	l := open(t, "", datastore.Options{})
	a := newTestAuthor(1, l.d.id)
	if _, err := l.d.learn(context.Background(), a.entry(t, nil, a.inc("k"))); err != nil {
		t.Fatal(err)
	}
	l.sync(t)
	s := newSession(l.Replica, "peer", nopStream{})
	for ch := range uint64(2 * maxServes) {
		w := wantFrame{channel: ch + 1, dataset: l.d.id, credit: 1}
		if err := s.onWant(context.Background(), w.encode()[2:]); err != nil {
			t.Fatal(err)
		}
	}
	if len(s.serves) != 1 || s.serves[0].channel != 2*maxServes {
		t.Errorf("%d serves for one dataset, want the last", len(s.serves))
	}
}
