package crdt

// Work in proportion to bytes: what a peer sends costs O(n log n) time and O(n)
// memory, whatever it is. Each case below is the worst input that its author found
// for one kind of op, row or encoding; it is run at a size and at four times that
// size. A step that is quadratic takes 16 times as long there.

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"
)

const (
	costGrowth   = 4
	maxTimeRatio = 10 // 4 to 6 for n log n, with what caches do to it; 16 for n²
	maxMemRatio  = 6
	costTries    = 5 // a busy machine can spoil a measurement, not five
)

// costCase prepares an input of size n and returns what is measured.
type costCase struct {
	name string
	n    int
	make func(n int) func()
}

func costAuthor(i int) Author {
	var b [AuthorSize]byte
	binary.BigEndian.PutUint64(b[32:], uint64(i)+1)
	b[0] = 1
	return MakeAuthor(b)
}

func applyAll(o Object, a Author, ops []Op, ctx Version) {
	for i := range ops {
		if _, err := o.Apply(a, &ops[i], ctx); err != nil {
			panic(err)
		}
	}
}

// rows are the rows of an object, in order.
func rows(o Object) (slots, cells [][]byte) {
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
func insertOps(n int, first uint64, origins func(i int, op *Op)) []Op {
	ops := make([]Op, n)
	for i := range ops {
		ops[i] = Op{Seq: first + uint64(i), Kind: Insert, Values: oneByte}
		origins(i, &ops[i])
	}
	return ops
}

// leftChain is a chain of left children by a, each in front of the one before.
func leftChain(a Author, n int) []Op {
	return insertOps(n, 1, func(i int, op *Op) {
		if i > 0 {
			op.Right = Dot{a, op.Seq - 1}
		}
	})
}

// rightChain is a chain of right children that are no run: their right origins
// differ from one to the next.
func rightChain(a Author, n int) []Op {
	return insertOps(n, 3, func(i int, op *Op) {
		op.Left = Dot{a, op.Seq - 1}
		op.Right = Dot{a, 1}
		if i%2 == 0 {
			op.Right = Dot{}
		}
	})
}

func twoElements(s *SequenceState, a Author) {
	applyAll(s, a, []Op{{Seq: 1, Kind: Insert, Values: [][]byte{{1}, {2}}}}, Version{})
}

// sequenceCases return a state made by hostile ops; what makes it is measured,
// and then its rows, loading, merging and forgetting.
var sequenceCases = []struct {
	name string
	make func(n int) (apply func(*SequenceState), ctx Version)
}{
	{"deletion of many runs, the last first", func(n int) (func(*SequenceState), Version) {
		a := costAuthor(0)
		op := Op{Seq: 1, Kind: Delete}
		for i := range n {
			op.Dots = append(op.Dots, DotRun{a, uint64(2*(n-i) + 1), 1})
		}
		return func(s *SequenceState) { applyAll(s, costAuthor(1), []Op{op}, Version{}) }, Version{costAuthor(1): 1}
	}},
	{"deletions of the same many pieces, again and again", func(n int) (func(*SequenceState), Version) {
		a := costAuthor(0)
		ins := leftChain(a, n)
		var del []Op
		for i := range n / 2 {
			del = append(del, Op{Seq: uint64(i + 1), Kind: Delete, Dots: []DotRun{{a, uint64(2*i + 1), 1}}})
		}
		for i := range n / 2 {
			del = append(del, Op{Seq: uint64(n + i + 1), Kind: Delete, Dots: []DotRun{{a, 1, uint64(n)}}})
		}
		return func(s *SequenceState) {
			applyAll(s, a, ins, Version{})
			applyAll(s, costAuthor(1), del, Version{a: uint64(n)})
		}, Version{a: uint64(n), costAuthor(1): uint64(2 * n)}
	}},
	{"deletions of what is forgotten", func(n int) (func(*SequenceState), Version) {
		a := costAuthor(0)
		ins := leftChain(a, n)
		var del []Op
		for i := range n {
			del = append(del, Op{Seq: uint64(i + 1), Kind: Delete, Dots: []DotRun{{a, 1, uint64(2 * n)}}})
		}
		for i := range ins {
			ins[i].Seq *= 2
			if i > 0 {
				ins[i].Right.Seq *= 2
			}
		}
		return func(s *SequenceState) {
			applyAll(s, a, ins, Version{})
			applyAll(s, costAuthor(1), del, Version{a: uint64(2 * n)})
		}, Version{a: uint64(2 * n), costAuthor(1): uint64(n)}
	}},
	{"a chain to the left, and siblings in front of it", func(n int) (func(*SequenceState), Version) {
		chain, siblings := leftChain(costAuthor(1), n), insertOps(n, 1, func(int, *Op) {})
		return func(s *SequenceState) {
			applyAll(s, costAuthor(1), chain, Version{})
			applyAll(s, costAuthor(0), siblings, Version{costAuthor(1): uint64(n)})
		}, Version{costAuthor(0): uint64(n), costAuthor(1): uint64(n)}
	}},
	{"a chain to the right, and siblings behind it", func(n int) (func(*SequenceState), Version) {
		chain, siblings := rightChain(costAuthor(0), n), insertOps(n, 1, func(_ int, op *Op) { op.Left = Dot{costAuthor(0), 2} })
		return func(s *SequenceState) {
			twoElements(s, costAuthor(0))
			applyAll(s, costAuthor(0), chain, Version{costAuthor(0): 2})
			applyAll(s, costAuthor(1), siblings, Version{costAuthor(0): uint64(n + 2)})
		}, Version{costAuthor(0): uint64(n + 2), costAuthor(1): uint64(n)}
	}},
	{"siblings, each in front of all", func(n int) (func(*SequenceState), Version) {
		ctx := Version{}
		for i := range n {
			ctx[costAuthor(i)] = 1
		}
		return func(s *SequenceState) {
			for i := range n {
				applyAll(s, costAuthor(n-i-1), insertOps(1, 1, func(int, *Op) {}), Version{})
			}
		}, ctx
	}},
	{"siblings by right origin", func(n int) (func(*SequenceState), Version) {
		a, b := costAuthor(0), costAuthor(1)
		chain, order := leftChain(a, n), shuffled(n)
		siblings := insertOps(n, 1, func(i int, op *Op) {
			op.Right = Dot{a, uint64(order[i] + 1)}
			op.Left = Dot{b, uint64(i)}
			if i%3 == 0 {
				op.Left = Dot{}
			}
		})
		return func(s *SequenceState) {
			applyAll(s, a, chain, Version{})
			applyAll(s, b, siblings, Version{a: uint64(n)})
		}, Version{a: uint64(n), b: uint64(n)}
	}},
	{"inserts that cut one run everywhere", func(n int) (func(*SequenceState), Version) {
		a, b := costAuthor(0), costAuthor(1)
		run := Op{Seq: 1, Kind: Insert}
		for range n {
			run.Values = append(run.Values, []byte{'x'})
		}
		order := shuffled(n - 1)
		cuts := insertOps(n-1, 1, func(i int, op *Op) {
			op.Left = Dot{a, uint64(order[i] + 1)}
			op.Right = Dot{a, op.Left.Seq + 1}
		})
		return func(s *SequenceState) {
			applyAll(s, a, []Op{run}, Version{})
			applyAll(s, b, cuts, Version{a: uint64(n)})
		}, Version{a: uint64(n), b: uint64(n - 1)}
	}},
	{"inserts that wait for one another, the last first", func(n int) (func(*SequenceState), Version) {
		ctx := Version{}
		for i := range n {
			ctx[costAuthor(i)] = 1
		}
		return func(s *SequenceState) {
			for i := range n {
				applyAll(s, costAuthor(i), insertOps(1, 1, func(_ int, op *Op) {
					if i < n-1 {
						op.Left = Dot{costAuthor(i + 1), 1}
					}
				}), Version{})
			}
		}, ctx
	}},
	{"elements of many lengths, deleted one by one", func(n int) (func(*SequenceState), Version) {
		a := costAuthor(0)
		run := Op{Seq: 1, Kind: Insert}
		for i := range n {
			run.Values = append(run.Values, make([]byte, i%3))
		}
		var del []Op
		for i, at := range shuffled(n) {
			del = append(del, Op{Seq: uint64(i + 1), Kind: Delete, Dots: []DotRun{{a, uint64(at + 1), 1}}})
		}
		return func(s *SequenceState) {
			applyAll(s, a, []Op{run}, Version{})
			applyAll(s, costAuthor(1), del, Version{a: uint64(n)})
		}, Version{a: uint64(n), costAuthor(1): uint64(n)}
	}},
}

func sequenceCosts() []costCase {
	var cases []costCase
	for _, c := range sequenceCases {
		state := func(n int) (*SequenceState, Version) {
			s := newSequence()
			apply, ctx := c.make(n)
			apply(s)
			return s, ctx
		}
		add := func(what string, prepare func(n int) func()) {
			cases = append(cases, costCase{"sequence/" + c.name + "/" + what, 1 << 12, prepare})
		}
		add("apply", func(n int) func() {
			apply, _ := c.make(n)
			return func() { apply(newSequence()) }
		})
		add("flush", func(n int) func() {
			s, _ := state(n)
			return func() { s.Flush(func(_, _ []byte) {}, func([]byte) {}) }
		})
		add("load", func(n int) func() {
			s, _ := state(n)
			slots, cells := rows(s)
			return func() { loadRows(Sequence, slots, cells) }
		})
		add("merge", func(n int) func() {
			s, ctx := state(n)
			return func() {
				o := newSequence()
				twoElements(o, costAuthor(1<<20))
				if _, err := o.Merge(s, Version{costAuthor(1 << 20): 2}, ctx); err != nil {
					panic(err)
				}
			}
		})
		add("forget", func(n int) func() {
			s, ctx := state(n)
			var all Op
			for a, seq := range ctx {
				all.Dots = append(all.Dots, DotRun{a, 1, seq})
			}
			all.Kind, all.Seq = Delete, 1
			applyAll(s, costAuthor(1<<20), []Op{all}, ctx)
			return func() {
				s.Age(Horizon{Stable: ctx, Epoch: 3, Dead: 2, Gone: 2})
				s.Flush(func(_, _ []byte) {}, func([]byte) {})
			}
		})
	}
	return cases
}

func loadRows(f Family, slots, cells [][]byte) Object {
	o, err := New(f)
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
				o := newGCounter()
				for i := range n {
					applyAll(o, costAuthor(i), []Op{{Seq: 1, Kind: Inc, P: 1}}, Version{})
				}
				slots, cells := rows(o)
				_, _ = o.Merge(loadRows(GCounter, slots, cells), Version{}, Version{})
			}
		}},
		{"register/rewritten", 1 << 15, func(n int) func() {
			return func() {
				o := &RegisterState{}
				for i := range n {
					applyAll(o, costAuthor(0), []Op{{Seq: uint64(i + 1), Kind: Set, Time: HLC(i), Value: []byte("v")}}, Version{})
				}
			}
		}},
		{"map/fields set, removed, forgotten", 1 << 13, func(n int) func() {
			return func() {
				o := newMap()
				for i := range n {
					applyAll(o, costAuthor(0), []Op{{Seq: uint64(i + 1), Kind: Set, Time: 1, Field: field(n - i)}}, Version{})
				}
				for i, at := range shuffled(n) {
					applyAll(o, costAuthor(1), []Op{{Seq: uint64(i + 1), Kind: Remove, Time: 2, Field: field(at)}}, Version{})
				}
				slots, cells := rows(o)
				ctx := Version{costAuthor(0): uint64(n), costAuthor(1): uint64(n)}
				_, _ = loadRows(LWWMap, slots, cells).Merge(o, ctx, ctx)
				o.Age(Horizon{Stable: ctx, Before: MaxStamp})
				o.Range(func(_, _ []byte) bool { return true })
			}
		}},
		{"set/one element by many authors, who all add it again", 1 << 13, func(n int) func() {
			return func() {
				o := newSet()
				ctx := Version{}
				for seq := range uint64(3) {
					for i := range n {
						applyAll(o, costAuthor(i), []Op{{Seq: seq + 1, Kind: Add, Field: []byte("e")}}, ctx)
						ctx[costAuthor(i)] = seq + 1
					}
				}
				slots, cells := rows(o)
				_, _ = loadRows(ORSet, slots, cells).Merge(o, ctx, ctx)
			}
		}},
		{"set/removals of many runs", 1 << 13, func(n int) func() {
			op := Op{Seq: 1, Kind: Remove, Field: []byte("e")}
			for i := range n {
				op.Dots = append(op.Dots, DotRun{costAuthor(i), 1, 1})
			}
			return func() {
				o := newSet()
				for i := range n {
					applyAll(o, costAuthor(i), []Op{{Seq: 1, Kind: Add, Field: []byte("e")}}, Version{})
				}
				applyAll(o, costAuthor(1<<20), []Op{op}, Version{})
			}
		}},
		{"set/elements that come and go", 1 << 13, func(n int) func() {
			return func() {
				o := newSet()
				for i := range n {
					seq := uint64(2*i + 1)
					applyAll(o, costAuthor(0), []Op{{Seq: seq, Kind: Add, Field: field(n - i)}}, Version{})
					applyAll(o, costAuthor(0), []Op{{Seq: seq + 1, Kind: Remove, Field: field(n - i), Dots: []DotRun{{costAuthor(0), seq, 1}}}}, Version{})
				}
				o.Range(func([]byte) bool { return true })
			}
		}},
	}
}

