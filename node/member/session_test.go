package member

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// tapped notes what is read from a stream.
type tapped struct {
	io.ReadWriteCloser
	seen *bytes.Buffer
}

func (t tapped) Read(b []byte) (int, error) {
	n, err := t.ReadWriteCloser.Read(b)
	t.seen.Write(b[:n])
	return n, err
}

// A talk is a session between two devices, both ends.
type talk struct {
	opener, other *Session
	results       chan error // the opener's, then the other's
	end           context.CancelFunc
	got           bytes.Buffer // what the opener received; read it after the end
	admitted      int
}

func (w *world) talk(a, b *Book, q *Request) *talk {
	x, y := net.Pipe()
	k := &talk{results: make(chan error, 2)}
	k.opener = &Session{
		Book: a, Stream: tapped{x, &k.got}, Peer: b.Self(), Opener: true, Request: q,
		Admitted: func(Admission) { k.admitted++ },
	}
	k.other = &Session{Book: b, Stream: y, Peer: a.Self()}
	ctx, cancel := context.WithCancel(context.Background())
	k.end = cancel
	first, second := make(chan error, 1), make(chan error, 1)
	go func() { first <- k.opener.Run(ctx) }()
	go func() { second <- k.other.Run(ctx) }()
	go func() {
		k.results <- <-first
		k.results <- <-second
	}()
	return k
}

func (k *talk) wait() (opener, other error) { return <-k.results, <-k.results }

// wantEqual waits for the talk to come to rest.
func (w *world) wantEqual(a, b *Book) {
	w.t.Helper()
	synctest.Wait()
	if x, y := a.Roster(), b.Roster(); x.digest != y.digest {
		w.t.Errorf("after the talk one has %d records and the other %d", x.Len(), y.Len())
	}
}

func TestSessionEqualizes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		f := w.found()
		a, b := w.join(f, Admin), w.join(f, Writer) // a has not heard of b
		w.join(a, Reader)                           // nor b of this one
		k := w.talk(b, a, nil)
		w.wantEqual(a, b)
		if k.admitted != 1 {
			t.Errorf("admitted %d times, want once", k.admitted)
		}
		// What is new is pushed at once, and what gets lost is found at the next look.
		x := w.join(a, Writer)
		w.wantEqual(a, b)
		w.wantMember(b, x.Self(), nil)
		b.show(evaluate(f.Roster().genesis, f.Roster().records))
		time.Sleep(2 * lookEvery)
		w.wantEqual(a, b)
		k.end()
		if e1, e2 := k.wait(); !errors.Is(e1, context.Canceled) || !errors.Is(e2, context.Canceled) {
			t.Errorf("ended with %v and %v, want context.Canceled", e1, e2)
		}
	})
}

func TestSessionJoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		f := w.found()
		token, err := f.Invite(Writer, 1, time.Time{})
		w.must(err)
		token, err = ParseToken(token.String())
		w.must(err)
		x, y := w.outsider(f), w.outsider(f)
		q, err := NewRequest(x.key, "camera", token)
		w.must(err)
		k := w.talk(x, f, q)
		w.wantEqual(x, f)
		w.wantMember(x, x.Self(), nil)
		if m, _ := f.Roster().Member(x.Self()); m.Name != "camera" || m.Role != Writer {
			t.Errorf("the newcomer is %+v", m)
		}
		id, key, _ := f.Ring().Current()
		if got, ok := x.Ring().Key(id); !ok || got != key {
			t.Error("the newcomer cannot read")
		}
		k.end()
		k.wait()

		q, err = NewRequest(y.key, "thief", token)
		w.must(err)
		k = w.talk(y, f, q)
		e1, e2 := k.wait()
		checkError(t, e1, "used as often as it may be")
		checkError(t, e2, "used as often", "thief")

		// Without an invite an admin has to approve; then the same request gets in.
		q, err = NewRequest(y.key, "guest", &Token{Genesis: token.Genesis})
		w.must(err)
		f.now = func() time.Time { return w.now.Add(time.Hour) }
		e1, _ = w.talk(y, f, q).wait()
		refused := new(RefusedError)
		if !errors.As(e1, &refused) || refused.Reason != Pending || refused.Skew != -time.Hour {
			t.Errorf("a guest is told %v, want that it has to wait", e1)
		}
		checkError(t, e1, "1h0m0s behind")
		w.must(f.Approve(y.Self(), Reader, time.Time{}))
		k = w.talk(y, f, q)
		w.wantEqual(y, f)
		k.end()
		k.wait()
	})
}

