package enemytest

import (
	"encoding/binary"
	"io"
	"math/rand/v2"
	"time"
)

// The member protocol, as node/member/frame.go draws it.

// memberFrame is one of a kind, with what may stand in it.
func (l *life) memberFrame(rng *rand.Rand) []byte {
	kind := byte(1 + rng.IntN(10))
	var p []byte
	switch kind {
	case 1:
		p = append(append([]byte{1}, l.network[:]...), randomBytes(rng, 16)...)
	case 2:
		p = randomBytes(rng, 48)
	case 3, 4:
		p = append(randomBytes(rng, 32), records(rng)...)
	case 5, 6:
		p = append(randomBytes(rng, 8), records(rng)...)
	case 7:
		p = randomBytes(rng, 32)
	case 8:
		p = randomBytes(rng, 16*rng.IntN(200))
	default:
		p = records(rng)
	}
	b := binary.AppendUvarint(nil, uint64(len(p)+1))
	return append(append(b, kind), p...)
}

// records are bytes where records should be.
func records(rng *rand.Rand) (b []byte) {
	for range rng.IntN(5) {
		r := randomBytes(rng, rng.IntN(400))
		b = append(binary.AppendUvarint(b, uint64(len(r))), r...)
	}
	return b
}

// introduce speaks the member protocol: the hello that begins it, mostly, and then whatever comes.
func (l *life) introduce(rng *rand.Rand, x *honest, s io.ReadWriteCloser) {
	if l.book != nil && rng.IntN(2) == 0 {
		l.show(rng, x, s)
		return
	}
	l.wg.Go(func() { _, _ = io.Copy(io.Discard, s) })
	if rng.IntN(4) > 0 {
		hello := append(append([]byte{1, 1}, l.network[:]...), randomBytes(rng, 16)...)
		if _, err := s.Write(append(binary.AppendUvarint(nil, uint64(len(hello))), hello...)); err != nil {
			return
		}
	}
	for every(l.ctx, time.Duration(rng.IntN(20))*time.Millisecond) {
		b, kind := l.memberFrame(rng), "shaped"
		switch rng.IntN(6) {
		case 0:
			b, kind = mutate(rng, b), "mutated"
		case 1:
			b, kind = binary.AppendUvarint(nil, rng.Uint64()>>rng.IntN(64)), "of a length that never comes"
		}
		if _, err := s.Write(b); err != nil {
			return
		}
		l.lore.said("member frame " + kind)
	}
}
