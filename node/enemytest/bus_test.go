package enemytest

import (
	"crypto/ed25519"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"time"
)

// Messages between modules, as node/bus/frame.go and stream.go draw them.

// messages says one frame on the topic of messages.
func (l *life) messages(s *scribe, publish func([]byte)) {
	if s.rng.IntN(4) > 0 { // entries are heard more
		return
	}
	m, kind := l.frame(s.rng), "valid"
	switch s.rng.IntN(4) {
	case 0:
		m, kind = mutate(s.rng, m), "mutated"
	case 1:
		m, kind = randomBytes(s.rng, s.rng.IntN(400)), "absurd"
	}
	publish(m)
	l.lore.said("message " + kind)
}

// frame is a message of one of many who never spoke before, or an answer to a question that nobody
// asked.
func (l *life) frame(rng *rand.Rand) []byte {
	key := newKey(rng)
	kind := byte(1 + rng.IntN(3))
	b := append([]byte{1, kind}, key.Public().(ed25519.PublicKey)...)
	stamp := uint64(time.Now().UnixMicro())
	if rng.IntN(5) == 0 {
		stamp = rng.Uint64()
	}
	b = binary.BigEndian.AppendUint64(b, stamp)
	if kind == 3 {
		b = append(b, randomBytes(rng, 32+8)...)
	}
	b = append(b, make([]byte, 16)...) // no key
	b = append(b, content(rng)...)
	covered := append([]byte("numax bus frame 1\x00"), l.network[:]...)
	return append(b, ed25519.Sign(key, append(covered, b...))...)
}

func content(rng *rand.Rand) []byte {
	subject := []string{"", "x", "numax.test", "enemy:news", "not a subject"}[rng.IntN(5)]
	size := rng.IntN(200)
	if rng.IntN(50) == 0 {
		size = 64<<10 + rng.IntN(3) - 1
	}
	return append(append([]byte{byte(len(subject))}, subject...), randomBytes(rng, size)...)
}

// rpc sends items on a stream of messages.
func (l *life) rpc(rng *rand.Rand, _ *honest, s io.ReadWriteCloser) {
	if rng.IntN(3) > 0 {
		l.wg.Go(func() { _, _ = io.Copy(io.Discard, s) })
	} // else its verdicts are never read
	for every(l.ctx, time.Duration(rng.IntN(10))*time.Millisecond) {
		rest := content(rng)
		b := binary.BigEndian.AppendUint32(nil, uint32(9+len(rest)))
		b = binary.BigEndian.AppendUint64(append(b, byte(rng.IntN(5))), rng.Uint64())
		b = append(b, rest...)
		kind := "valid"
		switch rng.IntN(12) {
		case 0:
			b, kind = mutate(rng, b), "mutated"
		case 1:
			b, kind = binary.BigEndian.AppendUint32(nil, rng.Uint32()), "of a length that never comes"
		case 2:
			b, kind = randomBytes(rng, 1+rng.IntN(100)), "absurd"
		}
		if _, err := s.Write(b); err != nil {
			return
		}
		l.lore.said("rpc item " + kind)
	}
}

// blob asks for blobs, as node/blob/frame.go draws it.
func (l *life) blob(rng *rand.Rand, _ *honest, s io.ReadWriteCloser) {
	switch rng.IntN(4) {
	case 0: // half a request
		_, _ = s.Write(randomBytes(rng, 1+rng.IntN(31)))
		<-time.After(time.Duration(rng.IntN(300)) * time.Millisecond)
	case 1: // more than one
		_, _ = s.Write(randomBytes(rng, 33+rng.IntN(5000)))
		_, _ = io.Copy(io.Discard, s)
	case 2: // does not read
		_, _ = s.Write(randomBytes(rng, 32))
		<-time.After(time.Duration(rng.IntN(300)) * time.Millisecond)
	default:
		_, _ = s.Write(randomBytes(rng, 32))
		_, _ = io.Copy(io.Discard, s)
	}
	l.lore.said("blob requests")
}
