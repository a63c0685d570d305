package member

import (
	"errors"
	"math"
	"testing"
	"time"
)

func (w *world) wantMember(b *Book, k Key, want error) {
	w.t.Helper()
	if err := b.Check(k); !errors.Is(err, want) {
		w.t.Errorf("Check of %v by %v: %v, want %v", k, b.Self(), err, want)
	}
}

func TestFounder(t *testing.T) {
	w := newWorld(t)
	f := w.found()
	m, ok := f.Roster().Member(f.Self())
	if !ok || m.Role != Admin || m.Rank != 0 || m.Revoked || m.Name != "founder's laptop" {
		t.Errorf("the founder is %+v", m)
	}
	if _, _, ok := f.Ring().Current(); !ok {
		t.Error("a new network has no key")
	}
	w.wantMember(f, Key{1}, ErrNotMember)
	// A genesis alone has nobody but its founder.
	w.wantMember(w.outsider(f), f.Self(), nil)
}

// A revocation wins over every grant that was made without knowledge of it.
func TestRevocationWins(t *testing.T) {
	w := newWorld(t)
	f := w.found()
	admin := w.join(f, Admin)
	w.meet(f, admin)
	x := w.join(f, Writer)
	w.meet(f, admin, x)
	w.must(f.Revoke(x.Self(), nil, nil))
	w.now = w.now.Add(time.Hour) // a later clock makes no difference
	w.must(admin.Change(x.Self(), Admin, time.Time{}))
	w.wantMember(admin, x.Self(), nil)
	w.meet(f, admin)
	w.wantMember(f, x.Self(), ErrRevoked)
	w.wantMember(admin, x.Self(), ErrRevoked)
	if _, err := x.Invite(Writer, 1, time.Time{}); !errors.Is(err, ErrNotAdmin) {
		t.Errorf("invite by a writer: %v, want ErrNotAdmin", err)
	}

	// In knowledge of it, the device can be let in again.
	w.must(admin.Change(x.Self(), Writer, time.Time{}))
	w.meet(f, admin)
	w.wantMember(f, x.Self(), nil)
	if m, _ := f.Roster().Member(x.Self()); m.Role != Writer {
		t.Errorf("let in again as %v, want writer: the older grant stays revoked", m.Role)
	}
	w.must(f.Revoke(x.Self(), nil, nil))
	w.wantMember(f, x.Self(), ErrRevoked)
}

// What a revoked admin did stands as far as the revocation says, and nothing
// that it does later; also not when it is let in again.
func TestRevokedAdmin(t *testing.T) {
	w := newWorld(t)
	f := w.found()
	thief := w.join(f, Admin)
	good := w.join(thief, Writer)
	w.meet(f, thief, good)
	bad := w.join(thief, Admin) // the founder does not know of it
	w.must(f.Revoke(thief.Self(), nil, nil))
	w.meet(f, thief, bad, good)
	w.wantMember(f, good.Self(), nil)
	w.wantMember(f, bad.Self(), ErrNotMember)
	w.wantMember(f, thief.Self(), ErrRevoked)

	w.must(f.Change(thief.Self(), Admin, time.Time{}))
	w.meet(f, bad, good)
	w.wantMember(f, bad.Self(), ErrNotMember)
	w.tell(f, thief)
	better := w.join(thief, Writer)
	w.tell(thief, f)
	w.wantMember(f, better.Self(), nil)

	// With drop, what is known falls too, but for what stood before.
	w.must(f.Revoke(thief.Self(), nil, func(*Record) bool { return true }))
	w.wantMember(f, better.Self(), ErrNotMember)
	w.wantMember(f, good.Self(), nil)
}

func TestMutualRevocation(t *testing.T) {
	w := newWorld(t)
	f := w.found()
	a, b := w.join(f, Admin), w.join(f, Admin)
	w.meet(f, a, b)
	if compareKeys(a.Self(), b.Self()) > 0 {
		a, b = b, a
	}
	x := w.join(b, Reader)
	w.must(b.Revoke(a.Self(), nil, nil))
	w.tick()
	w.must(a.Revoke(b.Self(), nil, nil))
	w.meet(f, a, b)
	w.wantMember(f, a.Self(), nil)
	w.wantMember(f, b.Self(), ErrRevoked)
	w.wantMember(f, x.Self(), ErrNotMember) // a did not know of it
	w.wantMember(b, a.Self(), nil)
}

func TestRank(t *testing.T) {
	w := newWorld(t)
	f := w.found()
	first := w.join(f, Admin)
	second := w.join(first, Admin)
	writer := w.join(f, Writer)
	w.meet(f, first, second, writer)
	checkError(t, second.Revoke(first.Self(), nil, nil), "above this one")
	checkError(t, first.Revoke(f.Self(), nil, nil), "above this one")
	checkError(t, writer.Revoke(second.Self(), nil, nil), ErrNotAdmin.Error())
	// Also without asking.
	forced := forge(t, second, first.Roster().grants[second.Self()][0].ID, &Revocation{Subject: first.Self()})
	_, err := f.Merge([]*Record{forced})
	w.must(err)
	w.wantMember(f, first.Self(), nil)
	// Any admin may revoke who is none.
	w.must(second.Revoke(writer.Self(), nil, nil))
	w.must(first.Revoke(second.Self(), nil, nil))
	w.wantMember(first, second.Self(), ErrRevoked)
}

