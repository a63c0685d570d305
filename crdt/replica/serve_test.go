package replica

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
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
			if held > serveBuffer || int64(held) != s.held || l.ahead.Load() != taken+int64(held) {
				t.Fatalf("%s: a serve holds %d bytes and says %d of %d in all, want at most %d", name, held, s.held, l.ahead.Load()-taken, serveBuffer)
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

// A peer that stops what is sent to it, at whatever moment, neither stops the node
// nor leaves anything held.
func TestStopWhileServing(t *testing.T) {
	l := open(t, "", datastore.Options{})
	for i := range 200 {
		a := newTestAuthor(byte(i), l.d.id)
		if _, err := l.d.learn(context.Background(), a.entry(t, nil, a.inc(fmt.Sprint("k", i)))); err != nil {
			t.Fatal(err)
		}
	}
	l.sync(t)
	s := newSession(l.Replica, "peer", nopStream{})
	done := make(chan struct{})
	var sender sync.WaitGroup
	frames := 0
	sender.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			f, err := s.turn()
			if err != nil {
				t.Error(err)
				return
			}
			if f != nil {
				frames++
			}
		}
	})
	for ch := uint64(1); ch <= 2000; ch++ {
		state, err := l.d.newStateServe(ch, maxCredit)
		if err != nil {
			t.Fatal(err)
		}
		log := l.d.newServe(wantFrame{channel: ch + 10_000, dataset: l.d.id, credit: maxCredit}, l.now().Add(time.Hour))
		for _, sv := range []*serve{state, log} {
			if err := s.begin(sv); err != nil {
				t.Fatal(err)
			}
		}
		for range ch % 8 {
			runtime.Gosched()
		}
		if err := s.handle(t.Context(), frameStop, uvarint(ch)); err != nil {
			t.Fatal(err)
		}
		if err := s.handle(t.Context(), frameStop, uvarint(ch+10_000)); err != nil {
			t.Fatal(err)
		}
	}
	close(done)
	sender.Wait()
	s.end()
	if n := l.ahead.Load(); n != 0 || frames == 0 {
		t.Errorf("%d bytes are held after the end, %d frames were made", n, frames)
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
