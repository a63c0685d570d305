package enemytest

import (
	"fmt"

	"github.com/numax-mesh/numax/crdt"
)

// Ops of every family, on keys that the honest do not use.

const (
	familyControl = crdt.Family(0xf0) // crdt/replica/control.go
	someKeys      = 4
)

// groups are the ops of an entry: n of them, or as many dots.
func (s *scribe) groups(a crdt.Author, first uint64, stamp crdt.HLC) (groups []crdt.Group, n uint64) {
	for i := range 1 + s.rng.IntN(3) {
		g := crdt.Group{Key: fmt.Appendf(nil, "enemy %d %d", i, s.rng.IntN(someKeys))}
		seq := first + n
		switch kind := s.rng.IntN(10); kind {
		case 6, 7:
			g = s.control(seq)
			n++
			groups = append(groups, g)
			continue
		case 8: // a family of a later version
			count := 1 + s.rng.Uint64N(3)
			g.Family, g.Raw = crdt.Family(100+s.rng.IntN(100)), randomBytes(s.rng, 1+s.rng.IntN(500))
			g.Runs = []crdt.OpRun{{Seq: seq, Width: 1, Count: count}}
			n += count
			groups = append(groups, g)
			continue
		case 9:
			g.Family = crdt.Sequence
		default:
			g.Family = crdt.Family(1 + kind)
		}
		if g.Family == crdt.Sequence {
			g.Ops = s.sequence(a, seq)
		} else {
			for k := range 1 + s.rng.Uint64N(4) {
				g.Ops = append(g.Ops, s.op(g.Family, a, seq+k, stamp))
			}
		}
		for k := range g.Ops {
			n += g.Ops[k].Width()
		}
		groups = append(groups, g)
	}
	return groups, n
}

// size is that of a value: mostly small, sometimes the limit.
func (s *scribe) size(limit int) int {
	switch s.rng.IntN(100) {
	case 0:
		return limit
	case 1, 2:
		return s.rng.IntN(limit / 8)
	}
	return s.rng.IntN(64)
}

func (s *scribe) op(f crdt.Family, a crdt.Author, seq uint64, stamp crdt.HLC) crdt.Op {
	op := crdt.Op{Seq: seq, Kind: crdt.Inc}
	if s.rng.IntN(10) == 0 {
		stamp = crdt.MaxStamp
	}
	switch f {
	case crdt.GCounter, crdt.PNCounter:
		op.P = s.rng.Uint64() >> s.rng.IntN(64)
		if f == crdt.PNCounter && s.rng.IntN(2) == 0 {
			op.Kind, op.N = crdt.Dec, s.rng.Uint64()>>s.rng.IntN(64)
		}
	case crdt.LWWRegister:
		op.Kind, op.Time, op.Value = crdt.Set, stamp, randomBytes(s.rng, s.size(crdt.MaxValue))
	case crdt.LWWMap:
		op.Kind, op.Time, op.Field = crdt.Set, stamp, s.field()
		if op.Value = randomBytes(s.rng, s.size(64<<10)); s.rng.IntN(3) == 0 {
			op.Kind, op.Value = crdt.Remove, nil
		}
	case crdt.ORSet:
		op.Kind, op.Field, op.Dots = crdt.Add, s.field(), s.dots(1+s.rng.IntN(4))
		if s.rng.IntN(3) == 0 {
			op.Kind = crdt.Remove
		}
	}
	return op
}

func (s *scribe) field() []byte {
	if s.rng.IntN(100) == 0 {
		return randomBytes(s.rng, crdt.MaxField)
	}
	return fmt.Appendf(nil, "field %d", s.rng.IntN(200))
}

// dots are n runs, of anybody and of nobody.
func (s *scribe) dots(n int) (runs []crdt.DotRun) {
	for range n {
		r := crdt.DotRun{Author: randomAuthor(s.rng), First: 1 + s.rng.Uint64N(1<<20), Len: 1 + s.rng.Uint64N(8)}
		if e := s.lore.entry(s.rng); e != nil && s.rng.IntN(2) == 0 {
			r = crdt.DotRun{Author: e.Author, First: e.First, Len: e.Count}
		}
		if s.rng.IntN(30) == 0 {
			r.First, r.Len = 1, crdt.MaxSeq // all there will ever be
		}
		runs = append(runs, r)
	}
	return runs
}

// sequence are ops that cost most to place, for their size.
func (s *scribe) sequence(a crdt.Author, seq uint64) (ops []crdt.Op) {
	values := func(n int) [][]byte {
		v := make([][]byte, n)
		for i := range v {
			v[i] = []byte{'x'}
		}
		return v
	}
	n := 1 + s.rng.IntN(40)
	if s.rng.IntN(20) == 0 {
		n = crdt.MaxOps / 2
	}
	switch s.rng.IntN(6) {
	case 0: // a chain to the right
		for k := range uint64(n) {
			op := crdt.Op{Seq: seq + k, Kind: crdt.Insert, Values: values(1)}
			if k > 0 {
				op.Left = crdt.Dot{Author: a, Seq: seq + k - 1}
			}
			ops = append(ops, op)
		}
	case 1: // a chain to the left, which walks down
		for k := range uint64(n) {
			op := crdt.Op{Seq: seq + k, Kind: crdt.Insert, Values: values(1)}
			if k > 0 {
				op.Right = crdt.Dot{Author: a, Seq: seq + k - 1}
			}
			ops = append(ops, op)
		}
	case 2: // siblings
		for k := range uint64(n) {
			ops = append(ops, crdt.Op{Seq: seq + k, Kind: crdt.Insert, Values: values(1)})
		}
	case 3: // wide
		w := 1 + s.rng.IntN(1000)
		if s.rng.IntN(40) == 0 {
			w = crdt.MaxWidth / 2
		}
		ops = []crdt.Op{{Seq: seq, Kind: crdt.Insert, Values: values(w)}}
	case 4: // a wide deletion of what may never have been
		ops = []crdt.Op{{Seq: seq, Kind: crdt.Delete, Dots: s.dots(n)}}
	case 5: // at places that nobody made
		for k := range uint64(min(n, 20)) {
			ops = append(ops, crdt.Op{
				Seq: seq + k, Kind: crdt.Insert, Values: [][]byte{randomBytes(s.rng, s.size(16<<10))},
				Left: crdt.Dot{Author: randomAuthor(s.rng), Seq: 1 + s.rng.Uint64N(9)}, Right: crdt.Dot{Author: randomAuthor(s.rng), Seq: crdt.MaxSeq},
			})
		}
	}
	return ops
}

// control is an op about the dataset: acks and retirements of anybody.
func (s *scribe) control(seq uint64) crdt.Group {
	g := crdt.Group{Family: familyControl, Runs: []crdt.OpRun{{Seq: seq, Width: 1, Count: 1}}}
	switch s.rng.IntN(4) {
	case 0:
		who := randomAuthor(s.rng)
		if e := s.lore.entry(s.rng); e != nil && s.rng.IntN(2) == 0 {
			who = e.Author
		}
		h := hashAuthor(who)
		g.Raw = append([]byte{2}, h[:]...)
	case 1:
		g.Raw = append([]byte{byte(s.rng.IntN(4))}, randomBytes(s.rng, s.rng.IntN(40))...)
	default:
		g.Raw = append([]byte{1}, s.summary(s.rng.IntN(60)).append(nil)...)
	}
	return g
}
