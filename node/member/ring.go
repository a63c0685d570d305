package member

import (
	"cmp"
	"crypto/cipher"
	"crypto/rand"
	"maps"
	"math"
	"slices"
)

// Ring holds the network keys that a device can read. It never changes.
type Ring struct {
	keys    map[KeyID]NetworkKey
	ciphers map[KeyID]cipher.AEAD
	epochs  map[KeyID]uint32
	current KeyID
}

// Key is the key called id.
func (r *Ring) Key(id KeyID) (NetworkKey, bool) {
	k, ok := r.keys[id]
	return k, ok
}

// Cipher is XChaCha20-Poly1305 under the key called id; nil if it is not here.
func (r *Ring) Cipher(id KeyID) cipher.AEAD { return r.ciphers[id] }

// Current is the key to encrypt with: one that only members have, if there is
// one, and of those the one of the highest epoch, then id. There is none before
// the first seal arrives, and never for a relay.
func (r *Ring) Current() (KeyID, NetworkKey, bool) {
	k, ok := r.keys[r.current]
	return r.current, k, ok
}

// Len is the number of keys.
func (r *Ring) Len() int { return len(r.keys) }

// ring collects the keys that were sealed to a device, and those that follow
// from them. What is in the ring before is not opened again.
func (r *Roster) ring(self Key, s *sealing, before *Ring) *Ring {
	ring := &Ring{keys: make(map[KeyID]NetworkKey), ciphers: make(map[KeyID]cipher.AEAD), epochs: make(map[KeyID]uint32)}
	if before != nil {
		maps.Copy(ring.keys, before.keys)
	}
	// Keys of records that no longer stand are dropped at the end.
	valid := make(map[KeyID]bool)
	var list []*Keys
	for _, rec := range r.keys {
		k := rec.Body.(*Keys)
		list = append(list, k)
		for i := range k.Seals {
			if k.Seals[i].Recipient != self {
				continue
			}
			if _, known := ring.keys[k.Key]; !known {
				key, err := s.open(&k.Seals[i], k.Key)
				if err != nil {
					continue // an admin's slip; another seal may open
				}
				ring.keys[k.Key] = key
			}
			valid[k.Key] = true
		}
	}
	byKey := make(map[KeyID][]*Keys)
	for _, k := range list {
		byKey[k.Key] = append(byKey[k.Key], k)
	}
	for todo := slices.Collect(maps.Keys(valid)); len(todo) > 0; {
		id := todo[0]
		todo = todo[1:]
		for _, k := range byKey[id] {
			ring.epochs[id] = max(ring.epochs[id], k.Epoch)
			for i := range k.Older {
				o := &k.Older[i]
				if !valid[o.Key] {
					if _, known := ring.keys[o.Key]; !known {
						key, err := ring.keys[id].unwrap(o)
						if err != nil {
							continue
						}
						ring.keys[o.Key] = key
					}
					valid[o.Key] = true
					ring.epochs[o.Key] = max(ring.epochs[o.Key], o.Epoch)
					todo = append(todo, o.Key)
				}
			}
		}
	}
	maps.DeleteFunc(ring.keys, func(id KeyID, _ NetworkKey) bool { return !valid[id] })
	for id, k := range ring.keys {
		ring.ciphers[id] = k.cipher()
	}
	if leaked := r.leaked(); len(ring.keys) > 0 {
		ring.current = slices.MaxFunc(slices.Collect(maps.Keys(ring.keys)), func(a, b KeyID) int {
			return cmp.Or(compareBools(leaked[b], leaked[a]), cmp.Compare(ring.epochs[a], ring.epochs[b]), slices.Compare(a[:], b[:]))
		})
	}
	return ring
}

// leaked are the keys that someone has, or has made, who is no member any more:
// those of a seal, and what was encrypted by them. Who that is no clock decides.
func (r *Roster) leaked() map[KeyID]bool {
	var bad []KeyID
	for _, rec := range r.keys {
		k := rec.Body.(*Keys)
		if !r.Has(rec.Issuer, Admin) || slices.ContainsFunc(k.Seals, func(s Seal) bool { return !r.Has(s.Recipient, Reader) }) {
			bad = append(bad, k.Key)
		}
	}
	return r.reach(bad...)
}

