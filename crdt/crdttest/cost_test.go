package crdttest

// Work in proportion to bytes: what a peer sends costs O(n log n) time and O(n)
// memory, whatever it is. Each case below is the worst input that its author found
// for one kind of op, row or encoding; it is run at a size and at four times that
// size. A step that is quadratic takes 16 times as long there.

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/numax-mesh/numax/crdt"
)

// costCase prepares an input of size n and returns what is measured.
type costCase struct {
	name string
	n    int
	make func(n int) func()
}

func costAuthor(i int) crdt.Author {
	var b [crdt.AuthorSize]byte
	binary.BigEndian.PutUint64(b[32:], uint64(i)+1)
	b[0] = 1
	return crdt.MakeAuthor(b)
}

func dot(a crdt.Author, seq uint64) crdt.Dot { return crdt.Dot{Author: a, Seq: seq} }

func runOf(a crdt.Author, first, n uint64) crdt.DotRun {
	return crdt.DotRun{Author: a, First: first, Len: n}
}

func applyAll(o crdt.Object, a crdt.Author, ops []crdt.Op, ctx crdt.Version) {
	for i := range ops {
		if _, err := o.Apply(a, &ops[i], ctx); err != nil {
			panic(err)
		}
	}
}

// rows are the rows of an object, in order.
func rows(o crdt.Object) (slots, cells [][]byte) {
	m := map[string][]byte{}
	o.Flush(func(slot, cell []byte) { m[string(slot)] = slices.Clone(cell) }, func([]byte) {})
	for slot := range m {
		slots = append(slots, []byte(slot))
	}
	slices.SortFunc(slots, slices.Compare)
	for _, slot := range slots {
		cells = append(cells, m[string(slot)])
	}
	return slots, cells
}

// shuffled is 0 to n-1 in an order that is the same each time.
func shuffled(n int) []int { return rand.New(rand.NewPCG(1, uint64(n))).Perm(n) }

var oneByte = [][]byte{{'x'}}

// insertOps are n inserts of one element, numbered from first.
func insertOps(n int, first uint64, origins func(i int, op *crdt.Op)) []crdt.Op {
	ops := make([]crdt.Op, n)
	for i := range ops {
		ops[i] = crdt.Op{Seq: first + uint64(i), Kind: crdt.Insert, Values: oneByte}
		origins(i, &ops[i])
	}
	return ops
}

// leftChain is a chain of left children by a, each in front of the one before.
func leftChain(a crdt.Author, n int) []crdt.Op {
	return insertOps(n, 1, func(i int, op *crdt.Op) {
		if i > 0 {
			op.Right = dot(a, op.Seq-1)
		}
	})
}

// rightChain is a chain of right children that are no run: their right origins
// differ from one to the next.
func rightChain(a crdt.Author, n int) []crdt.Op {
	return insertOps(n, 3, func(i int, op *crdt.Op) {
		op.Left = dot(a, op.Seq-1)
		op.Right = dot(a, 1)
		if i%2 == 0 {
			op.Right = crdt.Dot{}
		}
	})
}

func twoElements(s *crdt.SequenceState, a crdt.Author) {
	applyAll(s, a, []crdt.Op{{Seq: 1, Kind: crdt.Insert, Values: [][]byte{{1}, {2}}}}, crdt.Version{})
}