// A stranger sees nothing of the network: no name, no member's key, no record.
func TestStrangerLearnsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		f := w.found()
		a := w.join(f, Writer)
		w.meet(f, a)
		for _, stranger := range []*Book{
			w.outsider(f), // has a token without an invite
			w.rogue(f),    // knows the network's id alone
		} {
			k := w.talk(stranger, a, nil)
			e1, e2 := k.wait()
			if e1 == nil || e2 == nil {
				t.Errorf("a stranger ended with %v, the member with %v", e1, e2)
			}
			if k.got.Len() > 100 {
				t.Errorf("a stranger got %d bytes: %x", k.got.Len(), k.got.Bytes())
			}
			for _, m := range a.Roster().Members() {
				for _, secret := range [][]byte{m.Key[:8], []byte(m.Name), []byte("garden"), m.Sealing[:8]} {
					if bytes.Contains(k.got.Bytes(), secret) {
						t.Errorf("a stranger got %q", secret)
					}
				}
			}
			// Nor when a member is made to call it.
			var sent bytes.Buffer
			x, y := net.Pipe()
			opened := make(chan error)
			go func() {
				opened <- (&Session{Book: a, Stream: x, Peer: stranger.Self(), Opener: true}).Run(t.Context())
			}()
			err := (&Session{Book: stranger, Stream: tapped{y, &sent}, Peer: a.Self()}).Run(t.Context())
			if <-opened == nil || err == nil {
				t.Error("a member and a stranger were content")
			}
			if stranger.Roster().Genesis() != a.Roster().Genesis() && sent.Len() > 100 {
				t.Errorf("a member told a stranger %d bytes", sent.Len())
			}
		}
	})
}

// rogue is a device that knows the id of a network, and not its genesis.
func (w *world) rogue(of *Book) *Book {
	w.t.Helper()
	b := w.outsider(of)
	r := evaluate(Genesis{Name: "guessed", Founder: b.self}, nil)
	r.network = of.Roster().network
	b.show(r)
	return b
}

func TestRevocationIsPushed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		f := w.found()
		a, x := w.join(f, Writer), w.join(f, Writer)
		w.meet(f, a, x)
		k1, k2 := w.talk(a, f, nil), w.talk(x, a, nil)
		synctest.Wait()
		w.must(f.Revoke(x.Self(), nil, nil))
		e1, e2 := k2.wait() // without any time passing
		refused := new(RefusedError)
		if !errors.As(e1, &refused) || refused.Reason != Revoked {
			t.Errorf("the revoked is told %v", e1)
		}
		if !errors.Is(e2, ErrRevoked) {
			t.Errorf("its peer ended with %v, want ErrRevoked", e2)
		}
		w.wantEqual(a, f)
		w.wantMember(x, x.Self(), ErrRevoked) // it saw by whom
		late := w.join(f, Writer)
		w.must(f.Revoke(late.Self(), nil, nil))
		e1, e2 = w.talk(late, f, nil).wait()
		w.wantMember(late, late.Self(), ErrRevoked)
		checkError(t, e1, "this device was revoked")
		checkError(t, e2, "revoked")

		// Who leaves tells it first.
		w.must(a.Revoke(a.Self(), nil, nil))
		k1.wait()
		w.wantMember(f, a.Self(), ErrRevoked)

		// Or when it next meets somebody.
		b := w.join(f, Writer)
		w.must(b.Revoke(b.Self(), nil, nil))
		w.talk(b, f, nil).wait()
		w.wantMember(f, b.Self(), ErrRevoked)
	})
}

func TestSessionExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		f := w.found()
		x := w.join(f, Writer)
		w.must(f.Revoke(x.Self(), nil, nil))
		w.must(f.Change(x.Self(), Writer, w.now.Add(time.Hour)))
		w.meet(f, x)
		began := time.Now() // of the bubble, which passes by itself
		f.now = func() time.Time { return noon.Add(time.Since(began)) }
		x.now = f.now
		e1, e2 := w.talk(x, f, nil).wait()
		if since := time.Since(began); since < time.Hour || since > time.Hour+2*lookEvery {
			t.Errorf("the talk ended after %v, want an hour", since)
		}
		if !errors.Is(e2, ErrExpired) && !errors.Is(e1, ErrExpired) {
			t.Errorf("after the term of one: %v, %v", e1, e2)
		}
		e1, e2 = w.talk(x, f, nil).wait()
		checkError(t, e1, "expired")
		checkError(t, e2, "expired on 2026-11-22 13:00")
	})
}

func TestSessionOtherNetwork(t *testing.T) {
	w := newWorld(t)
	e1, e2 := w.talk(w.found(), w.found(), nil).wait()
	checkError(t, e1, "another network")
	checkError(t, e2, "another network")
}