// forge makes a record that the device would not write itself.
func forge(t testing.TB, by *Book, under ID, body Body) *Record {
	t.Helper()
	r, err := sign(by.key, Record{Network: by.Roster().network, Under: under, Time: millis(by.now()), Body: body})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestLeave(t *testing.T) {
	w := newWorld(t)
	f := w.found()
	x := w.join(f, Writer)
	w.meet(f, x)
	w.must(x.Revoke(x.Self(), []Limit{{Seq: 7}}, nil))
	w.tell(x, f)
	w.wantMember(f, x.Self(), ErrRevoked)
	if got := f.Roster().Standing([16]byte{}, author(x, [8]byte{})); got != 0 {
		t.Errorf("who left has %d stand by its own word, want 0: others vouch for what they had", got)
	}
	// An admin can revoke it all the same, and says what it had.
	w.must(f.Revoke(x.Self(), []Limit{{Seq: 5}}, nil))
	if got := f.Roster().Standing([16]byte{}, author(x, [8]byte{})); got != 5 {
		t.Errorf("of who was revoked %d stand, want 5", got)
	}
	w.must(f.Reseal())
	if id, _, _ := f.Ring().Current(); f.Roster().sealed(id)[x.Self()] {
		t.Error("who left has the current key")
	}
	// The founder may leave, and its admins go on.
	admin := w.join(f, Admin)
	w.must(f.Revoke(f.Self(), nil, nil))
	w.meet(f, admin)
	w.wantMember(admin, f.Self(), ErrRevoked)
	y := w.join(admin, Writer)
	w.wantMember(admin, y.Self(), nil)
	_, err := f.Invite(Writer, 1, time.Time{})
	checkError(t, err, ErrNotAdmin.Error())
}

func author(b *Book, replica [8]byte) (a [40]byte) {
	copy(a[:], b.self[:])
	copy(a[32:], replica[:])
	return a
}

func TestStanding(t *testing.T) {
	w := newWorld(t)
	f := w.found()
	x, reader, relay := w.join(f, Writer), w.join(f, Reader), w.join(f, Relay)
	one, two := [16]byte{1}, [16]byte{2}
	old, fresh := [8]byte{1}, [8]byte{2}
	want := func(what string, dataset [16]byte, by [40]byte, seq uint64) {
		t.Helper()
		if got := f.Roster().Standing(dataset, by); got != seq {
			t.Errorf("%s: %d stand, want %d", what, got, seq)
		}
	}
	want("founder", one, author(f, old), math.MaxUint64)
	want("writer", one, author(x, old), math.MaxUint64)
	want("reader", one, author(reader, old), 0)
	want("relay", one, author(relay, old), 0)
	want("stranger", one, [40]byte{9}, 0)
	w.must(f.Revoke(x.Self(), []Limit{{one, old, 5}}, nil))
	want("revoked", one, author(x, old), 5)
	want("revoked, other dataset", two, author(x, old), 0)
	want("revoked, other replica", one, author(x, fresh), 0)
	w.must(f.Revoke(x.Self(), []Limit{{one, old, 9}, {two, old, 1}}, nil))
	want("revoked by one who had more", one, author(x, old), 9)
	w.must(f.Change(x.Self(), Writer, time.Time{}))
	want("let in again, old replica", one, author(x, old), 9)
	want("let in again, new replica", one, author(x, fresh), math.MaxUint64)
}

// Expiry counts for who connects, never for what stands.
func TestExpiry(t *testing.T) {
	w := newWorld(t)
	f := w.found()
	x := w.outsider(f)
	if reason := w.redeem(f, x, &Token{Genesis: f.Roster().Genesis()}); reason != Pending {
		t.Fatalf("a request without invite: %d, want pending", reason)
	}
	w.must(f.Approve(x.Self(), Writer, w.now.Add(time.Hour)))
	w.wantMember(f, x.Self(), nil)
	w.now = w.now.Add(2 * time.Hour)
	err := f.Check(x.Self())
	if !errors.Is(err, ErrExpired) {
		t.Errorf("after its term: %v, want ErrExpired", err)
	}
	checkError(t, err, "2026-11-22 13:00", "clock says 2026-11-22 14:00")
	if got := f.Roster().Standing([16]byte{1}, author(x, [8]byte{1})); got != math.MaxUint64 {
		t.Errorf("of an expired member %d stand, want all", got)
	}
	w.must(f.Change(x.Self(), Writer, time.Time{}))
	w.wantMember(f, x.Self(), nil)
	w.now = time.Unix(0, 0) // a board without a battery
	w.wantMember(f, x.Self(), nil)
}

// The only admin cannot leave: nobody could let anyone in or out any more.
func TestOnlyAdminStays(t *testing.T) {
	w := newWorld(t)
	f := w.found()
	w.join(f, Writer)
	checkError(t, f.Revoke(f.Self(), nil, nil), "only admin")
	w.join(f, Admin)
	w.must(f.Revoke(f.Self(), nil, nil))
}
