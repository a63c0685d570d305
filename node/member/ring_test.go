package member

import (
	"errors"
	"testing"
	"time"
)

func (w *world) wantCurrent(b *Book, id KeyID, want bool) {
	w.t.Helper()
	if _, ok := b.Ring().Key(id); ok != want {
		w.t.Errorf("device %v has the key: %t, want %t", b.Self(), ok, want)
	}
}

// Members read everything, relays nothing, and the revoked nothing new.
func TestKeys(t *testing.T) {
	w := newWorld(t)
	f := w.found()
	first, _, _ := f.Ring().Current()
	admin, x, relay := w.join(f, Admin), w.join(f, Reader), w.join(f, Relay)
	w.meet(f, admin, x, relay)
	w.wantCurrent(admin, first, true)
	w.wantCurrent(x, first, true)
	w.wantCurrent(relay, first, false)
	if x.Ring().Cipher(first) == nil || relay.Ring().Cipher(first) != nil {
		t.Error("a reader has no cipher, or a relay has one")
	}

	w.must(f.Revoke(x.Self(), nil, nil))
	w.meet(f, admin, x)
	second, key, _ := f.Ring().Current()
	if second == first {
		t.Fatal("a revocation left the key as it was")
	}
	w.wantCurrent(admin, second, true)
	w.wantCurrent(x, second, false)
	w.wantCurrent(x, first, true)
	if got, _ := admin.Ring().Key(second); got != key {
		t.Error("two devices have different keys of one id")
	}

	// Who comes later needs one seal to read what was written before.
	late := w.join(admin, Reader)
	w.wantCurrent(late, first, true)
	w.wantCurrent(late, second, true)
	if before := f.Roster().Len(); f.Reseal() != nil || f.Roster().Len() != before {
		t.Error("nothing lacks, and yet something was written")
	}
	// A relay's revocation leaves the keys alone.
	w.must(admin.Revoke(relay.Self(), nil, nil))
	if now, _, _ := admin.Ring().Current(); now != second {
		t.Error("a relay was revoked, and the key that it never had was changed")
	}
}

// What was written under a key of an admin whose revoker had not heard of it can
// still be read.
func TestKeysNobodyHeardOf(t *testing.T) {
	w := newWorld(t)
	f := w.found()
	admin, writer, x := w.join(f, Admin), w.join(f, Writer), w.join(f, Reader)
	w.meet(f, admin, writer, x)
	w.must(admin.Revoke(x.Self(), nil, nil))
	orphan, _, _ := admin.Ring().Current()
	w.meet(admin, writer)
	w.wantCurrent(writer, orphan, true)
	w.tick()
	w.must(f.Revoke(admin.Self(), nil, nil))
	w.meet(f, writer)
	w.must(f.Reseal())
	w.meet(f, writer)
	late := w.join(f, Writer)
	for _, b := range []*Book{f, writer, late} {
		w.wantCurrent(b, orphan, true)
		if now, _, _ := b.Ring().Current(); now == orphan {
			t.Errorf("device %v writes under a key that the revoked has", b.Self())
		}
	}
}

// Admins that rotate while apart end with one current key and no key lost.
func TestKeysRotatedApart(t *testing.T) {
	w := newWorld(t)
	f := w.found()
	admin, x, y := w.join(f, Admin), w.join(f, Writer), w.join(f, Writer)
	w.meet(f, admin, x, y)
	w.must(f.Revoke(x.Self(), nil, nil))
	w.must(admin.Revoke(y.Self(), nil, nil))
	a, _, _ := f.Ring().Current()
	b, _, _ := admin.Ring().Current()
	for range 3 { // until nothing lacks
		w.meet(f, admin, x, y)
		w.must(f.Reseal())
		w.must(admin.Reseal())
	}
	w.meet(f, admin, x, y)
	now, _, _ := f.Ring().Current()
	if got, _, _ := admin.Ring().Current(); got != now {
		t.Errorf("admins have different current keys, %v and %v", got, now)
	}
	for _, device := range []*Book{x, y} {
		w.wantCurrent(device, now, false)
	}
	late := w.join(f, Reader)
	for _, id := range []KeyID{a, b, now} {
		w.wantCurrent(late, id, true)
	}
}

