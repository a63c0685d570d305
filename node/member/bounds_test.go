package member

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"net"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// statement signs what sign does not: nothing is put right before.
func statement(by *Book, under ID, at uint64, body Body) []byte {
	network := by.Roster().network
	b := append([]byte{recordVersion, body.kind()}, network[:]...)
	b = append(b, by.self[:]...)
	b = append(b, under[:]...)
	b = binary.BigEndian.AppendUint64(b, at)
	b = body.append(b)
	return append(b, ed25519.Sign(by.key, append([]byte(domainRecord), b...))...)
}

// A relay can say of itself that it leaves, in any number of ways; it fills no set with
// that, nor with anything else, and costs nobody an evaluation.
func TestRelayCannotFill(t *testing.T) {
	w := newWorld(t)
	f := w.found()
	relay := w.join(f, Relay)
	w.meet(f, relay)
	before := f.Roster()
	under := relay.Roster().grants[relay.Self()][0].ID
	for i := range 500 {
		for what, raw := range map[string][]byte{
			"another time": statement(relay, under, uint64(i+1), &Revocation{Subject: relay.Self()}),
			"its logs":     statement(relay, under, 0, &Revocation{Subject: relay.Self(), Logs: manyLimits(i + 1)}),
		} {
			if _, err := parseRecord(raw); !errors.Is(err, ErrMalformed) {
				t.Fatalf("it leaves and says %s: %v, want ErrMalformed", what, err)
			}
		}
		for what, body := range map[string]Body{
			"what stands": &Revocation{Subject: relay.Self(), Standing: []ID{{byte(i), byte(i >> 8)}}},
			"a grant":     &Grant{Subject: Key{byte(i), byte(i >> 8)}, Role: Admin, Name: "x"},
			"an invite":   &Invite{Key: Key{byte(i), byte(i >> 8)}, Role: Relay, Uses: 9},
			"a key":       &Keys{Key: KeyID{byte(i), byte(i >> 8)}},
			"another out": &Revocation{Subject: f.Self(), Logs: []Limit{{Seq: uint64(i)}}},
		} {
			list := []*Record{forge(t, relay, under, body)}
			if _, work, err := f.mergeOf(list); work != 0 || err != nil || f.Roster() != before {
				t.Fatalf("a relay says %s: %d records evaluated, %v", what, work, err)
			}
		}
	}
	leave := forge(t, relay, under, &Revocation{Subject: relay.Self()})
	again := append([]byte(nil), leave.raw...)
	again[len(again)-1] ^= 1 // as if signed otherwise
	other, err := parseRecord(again)
	w.must(err)
	if n, err := f.Merge([]*Record{leave}); n != 1 || err != nil {
		t.Fatalf("a relay leaves: %d news, %v", n, err)
	}
	if n, work, err := f.mergeOf([]*Record{other}); n != 0 || work != 0 || err != nil {
		t.Errorf("it says so once more: %d news, %d records evaluated, %v", n, work, err)
	}
	if n := f.Roster().Len() - before.Len(); n != 1 {
		t.Errorf("a relay that left has %d records, want 1", n)
	}
	w.wantMember(f, relay.Self(), ErrRevoked)
}

