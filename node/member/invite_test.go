package member

import (
	"errors"
	"testing"
	"time"
)

func (w *world) wantReason(got, want Reason) {
	w.t.Helper()
	if got != want {
		w.t.Errorf("answer %d (%s), want %d (%s)", got, reasonTexts[got], want, reasonTexts[want])
	}
}

func TestInvite(t *testing.T) {
	w := newWorld(t)
	f := w.found()
	token, err := f.Invite(Reader, 2, w.now.Add(time.Hour))
	w.must(err)
	a, b, c := w.outsider(f), w.outsider(f), w.outsider(f)
	w.wantReason(w.redeem(f, a, token), 0)
	w.wantReason(w.redeem(f, a, token), 0) // an answer that got lost
	w.wantReason(w.redeem(f, b, token), 0)
	w.wantReason(w.redeem(f, c, token), UsedUp)
	w.wantMember(f, c.Self(), ErrNotMember)
	if i := f.Roster().Invites(); len(i) != 1 || i[0].Used != 2 || i[0].Uses != 2 {
		t.Errorf("invites %+v, want one, used twice", i)
	}

	unused, err := f.Invite(Reader, 1, w.now.Add(time.Hour))
	w.must(err)
	q, err := NewRequest(c.key, "c", unused)
	w.must(err)
	reason, err := f.Redeem(q, a.Self()) // a is a member; that does not help c
	w.must(err)
	w.wantReason(reason, BadSignature)
	q.signature[3] ^= 1
	reason, err = f.Redeem(q, c.Self())
	w.must(err)
	w.wantReason(reason, BadSignature)
	w.wantReason(w.redeem(f, c, &Token{Genesis: token.Genesis, Secret: new(InviteSecret)}), UnknownInvite)
	w.wantReason(w.redeem(f, c, &Token{Genesis: Genesis{Name: "other"}}), OtherNetwork)
	w.tell(f, a)
	w.wantReason(w.redeem(a, c, token), NotAdmin)

	// A revoked device cannot use an invite, but ask.
	open, err := f.Invite(Reader, 9, w.now.Add(time.Hour))
	w.must(err)
	w.must(f.Revoke(b.Self(), nil, nil))
	w.wantReason(w.redeem(f, b, open), Revoked)
	w.wantReason(w.redeem(f, b, &Token{Genesis: token.Genesis}), Pending)
	if p := f.Pending(); len(p) != 1 || !p[0].Revoked {
		t.Errorf("pending %+v, want one that was revoked", p)
	}
	w.must(f.Approve(b.Self(), Reader, time.Time{}))
	w.wantMember(f, b.Self(), nil)
	checkError(t, f.Approve(b.Self(), Reader, time.Time{}), "does not wait")

	w.now = w.now.Add(2 * time.Hour)
	w.wantReason(w.redeem(f, c, open), InviteExpired)
	_, err = f.Invite(Reader, 1, noon)
	checkError(t, err, "past")
}

// An invite that has expired lets nobody in where the clock of the admin that answers is behind: it is judged by what
// this device, the invite's maker or two admins have signed. One other admin whose clock is ahead ends nobody's invites.
func TestInviteBehindTheClock(t *testing.T) {
	w := newWorld(t)
	f := w.found()
	var admins []*Book
	skew := make([]time.Duration, 3)
	for i := range skew {
		o := w.options()
		o.Now = func() time.Time { return w.now.Add(skew[i]) }
		b, err := Join(f.Roster().Genesis(), o)
		w.must(err)
		token, err := f.Invite(Admin, 1, time.Time{})
		w.must(err)
		w.wantReason(w.redeem(f, b, token), 0)
		admins = append(admins, b)
	}
	answers, other, third := admins[0], admins[1], admins[2]
	w.meet(f, answers, other, third)
	invite := func() *Token { // of the founder, for an hour
		token, err := f.Invite(Reader, 9, w.now.Add(time.Hour))
		w.must(err)
		w.meet(f, answers, other, third)
		return token
	}
	signs := func(b *Book) {
		_, err := b.Invite(Reader, 1, time.Time{})
		w.must(err)
		w.meet(f, answers, other, third)
	}
	in1970 := func() time.Duration { return time.Unix(0, 0).Sub(w.now) }

	// The maker has signed later.
	token := invite()
	skew[0] = in1970()
	w.wantReason(w.redeem(answers, w.outsider(f), token), 0)
	w.now = w.now.Add(2 * time.Hour)
	signs(f)
	w.wantReason(w.redeem(answers, w.outsider(f), token), InviteExpired)

	// This device has: its clock was right before.
	skew[0] = 0
	token = invite()
	w.now = w.now.Add(2 * time.Hour)
	signs(answers)
	skew[0] = in1970()
	w.wantReason(w.redeem(answers, w.outsider(f), token), InviteExpired)
	_, err := answers.Invite(Reader, 1, time.Unix(0, 0).Add(24*time.Hour))
	checkError(t, err, "set the clock")

	// Two others have; one alone could be wrong.
	token = invite()
	skew[1] = 30 * 365 * 24 * time.Hour
	signs(other)
	w.wantReason(w.redeem(f, w.outsider(f), token), 0)
	w.wantReason(w.redeem(answers, w.outsider(f), token), 0)
	w.now = w.now.Add(2 * time.Hour)
	signs(third)
	w.wantReason(w.redeem(answers, w.outsider(f), token), InviteExpired)

	// Two that were wrong end the invites of all, until one of them is revoked.
	skew[2] = skew[1]
	signs(third)
	_, err = f.Invite(Reader, 1, w.now.Add(time.Hour))
	checkError(t, err, "set the clock")
	w.must(f.Revoke(other.Self(), nil, nil))
	token, err = f.Invite(Reader, 1, w.now.Add(time.Hour))
	w.must(err)
	w.wantReason(w.redeem(f, w.outsider(f), token), 0)
}