// sequenceCases return a state made by hostile ops; what makes it is measured,
// and then its rows, loading, merging and forgetting.
var sequenceCases = []struct {
	name string
	make func(n int) (apply func(*crdt.SequenceState), ctx crdt.Version)
}{
	{"deletion of many runs, the last first", func(n int) (func(*crdt.SequenceState), crdt.Version) {
		a := costAuthor(0)
		op := crdt.Op{Seq: 1, Kind: crdt.Delete}
		for i := range n {
			op.Dots = append(op.Dots, runOf(a, uint64(2*(n-i)+1), 1))
		}
		return func(s *crdt.SequenceState) { applyAll(s, costAuthor(1), []crdt.Op{op}, crdt.Version{}) }, crdt.Version{costAuthor(1): 1}
	}},
	{"deletions of the same many pieces, again and again", func(n int) (func(*crdt.SequenceState), crdt.Version) {
		a := costAuthor(0)
		ins := leftChain(a, n)
		var del []crdt.Op
		for i := range n / 2 {
			del = append(del, crdt.Op{Seq: uint64(i + 1), Kind: crdt.Delete, Dots: []crdt.DotRun{runOf(a, uint64(2*i+1), 1)}})
		}
		for i := range n / 2 {
			del = append(del, crdt.Op{Seq: uint64(n + i + 1), Kind: crdt.Delete, Dots: []crdt.DotRun{runOf(a, 1, uint64(n))}})
		}
		return func(s *crdt.SequenceState) {
			applyAll(s, a, ins, crdt.Version{})
			applyAll(s, costAuthor(1), del, crdt.Version{a: uint64(n)})
		}, crdt.Version{a: uint64(n), costAuthor(1): uint64(2 * n)}
	}},
	{"deletions of what is forgotten", func(n int) (func(*crdt.SequenceState), crdt.Version) {
		a := costAuthor(0)
		ins := leftChain(a, n)
		var del []crdt.Op
		for i := range n {
			del = append(del, crdt.Op{Seq: uint64(i + 1), Kind: crdt.Delete, Dots: []crdt.DotRun{runOf(a, 1, uint64(2*n))}})
		}
		for i := range ins {
			ins[i].Seq *= 2
			if i > 0 {
				ins[i].Right.Seq *= 2
			}
		}
		return func(s *crdt.SequenceState) {
			applyAll(s, a, ins, crdt.Version{})
			applyAll(s, costAuthor(1), del, crdt.Version{a: uint64(2 * n)})
		}, crdt.Version{a: uint64(2 * n), costAuthor(1): uint64(n)}
	}},
	{"a chain to the left, and siblings in front of it", func(n int) (func(*crdt.SequenceState), crdt.Version) {
		chain, siblings := leftChain(costAuthor(1), n), insertOps(n, 1, func(int, *crdt.Op) {})
		return func(s *crdt.SequenceState) {
			applyAll(s, costAuthor(1), chain, crdt.Version{})
			applyAll(s, costAuthor(0), siblings, crdt.Version{costAuthor(1): uint64(n)})
		}, crdt.Version{costAuthor(0): uint64(n), costAuthor(1): uint64(n)}
	}},
	{"a chain to the right, and siblings behind it", func(n int) (func(*crdt.SequenceState), crdt.Version) {
		chain, siblings := rightChain(costAuthor(0), n), insertOps(n, 1, func(_ int, op *crdt.Op) { op.Left = dot(costAuthor(0), 2) })
		return func(s *crdt.SequenceState) {
			twoElements(s, costAuthor(0))
			applyAll(s, costAuthor(0), chain, crdt.Version{costAuthor(0): 2})
			applyAll(s, costAuthor(1), siblings, crdt.Version{costAuthor(0): uint64(n + 2)})
		}, crdt.Version{costAuthor(0): uint64(n + 2), costAuthor(1): uint64(n)}
	}},
	{"siblings, each in front of all", func(n int) (func(*crdt.SequenceState), crdt.Version) {
		ctx := crdt.Version{}
		for i := range n {
			ctx[costAuthor(i)] = 1
		}
		return func(s *crdt.SequenceState) {
			for i := range n {
				applyAll(s, costAuthor(n-i-1), insertOps(1, 1, func(int, *crdt.Op) {}), crdt.Version{})
			}
		}, ctx
	}},
	{"siblings by right origin", func(n int) (func(*crdt.SequenceState), crdt.Version) {
		a, b := costAuthor(0), costAuthor(1)
		chain, order := leftChain(a, n), shuffled(n)
		siblings := insertOps(n, 1, func(i int, op *crdt.Op) {
			op.Right = dot(a, uint64(order[i]+1))
			op.Left = dot(b, uint64(i))
			if i%3 == 0 {
				op.Left = crdt.Dot{}
			}
		})
		return func(s *crdt.SequenceState) {
			applyAll(s, a, chain, crdt.Version{})
			applyAll(s, b, siblings, crdt.Version{a: uint64(n)})
		}, crdt.Version{a: uint64(n), b: uint64(n)}
	}},
	{"inserts that cut one run everywhere", func(n int) (func(*crdt.SequenceState), crdt.Version) {
		a, b := costAuthor(0), costAuthor(1)
		run := crdt.Op{Seq: 1, Kind: crdt.Insert}
		for range n {
			run.Values = append(run.Values, []byte{'x'})
		}
		order := shuffled(n - 1)
		cuts := insertOps(n-1, 1, func(i int, op *crdt.Op) {
			op.Left = dot(a, uint64(order[i]+1))
			op.Right = dot(a, op.Left.Seq+1)
		})
		return func(s *crdt.SequenceState) {
			applyAll(s, a, []crdt.Op{run}, crdt.Version{})
			applyAll(s, b, cuts, crdt.Version{a: uint64(n)})
		}, crdt.Version{a: uint64(n), b: uint64(n - 1)}
	}},
	{"inserts that wait for one another, the last first", func(n int) (func(*crdt.SequenceState), crdt.Version) {
		ctx := crdt.Version{}
		for i := range n {
			ctx[costAuthor(i)] = 1
		}
		return func(s *crdt.SequenceState) {
			for i := range n {
				applyAll(s, costAuthor(i), insertOps(1, 1, func(_ int, op *crdt.Op) {
					if i < n-1 {
						op.Left = dot(costAuthor(i+1), 1)
					}
				}), crdt.Version{})
			}
		}, ctx
	}},
	{"elements of many lengths, deleted one by one", func(n int) (func(*crdt.SequenceState), crdt.Version) {
		a := costAuthor(0)
		run := crdt.Op{Seq: 1, Kind: crdt.Insert}
		for i := range n {
			run.Values = append(run.Values, make([]byte, i%3))
		}
		var del []crdt.Op
		for i, at := range shuffled(n) {
			del = append(del, crdt.Op{Seq: uint64(i + 1), Kind: crdt.Delete, Dots: []crdt.DotRun{runOf(a, uint64(at+1), 1)}})
		}
		return func(s *crdt.SequenceState) {
			applyAll(s, a, []crdt.Op{run}, crdt.Version{})
			applyAll(s, costAuthor(1), del, crdt.Version{a: uint64(n)})
		}, crdt.Version{a: uint64(n), costAuthor(1): uint64(n)}
	}},
}