// bodyCosts are encodings with much structure for their bytes.
func bodyCosts() []costCase {
	var cases []costCase
	add := func(name string, n int, groups func(n int) []Group) {
		encode := func(n int) ([]Group, []byte, uint64) {
			all := groups(n)
			count := uint64(0)
			for i := range all {
				for _, r := range all[i].runs() {
					count += r.Width * r.Count
				}
			}
			b, err := EncodeBody(all, costAuthor(0), 1, 0)
			if err != nil {
				panic(fmt.Sprint(name, ": ", err))
			}
			return all, b, count
		}
		cases = append(cases, costCase{"body/" + name + "/encode", n, func(n int) func() {
			all, _, _ := encode(n)
			return func() { _, _ = EncodeBody(all, costAuthor(0), 1, 0) }
		}}, costCase{"body/" + name + "/decode", n, func(n int) func() {
			_, b, count := encode(n)
			return func() {
				if _, err := DecodeBody(b, costAuthor(0), 1, count, 0); err != nil {
					panic(err)
				}
			}
		}})
	}
	const n = MaxOps / costGrowth
	add("a group for each op", n, func(n int) []Group {
		all := make([]Group, n)
		for i := range all {
			all[i] = Group{Family: GCounter, Key: []byte(fmt.Sprint(i)), Ops: []Op{{Seq: uint64(i + 1), Kind: Inc, P: 1}}}
		}
		return all
	})
	add("two groups in turn", n, func(n int) []Group {
		all := make([]Group, 2)
		for i := range n {
			g := &all[i%2]
			g.Family, g.Key = GCounter, []byte{byte(i % 2)}
			g.Ops = append(g.Ops, Op{Seq: uint64(i + 1), Kind: Inc, P: uint64(i)})
		}
		return all
	})
	add("deletions of other authors", n, func(n int) []Group {
		op := Op{Seq: 1, Kind: Delete}
		for i := range n {
			op.Dots = append(op.Dots, DotRun{costAuthor(i + 1), 1, 1})
		}
		return []Group{{Family: Sequence, Key: []byte("k"), Ops: []Op{op}}}
	})
	add("inserts right after one element", n, func(n int) []Group {
		ops := insertOps(n, 1, func(i int, op *Op) { op.Left = Dot{costAuthor(1), uint64(i%2 + 1)} })
		return []Group{{Family: Sequence, Key: []byte("k"), Ops: ops}}
	})
	add("removals of many dots", n, func(n int) []Group {
		op := Op{Seq: 1, Kind: Remove, Field: []byte("e")}
		for i := range n {
			op.Dots = append(op.Dots, DotRun{costAuthor(i + 1), 1, 1})
		}
		return []Group{{Family: ORSet, Key: []byte("k"), Ops: []Op{op}}}
	})
	return cases
}

