package replica

import (
	"runtime"
	"testing"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/datastore"
)

// liveHeap returns the bytes of the heap that are in use.
func liveHeap() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// crowded is an entry with as many ops as its bytes allow, each an element of its
// own: what costs most memory for the fewest bytes.
func crowded(t *testing.T, a *testAuthor, ops int, change ...func(*Header)) *Entry {
	g := crdt.Group{Family: crdt.Sequence, Key: []byte("x")}
	for i := range ops {
		g.Ops = append(g.Ops, crdt.Op{Seq: a.next + uint64(i), Kind: crdt.Insert, Values: [][]byte{{0}}})
	}
	return a.entry(t, nil, g, change...)
}

// Two hundred messages that become as much as they can stay far from what a small
// machine has: behind a gap, and applied.
func TestBombs(t *testing.T) {
	const messages, most = 200, 32 << 20
	for name, gap := range map[string]bool{"behind a gap": true, "applied": false} {
		t.Run(name, func(t *testing.T) {
			l := open(t, "", datastore.Options{})
			a := newTestAuthor(1, l.d.id)
			if gap {
				a.next, a.prev = 2, EntryID{1}
			}
			packers() // what they take is ours
			before, sent := liveHeap(), 0
			for range messages {
				e := crowded(t, a, 150)
				sent += len(e.raw)
				if v := l.gossip(message(e)); v != Accept {
					t.Fatalf("verdict %v", v)
				}
			}
			l.sync(t)
			got := liveHeap() - before
			t.Logf("%d messages, %d kB in all: %d MiB", messages, sent/1000, got>>20)
			if got > most {
				t.Errorf("%d messages of %d kB in all take %d MiB, want at most %d", messages, sent/1000, got>>20, most>>20)
			}
		})
	}
}

// A body that has more ops, or more bytes, than its length allows is refused.
func TestUnpaddedBodies(t *testing.T) {
	l := open(t, "", datastore.Options{})
	a := newTestAuthor(1, l.d.id)
	e := crowded(t, a, crdt.MaxOps)
	plain, err := unpackBody(e.Codec, e.body())
	if err != nil {
		t.Fatal(err)
	}
	if least := charge(plain) / maxExpansion; len(e.body()) < least {
		t.Errorf("an entry of %d bytes, want at least %d", len(e.body()), least)
	}
	_, tight := pack(plain, len(plain), 0)
	for name, packed := range map[string][]byte{"unpadded": tight, "plain": plain} {
		codec := byte(codecZstd)
		if name == "plain" {
			codec = codecPlain
		}
		if _, err := unpackBody(codec, packed); err == nil {
			t.Errorf("%s: %d ops in %d bytes are taken", name, crdt.MaxOps, len(packed))
		}
	}
	zeros := make([]byte, 1<<20)
	z := packers().any.EncodeAll(zeros, append([]byte{}, uvarint(uint64(len(zeros)))...))
	if _, err := unpack(codecZstd, z); err == nil {
		t.Errorf("%d bytes become %d", len(z), len(zeros))
	}
	if codec, padded := pack(zeros, len(zeros), len(zeros)); len(padded) < len(zeros)/maxExpansion {
		t.Errorf("packed to %d bytes, want at least a %dth", len(padded), maxExpansion)
	} else if back, err := unpack(codec, padded); err != nil || len(back) != len(zeros) {
		t.Errorf("unpacked to %d bytes: %v", len(back), err)
	}
}