func sequenceCosts() []costCase {
	var cases []costCase
	for _, c := range sequenceCases {
		state := func(n int) (*crdt.SequenceState, crdt.Version) {
			s := newOf(crdt.Sequence).(*crdt.SequenceState)
			apply, ctx := c.make(n)
			apply(s)
			return s, ctx
		}
		add := func(what string, prepare func(n int) func()) {
			cases = append(cases, costCase{"sequence/" + c.name + "/" + what, 1 << 12, prepare})
		}
		add("apply", func(n int) func() {
			apply, _ := c.make(n)
			return func() { apply(newOf(crdt.Sequence).(*crdt.SequenceState)) }
		})
		add("flush", func(n int) func() {
			s, _ := state(n)
			return func() { s.Flush(func(_, _ []byte) {}, func([]byte) {}) }
		})
		add("load", func(n int) func() {
			s, _ := state(n)
			slots, cells := rows(s)
			return func() { loadRows(crdt.Sequence, slots, cells) }
		})
		add("merge", func(n int) func() {
			s, ctx := state(n)
			return func() {
				o := newOf(crdt.Sequence).(*crdt.SequenceState)
				twoElements(o, costAuthor(1<<20))
				if _, err := o.Merge(s, crdt.Version{costAuthor(1 << 20): 2}, ctx); err != nil {
					panic(err)
				}
			}
		})
		add("forget", func(n int) func() {
			s, ctx := state(n)
			var all crdt.Op
			for a, seq := range ctx {
				all.Dots = append(all.Dots, runOf(a, 1, seq))
			}
			all.Kind, all.Seq = crdt.Delete, 1
			applyAll(s, costAuthor(1<<20), []crdt.Op{all}, ctx)
			return func() {
				s.Age(crdt.Horizon{Stable: ctx, Epoch: 3, Dead: 2, Gone: 2})
				s.Flush(func(_, _ []byte) {}, func([]byte) {})
			}
		})
	}
	return cases
}

