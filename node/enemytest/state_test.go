package enemytest

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"maps"
	"slices"

	"github.com/zeebo/blake3"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/datastore"
)

// Whole states, as crdt/replica/state.go draws them.

const domainState = "numax 2026-11 state"

// state are the frames of a state that nobody ever had: the logs end where their authors signed, or
// do not; the objects are made up, also those of the honest. A fine one has no other fault.
func (s *scribe) state(channel []byte, fine bool) (frames [][]byte) {
	maker := s.author()
	if maker.last == nil {
		s.valid()
	}
	heads := s.lore.heads()
	if maker.last != nil {
		heads[maker.id] = maker.last
	}
	rng := s.rng
	authors := slices.SortedFunc(maps.Keys(heads), crdt.Author.Compare)
	for len(authors) > 40 {
		authors = slices.Delete(authors, len(authors)-2, len(authors)-1)
	}
	lie := rng.IntN(12)
	if fine {
		lie = -1
	}

	m := append([]byte{2}, s.network[:]...)
	m = append(append(m, s.dataset[:]...), byte(len(dataset)))
	m = maker.id.Append(append(m, dataset...))
	m = binary.BigEndian.AppendUint64(m, uint64(clock()))
	m = binary.AppendUvarint(m, rng.Uint64N(4))
	m = binary.AppendUvarint(m, uint64(len(authors)))
	rows := new(rowWriter)
	for _, a := range authors {
		have, head := heads[a].Last(), heads[a].id
		switch {
		case lie == 0 && rng.IntN(3) == 0:
			have++
		case lie == 1 && rng.IntN(3) == 0:
			head[0] ^= 1
		case lie == 2 && rng.IntN(3) == 0:
			have = crdt.MaxSeq
		}
		m = append(binary.AppendUvarint(a.Append(m), have), head[:]...)
		if lie != 3 {
			var none crdt.Version
			rows.add('a', a.Append(nil), none.Append(binary.AppendUvarint(nil, have)))
		}
	}
	for i, a := range authors {
		if !s.closed && i == 0 {
			continue // what remains on trust in an open network is not tested: such a state is never whole
		}
		if lie != 4 || rng.IntN(2) == 0 {
			rows.add('h', a.Append(nil), heads[a].header())
		}
	}
	s.objects(rows, authors, heads)
	if lie == 5 {
		h := hashAuthor(authors[0])
		rows.add('x', append([]byte{'f'}, h[:]...), randomBytes(rng, 400))
	}

	packed := append([]byte{0}, rows.b...)
	n := rows.n
	hash := blake3.NewDeriveKey(domainState)
	_, _ = hash.Write(m)
	_, _ = hash.Write(packed)
	signed := hash.Sum([]byte(domainState))
	if lie == 6 {
		n++
	}
	seal := append(binary.AppendUvarint(nil, uint64(n)), signed[len(domainState):]...)
	seal = append(seal, ed25519.Sign(maker.key, signed)...)
	switch lie {
	case 7:
		packed = mutate(rng, packed)
	case 8:
		m = mutate(rng, m)
	case 9:
		seal = mutate(rng, seal)
	case 10:
		packed = append([]byte{1}, pack(make([]byte, 1<<20), 1<<20, rng.IntN(2) == 0)...)
	}
	frames = [][]byte{frame(frameState, channel, m), frame(frameRows, channel, packed)}
	if lie == 11 {
		return frames // and that was all
	}
	return append(frames, frame(frameSeal, channel, seal))
}

// objects writes some, by authors of the state: of the enemy's keys, and of the honest's.
func (s *scribe) objects(rows *rowWriter, authors []crdt.Author, heads map[crdt.Author]*signed) {
	keys := []string{"enemy 0 0", "enemy 1 1", "of a", "of b", "of c"}
	for _, f := range []crdt.Family{crdt.GCounter, crdt.LWWRegister, crdt.LWWMap} {
		for _, key := range keys {
			if s.rng.IntN(2) == 0 {
				continue
			}
			o, err := crdt.New(f)
			if err != nil {
				panic(err) // there is such a family
			}
			a := authors[s.rng.IntN(len(authors))]
			op := s.op(f, a, heads[a].Last(), crdt.MaxStamp)
			if len(op.Value) > 1000 {
				op.Value = op.Value[:1000]
			}
			if _, err := o.Apply(a, &op, crdt.Version{}); err != nil {
				continue
			}
			prefix := datastore.ObjectPrefix(nil, datastore.Space{}, byte(f), []byte(key))[1+len(datastore.Space{}):]
			o.Flush(func(slot, cell []byte) { rows.add('o', append(bytes.Clone(prefix), slot...), cell) }, func([]byte) {})
		}
	}
}

// rowWriter encodes rows, whose keys rise.
type rowWriter struct {
	b, last []byte
	n       int
}

func (w *rowWriter) add(table byte, key, value []byte) {
	key = append([]byte{table}, key...)
	shared := 0
	for shared < min(len(w.last), len(key)) && w.last[shared] == key[shared] {
		shared++
	}
	w.b = binary.AppendUvarint(w.b, uint64(shared))
	w.b = append(binary.AppendUvarint(w.b, uint64(len(key)-shared)), key[shared:]...)
	w.b = append(binary.AppendUvarint(w.b, uint64(len(value))), value...)
	w.last = key
	w.n++
}
