package replica

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/datastore"
)

func TestValidate(t *testing.T) {
	l := open(t, "", datastore.Options{})
	good := newTestAuthor(1, l.d.id)
	e := good.entry(t, nil, good.inc("k"))
	flip := func(at int) []byte {
		m := bytes.Clone(message(e))
		m[at] ^= 1
		return m
	}
	foreign := newTestAuthor(2, l.d.id)
	change := func(f func(*Header)) []byte {
		a := newTestAuthor(3, l.d.id)
		return message(a.entry(t, nil, a.inc("k"), f))
	}
	spelled := append([]byte{gossipEntry, e.raw[0], e.raw[1] | 0x80, 0}, e.raw[2:]...)
	for _, c := range []struct {
		name    string
		message []byte
		want    Verdict
	}{
		{"empty", nil, Reject},
		{"unknown kind", []byte{7, 1, 2}, Reject},
		{"garbage", append([]byte{0}, bytes.Repeat([]byte{0xff}, 300)...), Reject},
		{"truncated", message(e)[:len(message(e))-1], Reject},
		{"longer", append(message(e), 0), Reject},
		{"header changed", flip(60), Reject},
		{"signature changed", flip(1 + e.bodyAt - 3), Reject},
		{"body changed", flip(1 + e.bodyAt), Reject},
		{"another spelling of the length", spelled, Reject},
		{"oversized", append([]byte{0}, make([]byte, MaxEntry+1)...), Reject},
		{"announcement with a body", append([]byte{gossipHeader}, e.raw...), Reject},
		{"count of nothing", change(func(h *Header) { h.Count = 0 }), Reject},
		{"count not of the body", change(func(h *Header) { h.Count = 2 }), Reject},
		{"unknown codec", change(func(h *Header) { h.Codec = 9 }), Reject},
		{"key id", change(func(h *Header) { h.KeyID = []byte{1} }), Reject},
		{"first without zeros before it", change(func(h *Header) { h.Prev[0] = 1 }), Reject},
		{"of another network", change(func(h *Header) { h.Network[0]++ }), Ignore},
		{"of another dataset", message(foreign.entry(t, nil, foreign.inc("k"), func(h *Header) { h.Dataset[0]++ })), Ignore},
		{"good", message(e), Accept},
		{"announcement", append([]byte{gossipHeader}, e.head()...), Accept},
	} {
		rejected, ignored := l.stats.Rejected.Load(), l.stats.Ignored.Load()
		got := l.gossip(c.message)
		if got != c.want {
			t.Errorf("%s: verdict %d, want %d", c.name, got, c.want)
		}
		if l.stats.Rejected.Load()-rejected != b2u(c.want == Reject) || l.stats.Ignored.Load()-ignored != b2u(c.want == Ignore) {
			t.Errorf("%s is not counted", c.name)
		}
	}
	if n := l.count(t, "k"); n != 1 {
		t.Errorf("k = %d, want only the good entry", n)
	}
}