func newOf(f crdt.Family) crdt.Object {
	o, err := crdt.New(f)
	if err != nil {
		panic(err)
	}
	return o
}

func loadRows(f crdt.Family, slots, cells [][]byte) crdt.Object {
	o, err := crdt.New(f)
	for i := 0; i < len(slots) && err == nil; i++ {
		err = o.Load(slots[i], cells[i])
	}
	if err == nil {
		err = o.Loaded()
	}
	if err != nil {
		panic(err)
	}
	return o
}

// otherCosts are those of the families whose objects are cells.
func otherCosts() []costCase {
	field := func(i int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(i)) }
	return []costCase{
		{"counter/many authors", 1 << 13, func(n int) func() {
			return func() {
				o := newOf(crdt.GCounter)
				for i := range n {
					applyAll(o, costAuthor(i), []crdt.Op{{Seq: 1, Kind: crdt.Inc, P: 1}}, crdt.Version{})
				}
				slots, cells := rows(o)
				_, _ = o.Merge(loadRows(crdt.GCounter, slots, cells), crdt.Version{}, crdt.Version{})
			}
		}},
		{"register/rewritten", 1 << 15, func(n int) func() {
			return func() {
				o := &crdt.RegisterState{}
				for i := range n {
					applyAll(o, costAuthor(0), []crdt.Op{{Seq: uint64(i + 1), Kind: crdt.Set, Time: crdt.HLC(i), Value: []byte("v")}}, crdt.Version{})
				}
			}
		}},
		{"map/fields set, removed, forgotten", 1 << 13, func(n int) func() {
			return func() {
				o := newOf(crdt.LWWMap).(*crdt.MapState)
				for i := range n {
					applyAll(o, costAuthor(0), []crdt.Op{{Seq: uint64(i + 1), Kind: crdt.Set, Time: 1, Field: field(n - i)}}, crdt.Version{})
				}
				for i, at := range shuffled(n) {
					applyAll(o, costAuthor(1), []crdt.Op{{Seq: uint64(i + 1), Kind: crdt.Remove, Time: 2, Field: field(at)}}, crdt.Version{})
				}
				slots, cells := rows(o)
				ctx := crdt.Version{costAuthor(0): uint64(n), costAuthor(1): uint64(n)}
				_, _ = loadRows(crdt.LWWMap, slots, cells).Merge(o, ctx, ctx)
				o.Age(crdt.Horizon{Stable: ctx, Before: crdt.MaxStamp})
				o.Range(func(_, _ []byte) bool { return true })
			}
		}},
		{"set/one element by many authors, who all add it again", 1 << 13, func(n int) func() {
			return func() {
				o := newOf(crdt.ORSet).(*crdt.SetState)
				ctx := crdt.Version{}
				for seq := range uint64(3) {
					for i := range n {
						applyAll(o, costAuthor(i), []crdt.Op{{Seq: seq + 1, Kind: crdt.Add, Field: []byte("e")}}, ctx)
						ctx[costAuthor(i)] = seq + 1
					}
				}
				slots, cells := rows(o)
				_, _ = loadRows(crdt.ORSet, slots, cells).Merge(o, ctx, ctx)
			}
		}},
		{"set/removals of many runs", 1 << 13, func(n int) func() {
			op := crdt.Op{Seq: 1, Kind: crdt.Remove, Field: []byte("e")}
			for i := range n {
				op.Dots = append(op.Dots, runOf(costAuthor(i), 1, 1))
			}
			return func() {
				o := newOf(crdt.ORSet).(*crdt.SetState)
				for i := range n {
					applyAll(o, costAuthor(i), []crdt.Op{{Seq: 1, Kind: crdt.Add, Field: []byte("e")}}, crdt.Version{})
				}
				applyAll(o, costAuthor(1<<20), []crdt.Op{op}, crdt.Version{})
			}
		}},
		{"set/elements that come and go", 1 << 13, func(n int) func() {
			return func() {
				o := newOf(crdt.ORSet).(*crdt.SetState)
				for i := range n {
					seq := uint64(2*i + 1)
					applyAll(o, costAuthor(0), []crdt.Op{{Seq: seq, Kind: crdt.Add, Field: field(n - i)}}, crdt.Version{})
					applyAll(o, costAuthor(0), []crdt.Op{{Seq: seq + 1, Kind: crdt.Remove, Field: field(n - i), Dots: []crdt.DotRun{runOf(costAuthor(0), seq, 1)}}}, crdt.Version{})
				}
				o.Range(func([]byte) bool { return true })
			}
		}},
	}
}

