package enemytest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"

	"github.com/zeebo/blake3"

	"github.com/numax-mesh/numax/crdt"
)

// lore is what the enemy heard and made, in all its lives, and counts what it said. Of entries the
// last few are remembered: beyond maxLore or loreBytes the oldest go.
type lore struct {
	mu      sync.Mutex // guards the fields below
	entries []*signed
	bytes   int
	counts  map[string]int
}

const (
	maxLore   = 2000
	loreBytes = 8 << 20
)

func newLore() *lore { return &lore{counts: make(map[string]int)} }

// said counts something that was sent.
func (l *lore) said(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts[what]++
}

func (l *lore) keep(e *signed) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = append(l.entries, e)
	l.bytes += len(e.raw)
	for len(l.entries) > maxLore || l.bytes > loreBytes {
		l.bytes -= len(l.entries[0].raw)
		l.entries[0] = nil
		l.entries = l.entries[1:]
	}
}

// hear keeps an entry that others sent, as far as it can be read.
func (l *lore) hear(raw []byte) {
	n, w := binary.Uvarint(raw)
	if w <= 0 || n > uint64(len(raw)) || uint64(len(raw)-w) < n+signatureSize || n < 150 {
		return
	}
	b := raw[w : w+int(n)]
	e := &signed{raw: bytes.Clone(raw), head: w + int(n) + signatureSize, id: blake3.Sum256(b)}
	copy(e.Network[:], b[1:])
	copy(e.Dataset[:], b[33:])
	a, err := crdt.AuthorFromBytes(b[49 : 49+crdt.AuthorSize])
	if err != nil {
		return
	}
	e.Author = a
	b = b[49+crdt.AuthorSize:]
	first, w := binary.Uvarint(b)
	count, w2 := binary.Uvarint(b[max(w, 0):])
	if w <= 0 || w2 <= 0 || len(b) < w+w2+40 {
		return
	}
	e.First, e.Count = first, count
	b = b[w+w2:]
	copy(e.Prev[:], b)
	e.Time = crdt.HLC(binary.BigEndian.Uint64(b[32:]))
	if v, rest, err := crdt.DecodeVersion(b[40:]); err == nil && len(rest) > 2 {
		e.Deps = v
		n := int(rest[0])
		if len(rest) > n+2 {
			e.KeyID, e.Codec = rest[1:1+n], rest[1+n]
		}
	}
	body := e.raw[e.head:]
	e.BodyLen, e.BodyHash = uint64(len(body)), blake3.Sum256(body)
	l.keep(e)
}

// entry is one of those that are remembered; nil if there is none.
func (l *lore) entry(rng *rand.Rand) *signed {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.entries) == 0 {
		return nil
	}
	return l.entries[rng.IntN(len(l.entries))]
}

// heads are the last entries of all authors that are remembered.
func (l *lore) heads() map[crdt.Author]*signed {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make(map[crdt.Author]*signed)
	for _, e := range l.entries {
		if old := all[e.Author]; old == nil || e.Last() > old.Last() {
			all[e.Author] = e
		}
	}
	return all
}

func (l *lore) count(what string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counts[what]
}

func (l *lore) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(l.counts)) {
		fmt.Fprintf(&b, "\n%7d %s", l.counts[k], k)
	}
	return b.String()
}

// authorHash is what an author is called in frames (crdt/replica/ids.go).
type authorHash [16]byte

func hashAuthor(a crdt.Author) (h authorHash) {
	b := a.Bytes()
	sum := blake3.Sum256(b[:])
	copy(h[:], sum[:])
	return h
}

// summary is a version as frames have it (crdt/replica/summary.go).
type summary map[authorHash]uint64

func (s summary) append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	for _, h := range slices.SortedFunc(maps.Keys(s), func(a, b authorHash) int { return bytes.Compare(a[:], b[:]) }) {
		dst = binary.AppendUvarint(append(dst, h[:]...), s[h])
	}
	return dst
}

// summary is of n authors at most, known or not, at seqs that they have or never will.
func (s *scribe) summary(n int) summary {
	v := make(summary)
	for range n {
		h := authorHash(randomBytes(s.rng, 16))
		seq := s.rng.Uint64() >> s.rng.IntN(64)
		if e := s.lore.entry(s.rng); e != nil && s.rng.IntN(3) > 0 {
			if h = hashAuthor(e.Author); s.rng.IntN(3) > 0 {
				seq = e.Last()
			}
		}
		v[h] = max(seq, 1)
	}
	return v
}

// sample is a handful of entries that are remembered.
func (l *lore) sample(rng *rand.Rand, n int) (some []*signed) {
	for range n {
		if e := l.entry(rng); e != nil {
			some = append(some, e)
		}
	}
	return some
}