// Nothing counts that an admin says after it left, unless it had listed that, and it
// leaves once: of several such records all keep the same one. When another admin has heard of
// it, not even one of a lower id changes what stands.
func TestLeftAdminIsSilent(t *testing.T) {
	w := newWorld(t)
	f := w.found()
	admin := w.join(f, Admin)
	good := w.join(admin, Writer)
	w.meet(f, admin, good)
	under := admin.Roster().grants[admin.Self()][0].ID
	w.must(admin.Revoke(admin.Self(), nil, nil))
	late := forge(t, admin, under, &Grant{Subject: Key{7}, Role: Admin, Name: "x"})
	out := forge(t, admin, under, &Revocation{Subject: good.Self()})
	w.tell(admin, f)
	for what, rec := range map[string]*Record{"a grant": late, "a revocation": out} {
		if n, err := f.Merge([]*Record{rec}); n != 0 || err != nil {
			t.Errorf("%s by an admin that left: %d news, %v", what, n, err)
		}
	}
	w.wantMember(f, good.Self(), nil)
	// Nor where all of it comes at once.
	r := evaluate(f.Roster().genesis, slices.Concat(f.Roster().records, []*Record{late, out}))
	if r.digest != f.Roster().digest || !r.Has(good.Self(), Writer) {
		t.Error("what an admin says that left is kept by who hears all of it at once")
	}

	// Its key may say again that it leaves, and list more.
	var all []*Record
	for i := range 40 {
		standing := []ID{late.ID, {byte(i)}}
		slices.SortFunc(standing, compareIDs)
		all = append(all, forge(t, admin, under, &Revocation{Subject: admin.Self(), Standing: standing}))
	}
	r = evaluate(f.Roster().genesis, slices.Concat(f.Roster().records, all))
	if n := len(r.ended[admin.Self()]); n != 1 {
		t.Errorf("an admin that left has %d records that say so, want 1", n)
	}
	w.must(f.Reseal())
	_, err := f.Merge(append(all, late))
	w.must(err)
	w.wantMember(f, Key{7}, ErrNotMember)
	w.wantMember(f, good.Self(), nil)
	w.wantMember(f, admin.Self(), ErrRevoked)
	if before := f.Roster().Len(); f.Reseal() != nil || f.Roster().Len() != before {
		t.Error("that an admin left is confirmed more than once")
	}
}

// What a revoked admin signs in any number takes a bounded room of its own.
func TestOrphansAreBounded(t *testing.T) {
	w := newWorld(t)
	f := w.found()
	thief := w.join(f, Admin)
	w.meet(f, thief)
	under := thief.Roster().grants[thief.Self()][0].ID
	w.must(f.Revoke(thief.Self(), nil, nil))
	before := f.Roster()
	var list []*Record
	for i := range 100 {
		list = append(list, forge(t, thief, under, &Keys{Key: KeyID{byte(i)}, Seals: manySeals(250)}))
	}
	_, err := f.Merge(list)
	w.must(err)
	if n := f.Roster().bytes - before.bytes; n > maxOrphanBytes {
		t.Errorf("keys that nobody knew of take %d bytes, want at most %d", n, maxOrphanBytes)
	}
	if r := f.Roster(); r.restBytes != before.restBytes {
		t.Error("they take room that members need")
	}
}

func manySeals(n int) (list []Seal) {
	for i := range n {
		list = append(list, Seal{Recipient: Key{byte(i >> 8), byte(i)}})
	}
	return list
}

// An admin that floods fills what admins may fill; the revocations of all others still
// fit, and reach whoever is as full.
func TestRevocationFitsWhenFull(t *testing.T) {
	w := newWorld(t)
	f := w.found()
	thief, admin, x, y := w.join(f, Admin), w.join(f, Admin), w.join(f, Writer), w.join(f, Writer)
	w.meet(f, thief, admin, x, y)
	under := thief.Roster().grants[thief.Self()][0].ID
	after := make([]ID, 4000)
	for i := range after {
		after[i] = ID{byte(i >> 8), byte(i)}
	}
	room := func() int { return MaxBytes - f.Roster().restBytes }
	for i := 0; room() > 300; i++ {
		n := min(len(after), (room()-260)/16)
		_, err := f.Merge([]*Record{forge(t, thief, under, &Grant{Subject: Key{byte(i), byte(i >> 8)}, Role: Reader, Name: "x", After: after[:n]})})
		w.must(err)
	}
	w.tell(f, admin)
	for i := range 200 { // and says of everybody that it is out
		_, _ = f.Merge([]*Record{forge(t, thief, under, &Revocation{Subject: Key{9, byte(i)}, Logs: manyLimits(1000)})})
	}
	if room() > 300 {
		t.Fatalf("%d bytes are free, want none", room())
	}
	w.must(x.Revoke(x.Self(), nil, nil))
	w.tell(x, f)
	w.wantMember(f, x.Self(), ErrRevoked)
	w.must(admin.Revoke(y.Self(), manyLimits(1000), nil))
	more := forge(t, thief, under, &Grant{Subject: Key{1, 1, 1}, Role: Reader, Name: "x", After: after})
	if _, err := f.Merge(append(admin.Roster().records, more)); !errors.Is(err, ErrFull) { // in one frame
		t.Errorf("more than fits: %v, want ErrFull", err)
	}
	w.wantMember(f, y.Self(), ErrRevoked)
	w.wantMember(f, Key{1, 1, 1}, ErrNotMember)
	w.must(f.Revoke(thief.Self(), nil, nil))
	_, _ = admin.Merge(f.Roster().records) // of the thief's more than fits
	w.wantMember(f, thief.Self(), ErrRevoked)
	w.wantMember(admin, thief.Self(), ErrRevoked)
	if r := f.Roster(); r.bytes > maxSetBytes {
		t.Errorf("%d bytes of records", r.bytes)
	}
}