// cost is the least time of three runs, and the bytes that one allocates.
func cost(c costCase, n int) (took time.Duration, bytes uint64) {
	took = time.Hour
	for range 3 {
		run := c.make(n)
		runtime.GC()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		began := time.Now()
		run()
		took = min(took, time.Since(began))
		runtime.ReadMemStats(&after)
		bytes = after.TotalAlloc - before.TotalAlloc
	}
	return took, bytes
}

func TestCost(t *testing.T) {
	if testing.Short() {
		t.Skip("measures time")
	}
	for _, c := range slices.Concat(sequenceCosts(), otherCosts(), bodyCosts()) {
		t.Run(c.name, func(t *testing.T) {
			var said string
			for range costTries {
				small, smallBytes := cost(c, c.n)
				large, largeBytes := cost(c, costGrowth*c.n)
				small = max(small, 50*time.Microsecond)
				inTime, inBytes := float64(large)/float64(small), float64(largeBytes)/float64(max(smallBytes, 1<<16))
				said = fmt.Sprintf("n = %d: %v, %d KiB; %d: %v, %d KiB: %.1f × the time and %.1f × the bytes",
					c.n, small, smallBytes>>10, costGrowth*c.n, large, largeBytes>>10, inTime, inBytes)
				if inTime <= maxTimeRatio && inBytes <= maxMemRatio {
					t.Log(said)
					return
				}
			}
			t.Error(said)
		})
	}
}