// A peer that sends nonsense is ended with an error that says so.
func TestSessionGarbage(t *testing.T) {
	w := newWorld(t)
	f := w.found()
	x := w.join(f, Writer)
	w.meet(f, x)
	records := func(r ...*Record) []byte { return frame(frameRecords, appendRecords(nil, r)) }
	raw := append([]byte(nil), forge(t, f, ID{}, &Grant{Subject: Key{8}, Role: Admin, Name: "x"}).raw...)
	raw[len(raw)-1] ^= 1
	forged, err := parseRecord(raw)
	w.must(err)
	raw = append([]byte(nil), raw...)
	raw[40] ^= 1
	foreign, err := parseRecord(func() []byte { b := append([]byte(nil), raw...); b[5] ^= 1; return b }())
	w.must(err)
	for name, c := range map[string]struct {
		bytes []byte
		say   string
	}{
		"huge":      {binary.AppendUvarint(nil, 1<<40), "frame of 1099511627776 bytes"},
		"empty":     {[]byte{0}, "frame of 0 bytes"},
		"kind":      {frame(77), "kind 77"},
		"cut":       {frame(frameDigest, []byte("short")), "cut off"},
		"forged":    {records(forged), "forged"},
		"foreign":   {records(foreign), "another network"},
		"handshake": {frame(frameHello, []byte{1}, make([]byte, 48)), "kind 1"},
		"flood":     {bytes.Repeat(frame(frameDigest, make([]byte, 32)), maxUseless/frameCost+1), "floods"},
	} {
		t.Run(name, func(t *testing.T) {
			here, there := net.Pipe()
			ended := make(chan error, 1)
			go func() {
				ended <- (&Session{Book: f, Stream: here, Peer: x.Self()}).Run(context.Background())
			}()
			rude := &Session{Book: x, Stream: there, Peer: f.Self(), Opener: true}
			rude.in = bufio.NewReader(there)
			if _, err := rude.open(); err != nil {
				t.Fatal(err)
			}
			go func() { _, _ = io.Copy(io.Discard, there) }()
			_, _ = there.Write(c.bytes)
			checkError(t, <-ended, c.say)
			_ = there.Close()
		})
	}
}

// A forged certificate in the introduction is refused by that name.
func TestForgedIntroduction(t *testing.T) {
	w := newWorld(t)
	f := w.found()
	x := w.outsider(f)
	r, err := sign(f.key, Record{Network: f.Roster().network, Body: &Grant{Subject: x.self, Role: Admin, Name: "x"}})
	w.must(err)
	raw := append([]byte(nil), r.raw...)
	copy(raw[len(raw)-ed25519.SignatureSize:], make([]byte, ed25519.SignatureSize))
	forged, err := parseRecord(raw)
	w.must(err)
	x.show(evaluate(f.Roster().genesis, []*Record{forged})) // it did not check
	e1, e2 := w.talk(x, f, nil).wait()
	checkError(t, e1, "forged")
	checkError(t, e2, "forged certificate")
	w.wantMember(f, x.Self(), ErrNotMember)
}

func TestSlowIntroduction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		f := w.found()
		x, y := net.Pipe()
		defer y.Close()
		err := (&Session{Book: f, Stream: x, Peer: Key{1}}).Run(t.Context())
		checkError(t, err, "more than 30s")
	})
}

// Two devices with many records come together in few frames.
func TestSessionMany(t *testing.T) {
	w := newWorld(t)
	f := w.found()
	x := w.join(f, Writer)
	w.meet(f, x)
	var list []*Record
	for i := range 1000 {
		r := forge(t, f, ID{}, &Grant{Subject: Key{byte(i), byte(i >> 8), 1}, Role: Reader, Name: "device"})
		list = append(list, r)
	}
	_, err := f.Merge(list)
	w.must(err)
	changed, stop := x.Watch()
	defer stop()
	k := w.talk(x, f, nil)
	for x.Roster().digest != f.Roster().digest {
		<-changed
	}
	k.end()
	k.wait()
	if b, err := Open(Options{File: filepath.Clean(x.file), Key: x.key}); err != nil || b.Roster().digest != f.Roster().digest {
		t.Errorf("what came is not on disk: %v", err)
	}
}

// Who does not know the network cannot make a device give up joining it.
func TestStrangerCannotRefuse(t *testing.T) {
	for _, reason := range []Reason{UsedUp, Revoked, BadSignature, Full} {
		w := newWorld(t)
		b := w.outsider(w.found())
		mine, theirs := net.Pipe()
		go func() {
			_, _, _ = readFrame(bufio.NewReader(theirs), maxIntro)
			_, _ = theirs.Write(frame(frameRefuse, []byte{byte(reason)}, binary.BigEndian.AppendUint64(nil, 1)))
		}()
		s := &Session{Book: b, Stream: mine, Peer: Key{1}, Opener: true}
		err := s.Run(t.Context())
		if refused := new(RefusedError); err == nil || errors.As(err, &refused) {
			t.Errorf("a stranger's refusal with reason %d is taken for a member's: %v", reason, err)
		}
	}
}