// Revoking again and again does not cost more and more: a new key leads to the one before,
// and that to the older ones.
func TestKeysGrowSlowly(t *testing.T) {
	w := newWorld(t)
	f := w.found()
	size := func(n int) int {
		before := f.Roster().restBytes
		for range n {
			x := w.join(f, Reader)
			w.must(f.Revoke(x.Self(), nil, nil))
		}
		return f.Roster().restBytes - before
	}
	first := size(10)
	size(40)
	if last := size(10); last > first*5/4 {
		t.Errorf("10 revocations take %d bytes after 50 others, and took %d: want no more than a quarter above", last, first)
	}
	late := w.join(f, Reader)
	if got, want := late.Ring().Len(), f.Ring().Len(); got != want || got < 60 {
		t.Errorf("who comes last can read under %d keys of %d", got, want)
	}
}

// A membership that expires changes the key, as a revocation does; once, whatever the
// clocks of other admins say; and whoever is renewed gets the new one.
func TestExpiryChangesTheKey(t *testing.T) {
	w := newWorld(t)
	f := w.found()
	admin, stays := w.join(f, Admin), w.join(f, Reader)
	x := w.outsider(f)
	w.wantReason(w.redeem(f, x, &Token{Genesis: f.Roster().Genesis()}), Pending)
	w.must(f.Approve(x.Self(), Reader, w.now.Add(time.Hour)))
	w.meet(f, admin, stays, x)
	first, _, _ := f.Ring().Current()
	w.wantCurrent(x, first, true)
	w.must(f.Reseal())
	if id, _, _ := f.Ring().Current(); id != first {
		t.Fatal("the key was changed before the term was over")
	}
	w.now = w.now.Add(time.Hour + time.Second)
	w.must(f.Reseal())
	second, _, _ := f.Ring().Current()
	if second == first {
		t.Fatal("a membership expired, and the key is as it was")
	}
	w.tell(f, x)
	w.wantCurrent(x, second, false)
	// Not even one whose clock is a month behind brings others to make key after key.
	for _, behind := range []time.Duration{time.Hour, 30 * 24 * time.Hour} {
		admin.now = func() time.Time { return w.now.Add(-behind) }
		for range 3 {
			w.tell(f, admin)
			w.must(admin.Reseal())
			w.tell(admin, f)
			w.must(f.Reseal())
		}
		w.meet(f, admin, stays, x)
		if id, _, _ := f.Ring().Current(); id != second {
			t.Errorf("admins whose clocks are %v apart change keys against each other", behind)
		}
		w.wantCurrent(stays, second, true)
		w.wantCurrent(x, second, behind > maxAhead*time.Millisecond)
	}
	w.must(f.Change(x.Self(), Reader, time.Time{}))
	w.tell(f, x)
	w.wantCurrent(x, second, true)
}

