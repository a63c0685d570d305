package replica

import (
	"fmt"
	"testing"

	"github.com/numax-mesh/numax/crdt"
)

// An entry takes as many ops as its limits allow, counted as they are encoded:
// what is typed without a pause is one op, until it is too wide.
func TestSealCount(t *testing.T) {
	self := crdt.MakeAuthor([crdt.AuthorSize]byte{1})
	letter := func(i int, key string) localOp {
		op := crdt.Op{Seq: uint64(i + 1), Kind: crdt.Insert, Values: [][]byte{{'x'}}}
		if i > 0 {
			op.Left = crdt.Dot{Author: self, Seq: uint64(i)}
		}
		return localOp{family: crdt.Sequence, key: key, op: op, size: 1}
	}
	for name, c := range map[string]struct {
		ops  func(i int) localOp
		want int
	}{
		"typing":         {func(i int) localOp { return letter(i, "text") }, crdt.MaxWidth},
		"two texts":      {func(i int) localOp { return letter(i, fmt.Sprint("text", i%2)) }, maxSealOps},
		"two long texts": {func(i int) localOp { return letter(i, fmt.Sprint("text", i/30000)) }, crdt.MaxWidth},
		"counters": {func(i int) localOp {
			return localOp{family: crdt.GCounter, op: crdt.Op{Seq: uint64(i + 1), Kind: crdt.Inc}}
		}, maxSealOps},
		"control":          {func(i int) localOp { return localOp{control: []byte{1}, op: crdt.Op{Seq: uint64(i + 1)}} }, maxSealOps},
		"large":            {func(i int) localOp { o := letter(i, "text"); o.size = 1 << 10; return o }, maxSealBytes >> 10},
		"one of over all":  {func(i int) localOp { o := letter(i, "text"); o.size = 1 << 20; return o }, 1},
		"the other letter": {func(i int) localOp { o := letter(i, "text"); o.op.Left = crdt.Dot{}; return o }, maxSealOps},
	} {
		var ops []localOp
		for i := range crdt.MaxWidth + 1000 {
			ops = append(ops, c.ops(i))
		}
		n := sealCount(ops, self)
		if n != c.want {
			t.Errorf("%s: an entry of %d ops, want %d", name, n, c.want)
		}
		if got := sealCount(ops[:n], self); got != n {
			t.Errorf("%s: %d of %d ops, that fit an entry, make one", name, got, n)
		}
	}
}
