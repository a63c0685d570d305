package crdt

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// Each benchmark applies 1<<20 operations of 64 authors an iteration, or
// builds a text; rows are flushed now and then, as a node does.

const benchOps = 1 << 20

func benchApply(b *testing.B, f Family, makeOp func(i int, op *Op)) {
	authors := make([]Author, 64)
	for i := range authors {
		authors[i] = testAuthor(fmt.Sprint("author", i))
	}
	fields := make([][]byte, 100_000)
	for i := range fields {
		fields[i] = []byte(fmt.Sprint("field-", i))
	}
	b.ReportAllocs()
	for range b.N {
		o, err := New(f)
		if err != nil {
			b.Fatal(err)
		}
		v := Version{}
		for i := range benchOps {
			a := authors[i/32%64]
			op := Op{Seq: v[a] + 1, Field: fields[i*7919%len(fields)]}
			makeOp(i, &op)
			if _, err := o.Apply(a, &op, v); err != nil {
				b.Fatal(err)
			}
			v[a]++
			if i%8192 == 8191 {
				o.Flush(func(_, _ []byte) {}, func([]byte) {})
			}
		}
	}
	b.ReportMetric(float64(benchOps)*float64(b.N)/b.Elapsed().Seconds(), "ops/s")
}

func BenchmarkApplyGCounter(b *testing.B) {
	benchApply(b, GCounter, func(i int, op *Op) { *op = Op{Seq: op.Seq, Kind: Inc, P: uint64(i)} })
}

func BenchmarkApplyRegister(b *testing.B) {
	value := []byte("a value of 24 bytes, yes")
	benchApply(b, LWWRegister, func(i int, op *Op) { *op = Op{Seq: op.Seq, Kind: Set, Time: HLC(i), Value: value} })
}

func BenchmarkApplyMap(b *testing.B) {
	value := []byte("a value of 24 bytes, yes")
	benchApply(b, LWWMap, func(i int, op *Op) { op.Kind, op.Time, op.Value = Set, HLC(i), value })
}

func BenchmarkApplySet(b *testing.B) {
	benchApply(b, ORSet, func(_ int, op *Op) { op.Kind = Add })
}

// BenchmarkApplySequence appends 64 authors' words of 8 characters.
func BenchmarkApplySequence(b *testing.B) {
	word := chars("word of ")
	for range b.N {
		s := newSequence()
		v := Version{}
		for i := range benchOps / 8 {
			a := testAuthor(fmt.Sprint(i / 32 % 64))
			op := s.InsertAt(s.Len(), word)
			op.Seq = v[a] + 1
			if _, err := s.Apply(a, &op, v); err != nil {
				b.Fatal(err)
			}
			v[a] += 8
		}
	}
	b.ReportMetric(float64(benchOps)*float64(b.N)/b.Elapsed().Seconds(), "elements/s")
}

func randomText(b *testing.B, n int) (*SequenceState, Version) {
	rnd := rand.New(rand.NewPCG(1, 2))
	a, v, s := testAuthor("a"), Version{}, newSequence()
	for range n {
		apply(b, s, a, v, s.InsertAt(rnd.IntN(s.Len()+1), [][]byte{{'x'}}))
	}
	return s, v
}

// BenchmarkSequenceRandom inserts 100,000 characters, each at a random place:
// the worst case, in which no two make a run.
func BenchmarkSequenceRandom(b *testing.B) {
	for range b.N {
		randomText(b, 100_000)
	}
}

func BenchmarkSequenceLoad(b *testing.B) {
	s, _ := randomText(b, 100_000)
	type row struct{ slot, cell []byte }
	rows := map[string]row{}
	s.Flush(func(slot, cell []byte) {
		rows[string(slot)] = row{append([]byte{}, slot...), append([]byte{}, cell...)}
	}, nil)
	order := sortedSlots(rows)
	b.ResetTimer()
	for range b.N {
		s := newSequence()
		for _, k := range order {
			if err := s.Load(rows[k].slot, rows[k].cell); err != nil {
				b.Fatal(err)
			}
		}
		if err := s.Loaded(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBody encodes and decodes 1,000 counter increments.
func BenchmarkBody(b *testing.B) {
	a := testAuthor("a")
	g := Group{Family: GCounter, Key: []byte("hits")}
	for i := range uint64(1000) {
		g.Ops = append(g.Ops, Op{Seq: i + 1, Kind: Inc, P: i})
	}
	groups := []Group{g}
	body, err := EncodeBody(groups, a, 1, 0)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("encode", func(b *testing.B) {
		for range b.N {
			if _, err := EncodeBody(groups, a, 1, 0); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportMetric(float64(len(body)), "bytes")
		for range b.N {
			if _, err := DecodeBody(body, a, 1, 1000, 0); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkSequencePrepend inserts 100,000 characters, each at the start.
func BenchmarkSequencePrepend(b *testing.B) {
	for range b.N {
		a, v, s := testAuthor("a"), Version{}, newSequence()
		for range 100_000 {
			apply(b, s, a, v, s.InsertAt(0, [][]byte{{'x'}}))
		}
	}
}
