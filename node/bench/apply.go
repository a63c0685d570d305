package bench

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/numax-mesh/numax/crdt"
)

// Of apply: authors take turns of a run of ops each, over fields or elements
// of one object, and rows are flushed now and then, as a node does.
const (
	applyAuthors = 64
	applyRun     = 32
	applyFields  = 100_000
	applyFlush   = 8192
	applyWord    = 8 // elements of a sequence that an op inserts
)

// apply joins ops of every family in memory. No entry is decoded and nothing
// is written: this is the data types alone.
func apply(ctx context.Context, _ string, p Params) (Result, error) {
	value := []byte("a value of 24 bytes, yes")
	families := []struct {
		family crdt.Family
		op     func(o crdt.Object, i int, field []byte) crdt.Op
	}{
		{crdt.GCounter, func(_ crdt.Object, i int, _ []byte) crdt.Op { return crdt.Op{Kind: crdt.Inc, P: uint64(i)} }},
		{crdt.PNCounter, func(_ crdt.Object, i int, _ []byte) crdt.Op {
			return crdt.Op{Kind: crdt.Dec, P: uint64(i), N: uint64(i)}
		}},
		{crdt.LWWRegister, func(_ crdt.Object, i int, _ []byte) crdt.Op {
			return crdt.Op{Kind: crdt.Set, Time: crdt.HLC(i), Value: value}
		}},
		{crdt.LWWMap, func(_ crdt.Object, i int, f []byte) crdt.Op {
			return crdt.Op{Kind: crdt.Set, Time: crdt.HLC(i), Field: f, Value: value}
		}},
		{crdt.ORSet, func(_ crdt.Object, _ int, f []byte) crdt.Op { return crdt.Op{Kind: crdt.Add, Field: f} }},
		{crdt.Sequence, func(o crdt.Object, _ int, _ []byte) crdt.Op {
			s := o.(*crdt.SequenceState)
			return s.InsertAt(s.Len(), word)
		}},
	}
	var r Result
	r.count("ops", p.Ops*len(families))
	slowest := 0.0
	for _, f := range families {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		perSecond, err := applyOne(f.family, p.Ops, f.op)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.family, err)
		}
		r.perSecond(f.family.String()+" ops/s", perSecond)
		if slowest == 0 || perSecond < slowest {
			slowest = perSecond
		}
	}
	r.resident(ownResidentBytes())
	s, err := newSigned()
	if err != nil {
		return nil, err
	}
	r.of("verification of ops, 64 to an entry, by the slowest", PerSecond, 64*rate(s.verify), slowest)
	return r, nil
}

var word = func() (elements [][]byte) {
	for _, c := range []byte("word of ")[:applyWord] {
		elements = append(elements, []byte{c})
	}
	return elements
}()

func applyOne(f crdt.Family, ops int, make func(o crdt.Object, i int, field []byte) crdt.Op) (perSecond float64, err error) {
	o, err := crdt.New(f)
	if err != nil {
		return 0, err
	}
	authors, fields := someAuthors(), someFields()
	v := crdt.Version{}
	began := time.Now()
	for i := range ops {
		a := authors[i/applyRun%applyAuthors]
		op := make(o, i+1, fields[i*7919%applyFields]) // a prime: every field, in no order
		op.Seq = v[a] + 1
		if _, err := o.Apply(a, &op, v); err != nil {
			return 0, err
		}
		v[a] += op.Width()
		if i%applyFlush == applyFlush-1 {
			o.Flush(func(_, _ []byte) {}, func([]byte) {})
		}
	}
	return float64(ops) / time.Since(began).Seconds(), nil
}

func someAuthors() []crdt.Author {
	all := make([]crdt.Author, applyAuthors)
	for i := range all {
		var name [crdt.AuthorSize]byte
		binary.BigEndian.PutUint64(name[:], uint64(i)+1)
		all[i] = crdt.MakeAuthor(name)
	}
	return all
}

func someFields() [][]byte {
	all := make([][]byte, applyFields)
	for i := range all {
		all[i] = fmt.Appendf(nil, "field-%d", i)
	}
	return all
}