func b2u(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

func TestReplayIsNoNews(t *testing.T) {
	l := open(t, "", datastore.Options{})
	a := newTestAuthor(1, l.d.id)
	var all [][]byte
	for range 20 {
		all = append(all, message(a.entry(t, nil, a.inc("k"))))
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for range 5 {
		rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		for _, m := range all {
			l.gossip(m)
		}
	}
	if n := l.count(t, "k"); n != 20 {
		t.Errorf("k = %d, want 20", n)
	}
	if ops, entries := l.stats.OpsRemote.Load(), l.stats.EntriesRemote.Load(); ops != 20 || entries != 20 {
		t.Errorf("%d ops in %d entries were news, want 20 and 20", ops, entries)
	}
	if l.stats.Forks.Load() != 0 || l.d.hasGap() {
		t.Error("replays look like a fork or leave a gap")
	}
}

// An author that signed two logs is proven to have, by the same seq twice or by
// a link that does not fit, and frozen: nothing more of either log is taken, and
// who depends on it need not wait for it. A restart changes nothing.
func TestForkFreezes(t *testing.T) {
	for _, link := range []bool{false, true} {
		dir := t.TempDir()
		l := open(t, dir, datastore.Options{})
		a, twin, b := newTestAuthor(1, l.d.id), newTestAuthor(1, l.d.id), newTestAuthor(2, l.d.id)
		l.gossip(message(a.entry(t, nil, a.inc("k"))))
		l.sync(t) // what is on its way to disk is not looked at
		fork := twin.entry(t, nil, twin.inc("other"))
		if link {
			fork = twin.entry(t, nil, twin.inc("other"))
		}
		l.gossip(message(fork))
		if n := l.stats.Forks.Load(); n != 1 {
			t.Fatalf("link=%v: %d forks, want 1", link, n)
		}
		l.sync(t)
		for range 2 {
			l.gossip(message(a.entry(t, nil, a.inc("k"))))
			l.gossip(message(b.entry(t, crdt.Version{a.author: 1000}, b.inc("after"))))
			l.sync(t)
			if n := l.count(t, "k"); n != 1 {
				t.Errorf("link=%v: k = %d, want what there was when the author was frozen", link, n)
			}
			if n := l.count(t, "after"); n != b.next-1 {
				t.Errorf("link=%v: after = %d, want %d: a frozen author holds nobody up", link, n, b.next-1)
			}
			if len(l.d.have()) != 1 {
				t.Errorf("link=%v: a frozen author is in the version", link)
			}
			l.close(t)
			l = open(t, dir, datastore.Options{})
		}
		l.close(t)
	}
}

// Two entries are a proof exactly if no honest author signs both; and nothing
// else is one.
func TestProof(t *testing.T) {
	var d DatasetID
	a, twin, other := newTestAuthor(1, d), newTestAuthor(1, d), newTestAuthor(2, d)
	a1, a2 := a.entry(t, nil, a.inc("k")), a.entry(t, nil, a.inc("k"))
	t1, t2 := twin.entry(t, nil, twin.inc("x")), twin.entry(t, nil, twin.inc("x"))
	o1 := other.entry(t, nil, other.inc("k"))
	for _, c := range []struct {
		a, b *Entry
		want bool
	}{
		{a1, t1, true},
		{a1, t2, true},
		{a2, t1, true},
		{a2, t2, true},
		{a1, a2, false},
		{a1, a1, false},
		{a1, o1, false},
		{t1, t2, false},
	} {
		for _, p := range []*proof{newProof(c.a, c.b), newProof(c.b, c.a)} {
			got, err := decodeProof(p.raw, anyProof)
			if (err == nil) != c.want || c.want && (got.author != a.author || !bytes.Equal(got.raw, p.raw)) {
				t.Errorf("entries %d and %d: %v, want a proof: %v", c.a.First, c.b.First, err, c.want)
			}
			p.raw[len(p.raw)-1] ^= 1
			if _, err := decodeProof(p.raw, anyProof); err == nil {
				t.Error("a proof with a forged signature holds")
			}
		}
	}
}

// An entry is not visible before what it depends on, across restarts too.
func TestCausalDelivery(t *testing.T) {
	for _, large := range []bool{false, true} {
		for _, restart := range []bool{false, true} {
			t.Run(fmt.Sprintf("large=%v restart=%v", large, restart), func(t *testing.T) {
				dir := t.TempDir()
				l := open(t, dir, datastore.Options{})
				a, b := newTestAuthor(1, l.d.id), newTestAuthor(2, l.d.id)
				cause := a.entry(t, nil, a.inc("k"))
				deps := crdt.Version{a.author: 1}
				effects := 1
				for range effects {
					l.gossip(message(b.entry(t, deps, b.inc("k"))))
				}
				if large { // more than is read back at once
					value := make([]byte, 700<<10)
					for i := range value {
						value[i] = byte(rand.Uint32())
					}
					for i := range 4 {
						l.learnNow(t, b.entry(t, nil, crdt.Group{
							Family: crdt.LWWRegister, Key: []byte("r"),
							Ops: []crdt.Op{{Seq: b.next, Kind: crdt.Set, Time: crdt.HLC(i + 1), Value: value}},
						}))
					}
				}
				if restart {
					l.sync(t)
					l.crash(t)
					l = open(t, dir, datastore.Options{})
				}
				if n := l.count(t, "k"); n != 0 {
					t.Fatalf("k = %d before the cause came", n)
				}
				last := b.entry(t, nil, b.inc("k"))
				l.gossip(message(last))
				l.gossip(message(cause))
				eventually(t, "all three", func() bool { return l.count(t, "k") == 3 })
				l.sync(t)
				if got := l.d.logState(b.author); got.applied != got.have || got.have != last.Last() {
					t.Errorf("log of the effect: have %d applied %d, want %d", got.have, got.applied, last.Last())
				}
			})
		}
	}
}

func (l *lone) learnNow(t *testing.T, e *Entry) {
	t.Helper()
	p, err := parseEntry(e.raw, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.d.learn(context.Background(), p); err != nil {
		t.Fatal(err)
	}
}

// What a stream brought is applied even if the stream ends at that moment.
func TestApplyOutlivesTheStream(t *testing.T) {
	l := open(t, "", datastore.Options{})
	a := newTestAuthor(1, l.d.id)
	first, second := a.entry(t, nil, a.inc("k")), a.entry(t, nil, a.inc("k"))
	l.gossip(message(second))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	e, err := parseEntry(first.raw, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.d.learn(ctx, e); err != nil {
		t.Fatal(err)
	}
	if n := l.count(t, "k"); n != 2 {
		t.Errorf("k = %d after the stream ended, want 2", n)
	}
}

func insert(a *testAuthor, key string, values ...string) crdt.Group {
	op := crdt.Op{Seq: a.next, Kind: crdt.Insert}
	for _, v := range values {
		op.Values = append(op.Values, []byte(v))
	}
	return crdt.Group{Family: crdt.Sequence, Key: []byte(key), Ops: []crdt.Op{op}}
}

// A deletion that comes before its element, or before anything of its author,
// waits, also across a crash.
func TestDeleteBeforeInsert(t *testing.T) {
	for _, c := range []struct {
		name             string
		known, sync, die bool
	}{
		{"unknown author", false, true, false},
		{"unknown author, not yet on disk", false, false, false},
		{"unknown author, crash", false, true, true},
		{"unknown element", true, true, false},
		{"unknown element, crash", true, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			l := open(t, dir, datastore.Options{})
			a := newTestAuthor(1, l.d.id)
			if c.known {
				l.gossip(message(a.entry(t, nil, a.inc("k"))))
			}
			id := FormatElementID(crdt.Dot{Author: a.author, Seq: a.next + 1})
			if err := l.d.DeleteElement(context.Background(), "s", id); err != nil {
				t.Fatal(err)
			}
			if c.sync {
				l.sync(t)
			}
			if c.die {
				l.crash(t)
				l = open(t, dir, datastore.Options{})
			}
			l.gossip(message(a.entry(t, nil, insert(a, "s", "a", "b", "c"))))
			eventually(t, "the element gone", func() bool { return l.text(t, "s") == "ac" })
			l.close(t)
			l = open(t, dir, datastore.Options{})
			if got := l.text(t, "s"); got != "ac" || len(l.d.intents) != 0 {
				t.Errorf("after a restart: %q, %d deletions wait", got, len(l.d.intents))
			}
		})
	}
	l := open(t, "", datastore.Options{})
	for _, id := range []string{"", "nonsense", string(make([]byte, 32))} {
		if err := l.d.DeleteElement(context.Background(), "s", id); err != nil {
			t.Errorf("id %q: %v", id, err)
		}
	}
}

// A clock of 1970 or 2099 shows, and does no harm: the entry is taken, our own
// stamps stay near our clock, and our next write wins over a stamp from 2099.
func TestSkewedClocks(t *testing.T) {
	l := open(t, "", datastore.Options{})
	for i, year := range []int{1970, 2099} {
		a := newTestAuthor(byte(i+1), l.d.id)
		at := crdt.HLCFromTime(time.Date(year, 6, 1, 0, 0, 0, 0, time.UTC).UnixMilli())
		e := a.entry(t, nil, crdt.Group{Family: crdt.LWWRegister, Key: []byte("r"), Ops: []crdt.Op{
			{Seq: 1, Kind: crdt.Set, Time: at, Value: []byte("from another time")},
		}}, func(h *Header) { h.Time = at })
		if l.gossip(message(e)) != Accept || l.d.applied[a.author] != 1 {
			t.Fatalf("an entry of %d is not taken", year)
		}
		for _, m := range l.d.Members() {
			if m.Author == a.author && (m.Ahead > 0) != (year == 2099) {
				t.Errorf("the clock of %d is %v ahead", year, m.Ahead)
			}
		}
	}
	if ahead := l.stamp().Millis() - time.Now().UnixMilli(); ahead > crdt.MaxSkew {
		t.Errorf("our stamps are %d ms ahead", ahead)
	}
	if _, err := l.d.Update(context.Background(), crdt.LWWRegister, "r", func(o crdt.Object, now Now) (crdt.Op, bool) {
		return o.(*crdt.RegisterState).Set(now.Time, []byte("ours")), true
	}); err != nil {
		t.Fatal(err)
	}
	if err := l.d.View(crdt.LWWRegister, "r", func(o crdt.Object) {
		if v, _ := o.(*crdt.RegisterState).Get(); string(v) != "ours" {
			t.Errorf("%q after our write", v)
		}
	}); err != nil {
		t.Fatal(err)
	}
}
