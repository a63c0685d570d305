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
	for again := true; again; {
		again = false
		for _, k := range list {
			if !valid[k.Key] {
				continue
			}
			ring.epochs[k.Key] = max(ring.epochs[k.Key], k.Epoch)
			for i := range k.Older {
				o := &k.Older[i]
				if valid[o.Key] {
					continue
				}
				if _, known := ring.keys[o.Key]; !known {
					key, err := ring.keys[k.Key].unwrap(o)
					if err != nil {
						continue
					}
					ring.keys[o.Key] = key
				}
				valid[o.Key], again = true, true
				ring.epochs[o.Key] = max(ring.epochs[o.Key], o.Epoch)
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
// those of a seal, and what was encrypted by them.
func (r *Roster) leaked() map[KeyID]bool {
	leaked := make(map[KeyID]bool)
	for _, rec := range r.keys {
		k := rec.Body.(*Keys)
		bad := !r.Has(rec.Issuer, Admin)
		for i := range k.Seals {
			bad = bad || !r.Has(k.Seals[i].Recipient, Reader)
		}
		leaked[k.Key] = leaked[k.Key] || bad
	}
	for id, bad := range maps.Clone(leaked) {
		if bad {
			for older := range r.reach(id) {
				leaked[older] = true
			}
		}
	}
	return leaked
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

// reach are the keys that can be had from one: itself, and what was encrypted
// by those already reached.
func (r *Roster) reach(from KeyID) map[KeyID]bool {
	reached := map[KeyID]bool{from: true}
	for again := true; again; {
		again = false
		for _, rec := range r.keys {
			k := rec.Body.(*Keys)
			for i := 0; reached[k.Key] && i < len(k.Older); i++ {
				if !reached[k.Older[i].Key] {
					reached[k.Older[i].Key], again = true, true
				}
			}
		}
	}
	return reached
}

// missing is what an admin with this ring has to hand out: the key to seal, the
// members that lack it, and the older keys that it does not lead to. The key
// is a new one if there is none, or if the current one has leaked. Nothing is
// missing where members and older are empty.
func (r *Roster) missing(ring *Ring) (key NetworkKey, epoch uint32, members []Member, older []KeyID) {
	id, key, ok := ring.Current()
	epoch = ring.epochs[id]
	var have map[Key]bool
	var reached map[KeyID]bool
	if ok && !r.leaked()[id] {
		have, reached = r.sealed(id), r.reach(id)
	} else {
		if epoch < math.MaxUint32 { // there a key that has not leaked goes first all the same
			epoch++
		}
		_, _ = rand.Read(key[:]) // never fails
	}
	for _, m := range r.Members() {
		if r.Has(m.Key, Reader) && m.Sealing != ([32]byte{}) && !have[m.Key] {
			members = append(members, m)
		}
	}
	for _, old := range slices.SortedFunc(maps.Keys(ring.keys), func(a, b KeyID) int { return slices.Compare(a[:], b[:]) }) {
		if !reached[old] {
			older = append(older, old)
		}
	}
	return key, epoch, members, older
}
