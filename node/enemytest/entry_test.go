package enemytest

import (
	"crypto/ed25519"
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/zeebo/blake3"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/crdt/replica"
	"github.com/numax-mesh/numax/node/member"
)

// Entries, as crdt/replica/entry.go draws them.

const signatureSize = ed25519.SignatureSize

// signed is an encoded entry, of which the header may say what it likes.
type signed struct {
	replica.Header
	id   replica.EntryID
	raw  []byte
	head int // bytes of raw before the body
}

func (s *signed) header() []byte { return s.raw[:s.head] }

// gossip is the message that carries it.
func (s *signed) gossip() []byte {
	if len(s.raw) > replica.MaxInline {
		return append([]byte{1}, s.header()...)
	}
	return append([]byte{0}, s.raw...)
}

// encode is the header as it is: lengths and hashes are not made to fit.
func encode(h *replica.Header) []byte {
	b := append([]byte{1}, h.Network[:]...)
	b = h.Author.Append(append(b, h.Dataset[:]...))
	b = binary.AppendUvarint(binary.AppendUvarint(b, h.First), h.Count)
	b = binary.BigEndian.AppendUint64(append(b, h.Prev[:]...), uint64(h.Time))
	b = h.Deps.Append(b)
	b = append(append(b, byte(len(h.KeyID))), h.KeyID...)
	b = binary.AppendUvarint(append(b, h.Codec), h.BodyLen)
	return append(b, h.BodyHash[:]...)
}

// seal signs a header as it is, over a body.
func seal(key ed25519.PrivateKey, h replica.Header, body []byte) *signed {
	header := encode(&h)
	raw := binary.AppendUvarint(nil, uint64(len(header)))
	raw = append(append(raw, header...), ed25519.Sign(key, header)...)
	return &signed{Header: h, id: blake3.Sum256(header), raw: append(raw, body...), head: len(raw)}
}

// fit makes length and hash those of a body.
func fit(h *replica.Header, codec byte, body []byte) {
	h.Codec, h.BodyLen, h.BodyHash = codec, uint64(len(body)), blake3.Sum256(body)
}

var packer = sync.OnceValue(func() *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(256<<10), zstd.WithLowerEncoderMem(true))
	if err != nil {
		panic(err)
	}
	return e
})

// pack is a body of codec 1 that says it becomes says bytes. Honest ones take a byte for
// each 16 that they become: padded makes it so.
func pack(plain []byte, says int, padded bool) []byte {
	b := packer().EncodeAll(plain, binary.AppendUvarint(nil, uint64(says)))
	if n := (len(plain)+15)/16 - len(b); padded && n > 0 {
		zeros := max(n-8, 0)
		b = binary.LittleEndian.AppendUint32(b, 0x184d2a50)
		b = append(binary.LittleEndian.AppendUint32(b, uint32(zeros)), make([]byte, zeros)...)
	}
	return b
}

// author is one of the enemy's, and the end of its log.
type author struct {
	key  ed25519.PrivateKey
	id   crdt.Author
	next uint64
	head replica.EntryID
	last *signed
}

const (
	authorsOfKey = 6  // after which a scribe takes another key
	livesAtOnce  = 12 // logs that a scribe goes on with
)

// scribe writes logs of ever more authors. It is used by one goroutine.
type scribe struct {
	rng     *rand.Rand
	network replica.NetworkID
	dataset replica.DatasetID
	lore    *lore
	logs    []*author
	key     ed25519.PrivateKey
	made    int

	// Of a closed network.
	closed bool
	own    ed25519.PrivateKey // of a member, which signs half of the authors
	book   *member.Book
}

func newKey(rng *rand.Rand) ed25519.PrivateKey {
	var seed [ed25519.SeedSize]byte
	fill(rng, seed[:])
	return ed25519.NewKeyFromSeed(seed[:])
}

func fill(rng *rand.Rand, b []byte) {
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
}

func randomBytes(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	fill(rng, b)
	return b
}

func randomAuthor(rng *rand.Rand) crdt.Author {
	return crdt.MakeAuthor([crdt.AuthorSize]byte(randomBytes(rng, crdt.AuthorSize)))
}

// author is one to go on with, or a new one.
func (s *scribe) author() *author {
	if len(s.logs) > 0 && s.rng.IntN(4) > 0 {
		return s.logs[s.rng.IntN(len(s.logs))]
	}
	if s.made%authorsOfKey == 0 {
		if s.key = newKey(s.rng); s.own != nil && s.rng.IntN(2) == 0 {
			s.key = s.own
		}
	}
	s.made++
	var b [crdt.AuthorSize]byte
	copy(b[:], s.key.Public().(ed25519.PublicKey))
	fill(s.rng, b[ed25519.PublicKeySize:])
	a := &author{key: s.key, id: crdt.MakeAuthor(b), next: 1}
	if len(s.logs) < livesAtOnce {
		s.logs = append(s.logs, a)
	} else {
		s.logs[s.rng.IntN(len(s.logs))] = a
	}
	return a
}

func clock() crdt.HLC { return crdt.HLC(uint64(time.Now().UnixMilli()) << 16) }