// Two admins that redeem the last use of an invite while apart end with one
// newcomer, the same everywhere.
func TestInviteUsedApart(t *testing.T) {
	w := newWorld(t)
	f := w.found()
	admin := w.join(f, Admin)
	w.meet(f, admin)
	token, err := admin.Invite(Writer, 1, time.Time{})
	w.must(err)
	w.tell(admin, f)
	x, y := w.outsider(f), w.outsider(f)
	w.wantReason(w.redeem(admin, x, token), 0)
	w.tick()
	w.wantReason(w.redeem(f, y, token), 0)
	w.meet(f, admin, x, y)
	w.wantMember(x, y.Self(), nil) // the founder's word goes first
	w.wantMember(y, x.Self(), ErrNotMember)
	// Whoever is in force holds the current key, and nobody else.
	w.must(admin.Reseal())
	w.meet(f, admin, x, y)
	id, _, _ := f.Ring().Current()
	if to := f.Roster().sealed(id); to[x.Self()] || !to[y.Self()] {
		t.Errorf("the current key is sealed to %v", to)
	}
}

// An invite falls with the admin that made it, unless it was listed; one that
// is withdrawn lets nobody in, and nobody out.
func TestInviteFalls(t *testing.T) {
	w := newWorld(t)
	f := w.found()
	thief := w.join(f, Admin)
	w.meet(f, thief)
	token, err := thief.Invite(Admin, 3, time.Time{})
	w.must(err)
	other := w.join(f, Admin)
	w.meet(thief, other)
	x := w.outsider(f)
	w.wantReason(w.redeem(other, x, token), 0)
	w.must(f.Revoke(thief.Self(), nil, nil)) // has not seen the invite
	w.meet(f, other, x)
	w.wantMember(f, x.Self(), ErrNotMember)

	// Who comes by an invite ranks below its maker, whoever lets it in.
	token, err = other.Invite(Admin, 1, time.Time{})
	w.must(err)
	w.tell(other, f)
	w.wantReason(w.redeem(f, x, token), 0)
	if m, _ := f.Roster().Member(x.Self()); m.Rank != 2 {
		t.Errorf("the rank of a newcomer is %d, want 2", m.Rank)
	}

	token, err = f.Invite(Writer, 3, time.Time{})
	w.must(err)
	y, z := w.outsider(f), w.outsider(f)
	w.wantReason(w.redeem(f, y, token), 0)
	w.tell(f, other)
	var id ID
	for _, i := range f.Roster().Invites() {
		if i.Key == publicKey(token.Secret.key()) {
			id = i.ID
		}
	}
	checkError(t, other.CloseInvite(id), "above this one")
	w.must(f.CloseInvite(id))
	w.wantReason(w.redeem(f, z, token), UnknownInvite)
	w.wantReason(w.redeem(other, z, token), 0) // has not heard of it
	w.meet(f, other, y, z)
	w.wantMember(other, y.Self(), nil)
	w.wantMember(other, z.Self(), ErrNotMember)
}

func TestPendingBounded(t *testing.T) {
	w := newWorld(t)
	f := w.found()
	for i := range MaxPending + 1 {
		f.ask(PendingRequest{Subject: Key{byte(i)}})
	}
	f.ask(PendingRequest{Subject: Key{5}})
	if p := f.Pending(); len(p) != MaxPending || p[0].Subject != (Key{1}) || p[MaxPending-1].Subject != (Key{5}) {
		t.Errorf("%d wait, from %v, want %d without the oldest", len(p), p[0].Subject, MaxPending)
	}
}

// Certificates that are wrong in different ways are refused with different words.
func TestBadRecords(t *testing.T) {
	w := newWorld(t)
	f := w.found()
	x := w.join(f, Writer)
	good := x.Roster().grants[x.Self()][0].Record
	raw := append([]byte(nil), forge(t, f, ID{}, &Grant{Subject: Key{8}, Role: Admin, Name: "x"}).raw...)
	raw[len(raw)-1] ^= 1
	forged, err := parseRecord(raw)
	w.must(err)
	if _, err := f.Merge([]*Record{forged}); !errors.Is(err, ErrForged) {
		t.Errorf("forged: %v", err)
	}
	g := newWorld(t).found()
	if _, err := f.Merge(g.Roster().records); !errors.Is(err, ErrForeign) {
		t.Errorf("foreign: %v", err)
	}
	if _, err := parseRecord(raw[:50]); !errors.Is(err, ErrMalformed) {
		t.Errorf("cut off: %v", err)
	}
	raw[0] = 2
	_, err = parseRecord(raw)
	checkError(t, err, "version 2")
	// Who signs for itself gets nowhere, and costs no evaluation.
	self := forge(t, x, ID{}, &Grant{Subject: x.Self(), Role: Admin, Name: "x"})
	under := forge(t, x, good.ID, &Grant{Subject: Key{7}, Role: Admin, Name: "x"})
	if n, err := f.Merge([]*Record{self, under}); n != 0 || err != nil {
		t.Errorf("records without authority: %d news, %v", n, err)
	}
	if r := f.Roster(); r.takes(self) || r.takes(under) || len(r.comeDown([]*Record{self, under})) > 0 {
		t.Error("a self-made record comes down from the founder")
	}
}
