package replica

import (
	"crypto/ed25519"
	"math"
	"time"

	"github.com/numax-mesh/numax/crdt"
)

// A dataset has room for so many authors. Every entry may name all of them in its
// deps, so their number is bounded; and one key can make any number of authors, so
// what one key can have is bounded too.
//
//	slots   ├── any author ──────────────┬── keys without one ──┼── freed ──┤
//	        0                      newcomers                maxAuthors   MaxDeps
//
// The slots of authors that are revoked, retired or forked count as free. Who finds
// no room is told: the want of who refuses names the author as refused, and its own
// node says so.
const (
	maxAuthors  = MaxDeps * 3 / 4    // that may write on
	newcomers   = maxAuthors * 3 / 4 // from here on, only keys that have no author yet
	maxOfKey    = 64                 // authors of one key that may write on
	maxEverKey  = 4 * maxOfKey       // authors of one key, freed ones too
	maxRefused  = 4096               // authors whose refusal is remembered
	refusedFor  = 10 * time.Minute   // after that they are asked for again
	recountWait = time.Second

	// refusedSeq in a want's version means: send me nothing of this author.
	refusedSeq = math.MaxUint64
)

type pubKey [ed25519.PublicKeySize]byte

func keyOf(a crdt.Author) pubKey {
	b := a.Bytes()
	return pubKey(b[:ed25519.PublicKeySize])
}

// slots counts authors. Guarded by Dataset.mu.
type slots struct {
	ofKey     map[pubKey]int // authors in logs
	live      int            // that may write on, as counted last
	counted   time.Time
	refused   map[authorHash]time.Time
	refusedBy map[string]time.Time // peers that find no room for our author
	warned    time.Time
}

func newSlots() slots {
	return slots{
		ofKey:   make(map[pubKey]int),
		refused: make(map[authorHash]time.Time), refusedBy: make(map[string]time.Time),
	}
}

// isFreed reports whether an author's slot counts as free. d.mu is held.
func (d *Dataset) isFreed(a crdt.Author) bool {
	return d.retired[d.hash(a)] || d.isForked(a) || d.isBarred(a)
}

// hasRoom reports whether an author that is not in the logs can be. d.mu is held.
func (d *Dataset) hasRoom(a crdt.Author) bool {
	key := keyOf(a)
	if len(d.logs) >= MaxDeps-1 || d.slots.ofKey[key] >= maxEverKey { // one is ours
		return false
	}
	if d.slots.ofKey[key] >= maxOfKey {
		live := 0
		for x := range d.logs {
			if keyOf(x) == key && !d.isFreed(x) {
				live++
			}
		}
		if live >= maxOfKey {
			return false
		}
	}
	if len(d.logs) < newcomers {
		return true
	}
	if now := d.r.now(); now.Sub(d.slots.counted) >= recountWait || now.Before(d.slots.counted) {
		d.slots.counted, d.slots.live = now, 0
		for x := range d.logs {
			if !d.isFreed(x) {
				d.slots.live++
			}
		}
	}
	limit := newcomers
	if d.slots.ofKey[key] == 0 {
		limit = maxAuthors
	}
	return d.slots.live < limit
}

// refuse notes that there is no room for an author. d.mu is held.
func (d *Dataset) refuse(a crdt.Author) {
	d.r.stats.Refused.Add(1)
	if len(d.slots.refused) >= maxRefused {
		clear(d.slots.refused)
	}
	now := d.r.now()
	d.slots.refused[d.hash(a)] = now
	if now.Sub(d.slots.warned) >= time.Minute {
		d.slots.warned = now
		d.r.log.Warn("no room for another author: its entries are not taken. Retire those that are gone with numax-node members forget",
			"dataset", d.name, "author", a, "authors", len(d.logs), "of its key", d.slots.ofKey[keyOf(a)])
	}
}

// wanted is what we have, and what we want nothing of, as a want says it.
func (d *Dataset) wanted() summary {
	s := d.have()
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.r.now()
	for h, since := range d.slots.refused {
		if now.Sub(since) >= refusedFor {
			delete(d.slots.refused, h)
			continue
		}
		s[h] = refusedSeq
	}
	return s
}

// heardWant takes refusals out of a peer's version, and notes one of our own author.
func (d *Dataset) heardWant(peer string, version summary) (known summary) {
	d.mu.Lock()
	defer d.mu.Unlock()
	known = make(summary, len(version))
	for h, seq := range version {
		if seq != refusedSeq {
			known[h] = seq
		}
	}
	if version[d.hash(d.self)] != refusedSeq {
		delete(d.slots.refusedBy, peer)
		return known
	}
	if _, heard := d.slots.refusedBy[peer]; !heard && len(d.slots.refusedBy) < maxRefused {
		d.slots.refusedBy[peer] = d.r.now()
		d.r.log.Warn("a peer has no room for this node's entries: it takes none of them. "+
			"Have authors that are gone retired there with numax-node members forget", "dataset", d.name, "peer", peer)
	}
	return known
}

// Refusals are how many authors this replica has lately had no room for, and the
// peers that have none for ours.
func (d *Dataset) Refusals() (authors int, by []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, since := range d.slots.refused {
		if d.r.now().Sub(since) < refusedFor {
			authors++
		}
	}
	for peer := range d.slots.refusedBy {
		by = append(by, peer)
	}
	return authors, by
}

// addLog notes an author that is new in the logs. d.mu is held.
func (d *Dataset) addLog(a crdt.Author) {
	d.hashes[d.hash(a)] = a
	if _, known := d.logs[a]; !known {
		d.slots.ofKey[keyOf(a)]++
	}
}

// hash is hashAuthor, remembered for the authors in the logs. d.mu is held.
func (d *Dataset) hash(a crdt.Author) authorHash {
	if h, ok := d.names[a]; ok {
		return h
	}
	h := hashAuthor(a)
	if _, known := d.logs[a]; known {
		d.names[a] = h
	}
	return h
}