// lapsed reports whether somebody has a key whose membership has expired since the key
// was made. Where a clock is wrong one admin may hand a key to a member that for another
// has expired already; so they do not make keys against each other.
func (r *Roster) lapsed(id KeyID, now uint64) bool {
	made := r.handedOut(id)
	for _, rec := range r.keys {
		k := rec.Body.(*Keys)
		if k.Key == id && slices.ContainsFunc(k.Seals, func(s Seal) bool {
			at := r.expiry(s.Recipient)
			return at != 0 && at < now && at >= made
		}) {
			return true
		}
	}
	return false
}

// handedOut is when a key was last handed out, by the clocks of those who did.
func (r *Roster) handedOut(id KeyID) (at uint64) {
	for _, rec := range r.keys {
		if rec.Body.(*Keys).Key == id {
			at = max(at, rec.Time)
		}
	}
	return at
}

// expiry is when a membership ends; 0 if never.
func (r *Roster) expiry(k Key) uint64 {
	if m := r.members[k]; m != nil && !m.Expires.IsZero() {
		return millis(m.Expires)
	}
	return 0
}

// sealed are those that a key was sealed to.
func (r *Roster) sealed(id KeyID) map[Key]bool {
	to := make(map[Key]bool)
	for _, rec := range r.keys {
		if k := rec.Body.(*Keys); k.Key == id {
			for i := range k.Seals {
				to[k.Seals[i].Recipient] = true
			}
		}
	}
	return to
}

// reach are the keys that can be had from some: themselves, and what was encrypted
// by those already reached.
func (r *Roster) reach(from ...KeyID) map[KeyID]bool {
	leads := make(map[KeyID][]OldKey)
	for _, rec := range r.keys {
		k := rec.Body.(*Keys)
		leads[k.Key] = append(leads[k.Key], k.Older...)
	}
	reached := make(map[KeyID]bool)
	for todo := from; len(todo) > 0; {
		id := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if reached[id] {
			continue
		}
		reached[id] = true
		for i := range leads[id] {
			todo = append(todo, leads[id][i].Key)
		}
	}
	return reached
}

// maxAhead is how far into the future others' clocks are believed when they say that
// a membership has expired.
const maxAhead = 24 * 60 * 60 * 1000

// missing is what an admin with this ring has to hand out: the key to seal, the
// members that lack it, and the older keys that it does not lead to. The key
// is a new one if there is none, or if somebody has the current one who is no member, or
// whose membership has expired. Nothing is missing where members and older are empty.
func (r *Roster) missing(ring *Ring, now uint64) (key NetworkKey, epoch uint32, members []Member, older []KeyID) {
	id, key, ok := ring.Current()
	epoch = ring.epochs[id]
	have, reached := make(map[Key]bool), make(map[KeyID]bool)
	if ok && !r.leaked()[id] && !r.lapsed(id, now) {
		have, reached = r.sealed(id), r.reach(id)
		now = max(now, min(r.handedOut(id), now+maxAhead)) // for other admins' clocks it may be later
	} else {
		if epoch < math.MaxUint32 { // there a key that has not leaked goes first all the same
			epoch++
		}
		_, _ = rand.Read(key[:]) // never fails
	}
	for _, m := range r.Members() {
		at := r.expiry(m.Key)
		if r.Has(m.Key, Reader) && (at == 0 || at >= now) && m.Sealing != ([32]byte{}) && !have[m.Key] {
			members = append(members, m)
		}
	}
	// The newest first: what it leads to does not have to be encrypted once more.
	for _, old := range slices.SortedFunc(maps.Keys(ring.keys), func(a, b KeyID) int {
		return cmp.Or(cmp.Compare(ring.epochs[b], ring.epochs[a]), slices.Compare(a[:], b[:]))
	}) {
		if !reached[old] {
			older = append(older, old)
			maps.Copy(reached, r.reach(old))
		}
	}
	slices.SortFunc(older, func(a, b KeyID) int { return slices.Compare(a[:], b[:]) })
	return key, epoch, members, older
}
