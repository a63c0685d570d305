package crdt

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"testing"
)

// What an object says it takes in memory is at least half of what it does take,
// whatever ops made it: caches are bounded by it.
func TestWeight(t *testing.T) {
	const n = 20_000
	anybody := func(i int) Author {
		var b [AuthorSize]byte
		binary.BigEndian.PutUint64(b[:], uint64(i+1))
		return MakeAuthor(b)
	}
	var known []Author // whoever has a log is in memory anyway
	for i := range n {
		known = append(known, anybody(i))
	}
	author := func(i int) Author { return known[i] }
	key := func(i int) []byte { return fmt.Append(nil, i) }
	for name, c := range map[string]struct {
		family Family
		op     func(i int) (Author, Op)
	}{
		"counts of many": {GCounter, func(i int) (Author, Op) { return author(i), Op{Seq: 1, Kind: Inc, P: 1} }},
		"fields": {LWWMap, func(i int) (Author, Op) {
			return author(0), Op{Seq: uint64(i + 1), Kind: Set, Time: 1, Field: key(i), Value: []byte{1}}
		}},
		"fields of many":     {LWWMap, func(i int) (Author, Op) { return author(i), Op{Seq: 1, Kind: Set, Time: 1, Field: key(i)} }},
		"removed fields":     {LWWMap, func(i int) (Author, Op) { return author(i), Op{Seq: 1, Kind: Remove, Time: 1, Field: key(i)} }},
		"elements":           {ORSet, func(i int) (Author, Op) { return author(0), Op{Seq: uint64(i + 1), Kind: Add, Field: key(i)} }},
		"elements of many":   {ORSet, func(i int) (Author, Op) { return author(i), Op{Seq: 1, Kind: Add, Field: key(i)} }},
		"an element of many": {ORSet, func(i int) (Author, Op) { return author(i), Op{Seq: 1, Kind: Add, Field: []byte("e")} }},
		"letters apart": {Sequence, func(i int) (Author, Op) {
			return author(0), Op{Seq: uint64(i + 1), Kind: Insert, Values: [][]byte{{1}}}
		}},
		"letters of many": {Sequence, func(i int) (Author, Op) { return author(i), Op{Seq: 1, Kind: Insert, Values: [][]byte{{1}}} }},
		"letters behind a gap": {Sequence, func(i int) (Author, Op) {
			return author(0), Op{Seq: uint64(2*i + 2), Kind: Insert, Values: [][]byte{{1}}, Left: Dot{author(0), uint64(2*i + 1)}}
		}},
		"deletions, apart": {Sequence, func(i int) (Author, Op) {
			return author(0), Op{Seq: uint64(i + 1), Kind: Delete, Dots: []DotRun{{author(1), uint64(3*i + 1), 1}}}
		}},
		"deletions of many others": {Sequence, func(i int) (Author, Op) {
			return author(0), Op{Seq: uint64(i + 1), Kind: Delete, Dots: []DotRun{{anybody(n + i), 1, 1}}}
		}},
	} {
		before := live()
		o, _ := New(c.family)
		for i := range n {
			a, op := c.op(i)
			if _, err := o.Apply(a, &op, nil); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		took := live() - before
		t.Logf("%s: %d bytes, weight %d", name, took, o.Weight())
		if took > 2*o.Weight() {
			t.Errorf("%s: takes %d bytes, and says %d", name, took, o.Weight())
		}
		runtime.KeepAlive(o)
	}
	runtime.KeepAlive(known)
}

// live collects the garbage and returns how many bytes of the heap are in use.
func live() int {
	for last := -1; ; {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		if n := int(m.HeapAlloc); last >= 0 && n >= last-1<<10 {
			return n
		} else {
			last = n
		}
	}
}