// handshake introduces a to b as often as told, and nothing more.
func (w *world) handshake(a, b *Book, times int) {
	w.t.Helper()
	for range times {
		x, y := net.Pipe()
		done := make(chan error, 1)
		go func() {
			done <- (&Session{Book: b, Stream: y, Peer: a.Self(), in: bufio.NewReader(y)}).answer()
		}()
		_, err := (&Session{Book: a, Stream: x, Peer: b.Self(), Opener: true, in: bufio.NewReader(x)}).open()
		w.must(errors.Join(err, <-done))
		_, _ = x.Close(), y.Close()
	}
}

// talkOnce is a whole session up to where two equal sets are known to be equal.
func (w *world) talkOnce(a, b *Book) {
	k := w.talk(a, b, nil)
	synctest.Wait()
	k.end()
	k.wait()
}

// crowd is a network of n devices more, and a member of it.
func (w *world) crowd(n int) (f, x *Book) {
	f = w.found()
	x = w.join(f, Writer)
	_, err := f.Merge(manyGrants(w.t, f, n))
	w.must(err)
	w.meet(f, x)
	return f, x
}

// What a handshake and the session after it take does not grow with the number of
// records, where two devices have the same.
func TestHandshakeIsFlat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spent := func(n int) uint64 {
			w := newWorld(t)
			f, x := w.crowd(n)
			w.talkOnce(x, f)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for range 20 {
				w.talkOnce(x, f)
			}
			runtime.ReadMemStats(&after)
			return (after.TotalAlloc - before.TotalAlloc) / 20
		}
		few, many := spent(10), spent(5000)
		if many > 2*few {
			t.Errorf("a session takes %d bytes with 5,000 records and %d with 10, want no more than twice", many, few)
		}
	})
}

func BenchmarkHandshake(b *testing.B) {
	for name, n := range map[string]int{"10": 10, "1000": 1000, "10000": 10000} {
		b.Run(name, func(b *testing.B) {
			w := newWorld(b)
			f, x := w.crowd(n)
			for b.Loop() {
				w.handshake(x, f, 1)
			}
		})
	}
}

// Members that talk as fast as they can, tell everybody what is no news, and say again
// and again that they leave, keep nobody from putting one out.
func TestRevokeUnderAttack(t *testing.T) {
	w := newWorld(t)
	f, x := w.crowd(5000)
	left := w.join(f, Writer)
	w.meet(f, x, left)
	under := left.Roster().grants[left.Self()][0].ID
	w.must(left.Revoke(left.Self(), nil, nil))
	junk := []*Record{forge(t, left, under, &Grant{Subject: Key{1, 1}, Role: Reader, Name: "x"})}
	for i := range 100 {
		junk = append(junk, forge(t, left, under, &Revocation{Subject: left.Self(), Standing: []ID{{byte(i)}}}))
	}
	ctx, cancel := context.WithCancel(t.Context())
	var crowd sync.WaitGroup
	for range 8 {
		crowd.Go(func() {
			for ctx.Err() == nil {
				_, _ = f.Merge(slices.Concat(junk, left.Roster().chain(left.Self())))
				here, there := net.Pipe()
				go func() { _ = (&Session{Book: f, Stream: there, Peer: x.Self()}).Run(ctx) }()
				s := &Session{Book: x, Stream: here, Peer: f.Self(), Opener: true, in: bufio.NewReader(here)}
				if _, err := s.open(); err == nil {
					_ = s.send(frameDigest, make([]byte, 32))
					_ = s.send(frameIDs)
					_, _, _ = readFrame(s.in, maxFrame)
				}
				_ = here.Close()
			}
		})
	}
	defer func() {
		cancel()
		crowd.Wait()
	}()
	time.Sleep(200 * time.Millisecond) // the attack goes on; nothing is waited for
	began := time.Now()
	w.must(f.Revoke(left.Self(), manyLimits(10), nil))
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("a revocation took %v, want about 1 s at most", took)
	} else {
		t.Logf("a revocation took %v", took)
	}
	if got := f.Roster().Standing(manyLimits(1)[0].Dataset, author(left, [8]byte{})); got != 1 {
		t.Errorf("of the logs %d stand, want 1", got)
	}
}