// valid is the next entry of one of its authors: one that honest nodes take, or wait with. first
// seq and predecessor may be wrong in ways that nobody can be blamed for: gaps and forks.
func (s *scribe) valid() *signed {
	a := s.author()
	h := replica.Header{
		Network: s.network, Dataset: s.dataset, Author: a.id, First: a.next, Prev: a.head,
		Time: clock(), Deps: s.deps(a),
	}
	fork := false
	switch s.rng.IntN(20) {
	case 0: // a gap, from here on
		h.First += 1 + s.rng.Uint64N(1000)
		fill(s.rng, h.Prev[:])
	case 1: // what was written before, or another beginning
		if a.last != nil {
			h.First, h.Prev, fork = a.last.First, a.last.Prev, true
		}
	case 2:
		h.Time = crdt.HLC(s.rng.Uint64()) & crdt.MaxStamp
	}
	var body []byte
	for body == nil {
		groups, n := s.groups(a.id, h.First, h.Time)
		b, err := crdt.EncodeBody(groups, a.id, h.First, h.Time)
		if err == nil {
			body, h.Count = b, n
		} else {
			s.lore.said("ops that are none")
		}
	}
	if s.rng.IntN(3) == 0 && len(body) > 200 {
		body = s.lock(&h, pack(body, len(body), true))
		fit(&h, 1, body)
	} else {
		body = s.lock(&h, body)
		fit(&h, 0, body)
	}
	e := seal(a.key, h, body)
	if !fork {
		a.next, a.head, a.last = h.First+h.Count, e.id, e
	}
	s.lore.keep(e)
	return e
}

// deps are what the entry says its author had applied.
func (s *scribe) deps(a *author) crdt.Version {
	v := make(crdt.Version)
	switch s.rng.IntN(12) {
	case 0: // nobody
		v[randomAuthor(s.rng)] = 1 + s.rng.Uint64N(100)
	case 1:
		for range s.rng.IntN(300) {
			v[randomAuthor(s.rng)] = 1
		}
	case 2:
		if e := s.lore.entry(s.rng); e != nil {
			v[e.Author] = crdt.MaxSeq - s.rng.Uint64N(3)
		}
	case 3, 4, 5:
		for range s.rng.IntN(5) {
			if e := s.lore.entry(s.rng); e != nil {
				v[e.Author] = e.Last()
			}
		}
	}
	delete(v, a.id)
	return v
}

// wrong is a valid entry with one field changed, and mostly signed again.
func (s *scribe) wrong() *signed {
	e := s.lore.entry(s.rng)
	if e == nil || s.rng.IntN(2) == 0 {
		e = s.valid()
	}
	h, body := e.Header, e.raw[e.head:]
	key := newKey(s.rng)
	for _, a := range s.logs {
		if a.id == h.Author {
			key = a.key
		}
	}
	near := func() uint64 { return 1<<63 - 2 + s.rng.Uint64N(4) }
	switch s.rng.IntN(16) {
	case 0:
		h.First = near()
	case 1:
		h.Count = near()
	case 2:
		h.First, h.Count = near(), near()
	case 3:
		h.Count = 0
	case 4:
		h.Count++
	case 5:
		fill(s.rng, h.Network[:])
	case 6:
		fill(s.rng, h.Dataset[:])
	case 7:
		h.BodyLen = near()
	case 8:
		h.BodyLen = 2 << 20 // that never come
	case 9:
		h.BodyHash[s.rng.IntN(32)] ^= 1
	case 10:
		h.Codec = byte(2 + s.rng.IntN(250))
	case 11:
		h.KeyID = randomBytes(s.rng, s.rng.IntN(3)*16)
	case 12: // a bomb
		body = pack(make([]byte, 2<<20), 2<<20, s.rng.IntN(2) == 0)
		fit(&h, 1, body)
	case 13:
		body = pack(body, len(body)+s.rng.IntN(3)-1, true)
		fit(&h, 1, body)
	case 14:
		body = mutate(s.rng, body)
		fit(&h, h.Codec, body)
	case 15:
		h.First, h.Prev = 1, replica.EntryID{}
	}
	return seal(key, h, body)
}

// mutate changes bytes somewhere, or how many there are. It leaves b as it is.
func mutate(rng *rand.Rand, b []byte) []byte {
	if len(b) == 0 {
		return randomBytes(rng, 1+rng.IntN(8))
	}
	c := append([]byte(nil), b...)
	at := rng.IntN(len(c))
	switch rng.IntN(8) {
	case 0, 1:
		c[at] ^= 1 << rng.IntN(8)
	case 2:
		return c[:at]
	case 3:
		return append(c, randomBytes(rng, 1+rng.IntN(64))...)
	case 4:
		for i := at; i < min(len(c), at+9); i++ {
			c[i] = 0xff
		}
	case 5:
		for i := at; i < min(len(c), at+33); i++ {
			c[i] = 0
		}
	case 6:
		end := at + rng.IntN(len(c)-at)
		return append(c[:end:end], c[at:]...)
	case 7:
		end := at + rng.IntN(len(c)-at)
		return append(c[:at:at], c[end:]...)
	}
	return c
}