// bodyCosts are encodings with much structure for their bytes.
func bodyCosts() []costCase {
	var cases []costCase
	add := func(name string, n int, groups func(n int) []crdt.Group) {
		encode := func(n int) ([]crdt.Group, []byte, uint64) {
			all := groups(n)
			count := uint64(0)
			for i := range all {
				for j := range all[i].Ops {
					count += all[i].Ops[j].Width()
				}
			}
			b, err := crdt.EncodeBody(all, costAuthor(0), 1, 0)
			if err != nil {
				panic(fmt.Sprint(name, ": ", err))
			}
			return all, b, count
		}
		cases = append(cases, costCase{"body/" + name + "/encode", n, func(n int) func() {
			all, _, _ := encode(n)
			return func() { _, _ = crdt.EncodeBody(all, costAuthor(0), 1, 0) }
		}}, costCase{"body/" + name + "/decode", n, func(n int) func() {
			_, b, count := encode(n)
			return func() {
				if _, err := crdt.DecodeBody(b, costAuthor(0), 1, count, 0); err != nil {
					panic(err)
				}
			}
		}})
	}
	const n = crdt.MaxOps / CostGrowth
	add("a group for each op", n, func(n int) []crdt.Group {
		all := make([]crdt.Group, n)
		for i := range all {
			all[i] = crdt.Group{Family: crdt.GCounter, Key: []byte(fmt.Sprint(i)), Ops: []crdt.Op{{Seq: uint64(i + 1), Kind: crdt.Inc, P: 1}}}
		}
		return all
	})
	add("two groups in turn", n, func(n int) []crdt.Group {
		all := make([]crdt.Group, 2)
		for i := range n {
			g := &all[i%2]
			g.Family, g.Key = crdt.GCounter, []byte{byte(i % 2)}
			g.Ops = append(g.Ops, crdt.Op{Seq: uint64(i + 1), Kind: crdt.Inc, P: uint64(i)})
		}
		return all
	})
	add("deletions of other authors", n, func(n int) []crdt.Group {
		op := crdt.Op{Seq: 1, Kind: crdt.Delete}
		for i := range n {
			op.Dots = append(op.Dots, runOf(costAuthor(i+1), 1, 1))
		}
		return []crdt.Group{{Family: crdt.Sequence, Key: []byte("k"), Ops: []crdt.Op{op}}}
	})
	add("inserts right after one element", n, func(n int) []crdt.Group {
		ops := insertOps(n, 1, func(i int, op *crdt.Op) { op.Left = dot(costAuthor(1), uint64(i%2+1)) })
		return []crdt.Group{{Family: crdt.Sequence, Key: []byte("k"), Ops: ops}}
	})
	add("removals of many dots", n, func(n int) []crdt.Group {
		op := crdt.Op{Seq: 1, Kind: crdt.Remove, Field: []byte("e")}
		for i := range n {
			op.Dots = append(op.Dots, runOf(costAuthor(i+1), 1, 1))
		}
		return []crdt.Group{{Family: crdt.ORSet, Key: []byte("k"), Ops: []crdt.Op{op}}}
	})
	return cases
}

func TestCost(t *testing.T) {
	for _, c := range slices.Concat(sequenceCosts(), otherCosts(), bodyCosts()) {
		t.Run(c.name, func(t *testing.T) { CheckCost(t, c.n, c.make) })
	}
}