// What a stranger shows is not looked at: it has not shown that it knows the network.
func TestStrangerIsNotRead(t *testing.T) {
	for name, shown := range map[string][]byte{"nonsense": make([]byte, 5000), "nothing": nil} {
		w := newWorld(t)
		f := w.found()
		here, there := net.Pipe()
		ended := make(chan error, 1)
		go func() { ended <- (&Session{Book: f, Stream: there, Peer: Key{1}}).Run(t.Context()) }()
		s := &Session{Book: w.outsider(f), Stream: here, Peer: f.Self(), Opener: true, in: bufio.NewReader(here)}
		network := f.Roster().network
		w.must(s.send(frameHello, []byte{streamVersion}, network[:], make([]byte, nonceSize)))
		_, err := s.receive(frameWelcome, maxHello)
		w.must(err)
		w.must(s.send(frameShow, shown))
		_, err = s.receive(frameAdmit, maxIntro)
		if refused := new(RefusedError); !errors.As(err, &refused) || refused.Reason != NotAdmitted {
			t.Errorf("%s: a stranger is told %v, want that it is not admitted", name, err)
		}
		checkError(t, <-ended, "a stranger")
	}
	// Nor is a long greeting.
	w := newWorld(t)
	here, there := net.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- (&Session{Book: w.found(), Stream: there, Peer: Key{1}}).Run(t.Context()) }()
	_, _ = here.Write(binary.AppendUvarint(nil, maxIntro))
	checkError(t, <-ended, "frame of")
}

// A peer has few sessions at a time, and a budget of work: over it, it waits.
func TestPeerHasABudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		f := w.found()
		x := w.join(f, Writer)
		for range maxSessions {
			if !f.enter(x.Self()) {
				t.Fatal("a session within the bound does not begin")
			}
		}
		checkError(t, (&Session{Book: f, Stream: closed{}, Peer: x.Self()}).Run(t.Context()), "sessions at a time")
		f.exit(x.Self())
		if !f.enter(x.Self()) || len(f.sessions) != 1 {
			t.Error("a session that ended is still counted")
		}
		for range workBurst / workFloor {
			if wait := f.charge(x.Self(), workFloor); wait > 0 {
				t.Fatalf("a peer within its budget waits %v", wait)
			}
		}
		if wait := f.charge(x.Self(), workRate); wait != time.Second {
			t.Errorf("a peer that is over its budget by what it has in a second waits %v", wait)
		}
		began := time.Now()
		_, err := f.mergeFor(x.Self(), nil, nil)
		w.must(err)
		if took := time.Since(began); took != time.Second {
			t.Errorf("it waited %v, want 1s", took)
		}
		for i := range 2 * maxBudgets {
			f.charge(Key{1, byte(i), byte(i >> 8)}, 1)
		}
		if len(f.budgets) > maxBudgets {
			t.Errorf("%d budgets, want at most %d", len(f.budgets), maxBudgets)
		}
	})
}

type closed struct{}

func (closed) Read([]byte) (int, error)  { return 0, net.ErrClosed }
func (closed) Write([]byte) (int, error) { return 0, net.ErrClosed }
func (closed) Close() error              { return nil }

// What this device does itself goes before all that waits for others.
func TestActsGoFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns()
		var order []string // guarded by turns
		var all sync.WaitGroup
		turns.merge()
		wait := func(what string, take func()) {
			all.Go(func() {
				take()
				order = append(order, what)
				turns.done()
			})
			synctest.Wait()
		}
		for range 10 {
			wait("merge", turns.merge)
		}
		wait("act", turns.act)
		for range 10 {
			wait("merge", turns.merge)
		}
		turns.done()
		all.Wait()
		if len(order) != 21 || order[0] != "act" {
			t.Errorf("the order of changes is %v, want the act first", order)
		}
	})
}