// A key that was encrypted by one which the revoked have is theirs, too.
func TestKeysOfTheRevokedOlder(t *testing.T) {
	w := newWorld(t)
	f := w.found()
	admin, x, y := w.join(f, Admin), w.join(f, Reader), w.join(f, Reader)
	w.meet(f, admin, x, y)
	w.must(f.Revoke(x.Self(), nil, nil))
	w.must(admin.Revoke(x.Self(), nil, nil)) // apart: two keys, and both are good
	w.meet(f, admin)
	w.must(f.Reseal())
	w.meet(f, admin)
	late := w.join(f, Reader)
	w.meet(f, late)
	w.must(f.Revoke(late.Self(), nil, nil))
	w.meet(f, late)
	id, _, _ := f.Ring().Current()
	w.wantCurrent(late, id, false)
}

// No key that a revoked admin made is encrypted with, however high its epoch.
func TestKeysOfTheRevoked(t *testing.T) {
	w := newWorld(t)
	f := w.found()
	thief := w.join(f, Admin)
	w.meet(f, thief)
	old, _, _ := thief.Ring().Current()
	w.must(thief.act("take the last epoch", func(p *pen) error {
		m, _ := p.roster.Member(f.Self())
		s, err := NetworkKey{1}.sealTo(m)
		if err != nil {
			return err
		}
		return p.write(Admin, &Keys{Key: NetworkKey{1}.ID(), Epoch: 1<<32 - 1, Seals: []Seal{s}})
	}))
	w.tell(thief, f)
	if id, _, _ := f.Ring().Current(); id != (NetworkKey{1}.ID()) {
		t.Fatal("the thief's key is not current")
	}
	w.must(f.Revoke(thief.Self(), nil, nil)) // its records stand, and it knows both keys
	id, _, ok := f.Ring().Current()
	if !ok || id == (NetworkKey{1}.ID()) || id == old {
		t.Errorf("the current key is %v, want a new one", id)
	}
	if late := w.join(f, Reader); late.Ring().Len() != 3 {
		t.Errorf("who comes later has %d keys, want all 3", late.Ring().Len())
	}
}

// A flood by an admin fills the set, so that nothing new begins; its revocation
// still fits, and takes the flood away.
func TestFull(t *testing.T) {
	w := newWorld(t)
	f := w.found()
	thief := w.join(f, Admin)
	w.meet(f, thief)
	under := thief.Roster().grants[thief.Self()][0].ID
	after := make([]ID, 4000)
	for i := range after {
		after[i] = ID{byte(i >> 8), byte(i)}
	}
	var list []*Record
	for size := 0; size <= MaxBytes; size += len(list[0].raw) {
		list = append(list, forge(t, thief, under, &Grant{Subject: Key{byte(len(list)), byte(len(list) >> 8)}, Role: Reader, Name: "x", After: after}))
	}
	if _, err := f.Merge(list); !errors.Is(err, ErrFull) {
		t.Errorf("more than a set holds: %v, want ErrFull", err)
	}
	_, err := f.Merge(list[:len(list)-2])
	w.must(err)
	if _, err = f.Invite(Reader, 1, time.Time{}); !errors.Is(err, ErrFull) {
		t.Errorf("an invite of a full network: %v, want ErrFull", err)
	}
	w.must(f.Revoke(thief.Self(), nil, func(r *Record) bool { return r.Time > 0 }))
	if n := f.Roster().Len(); n > 10 {
		t.Errorf("%d records are left of a flood, want few", n)
	}
	_, err = f.Invite(Reader, 1, time.Time{})
	w.must(err)
}
