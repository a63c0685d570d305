package crdt

import (
	"math"
	"strings"
	"testing"
)

// apply numbers an op and applies it, which must succeed.
func apply(t testing.TB, o Object, a Author, v Version, op Op) bool {
	t.Helper()
	op.Seq = v[a] + 1
	changed, err := o.Apply(a, &op, v)
	if err != nil {
		t.Fatal(err)
	}
	v[a] += op.Width()
	return changed
}

func TestCountersSaturate(t *testing.T) {
	a, b, v := testAuthor("a"), testAuthor("b"), Version{}
	g := newGCounter()
	apply(t, g, a, v, g.Inc(a, math.MaxUint64))
	apply(t, g, a, v, g.Inc(a, 1))
	apply(t, g, b, v, g.Inc(b, 1))
	if got := g.Value(); got != math.MaxUint64 {
		t.Errorf("sum: got %d, want the maximum", got)
	}
	if !apply(t, g, b, v, g.Inc(b, 0)) {
		t.Error("adding 0 is an op, yet changed nothing")
	}
	for _, c := range []struct {
		inc, dec uint64
		want     int64
	}{
		{3, 5, -2},
		{math.MaxUint64, 0, math.MaxInt64},
		{0, math.MaxUint64, math.MinInt64},
		{0, 1 << 63, math.MinInt64},
		{0, 1<<63 - 1, -math.MaxInt64},
	} {
		p, v := newPNCounter(), Version{}
		apply(t, p, a, v, p.Inc(a, c.inc))
		apply(t, p, b, v, p.Dec(b, c.dec))
		if got := p.Value(); got != c.want {
			t.Errorf("%d - %d: got %d, want %d", c.inc, c.dec, got, c.want)
		}
	}
}

func TestLastWriterWins(t *testing.T) {
	a, b, v := testAuthor("a"), testAuthor("b"), Version{}
	r := &RegisterState{}
	future := HLCFromTime(4_000_000_000_000)
	apply(t, r, a, v, r.Set(future, []byte("2096")))
	apply(t, r, b, v, r.Set(5, []byte("now")))
	if got, ok := r.Get(); string(got) != "now" || !ok {
		t.Errorf("after a clock from the future: got %q, want the next local write", got)
	}
	if at, by := r.Stamp(); at != future+1 || by != (Dot{b, 1}) {
		t.Errorf("stamp: got %d by %v", at, by)
	}
	if apply(t, r, a, v, Op{Kind: Set, Time: future + 1, Value: []byte("tie")}) {
		t.Error("the smaller author won a tie")
	}
	apply(t, r, b, v, Op{Kind: Set, Time: MaxStamp, Value: []byte("top")})
	apply(t, r, b, v, r.Set(0, []byte("after the top")))
	if got, _ := r.Get(); string(got) != "after the top" {
		t.Errorf("at the highest stamp: got %q", got)
	}
	if _, err := r.Apply(a, &Op{Seq: 9, Kind: Set, Time: MaxStamp + 1}, v); err == nil {
		t.Error("a stamp above the maximum was accepted")
	}
}

func TestMapTombstones(t *testing.T) {
	a, v := testAuthor("a"), Version{}
	m := newMap()
	if !apply(t, m, a, v, m.Remove(10, []byte("f"))) {
		t.Error("removing a field never set left no tombstone")
	}
	if apply(t, m, a, v, Op{Kind: Set, Time: 9, Field: []byte("f"), Value: []byte("old")}) || m.Len() != 0 {
		t.Error("an older set beat the tombstone")
	}
	set, remove := lwwCell{time: 1, dot: Dot{a, 1}, value: []byte("v")}, lwwCell{time: 1, dot: Dot{a, 1}, tomb: true}
	if remove.compare(&set) <= 0 || set.compare(&remove) >= 0 {
		t.Error("at an exact tie the value beats the tombstone")
	}
}

func TestSetAddWins(t *testing.T) {
	a, b := testAuthor("a"), testAuthor("b")
	x, y, vx, vy := newSet(), newSet(), Version{}, Version{}
	e := []byte("e")
	apply(t, x, a, vx, x.Add(e))
	if _, err := y.Merge(x, vy, vx); err != nil {
		t.Fatal(err)
	}
	vy.Merge(vx)
	apply(t, x, a, vx, x.Add(e)) // concurrent with the remove below
	op, ok := y.Remove(e)
	if !ok {
		t.Fatal("nothing to remove")
	}
	apply(t, y, b, vy, op)
	if y.Contains(e) {
		t.Error("removed element is present")
	}
	if _, err := y.Merge(x, vy, vx); err != nil || !y.Contains(e) {
		t.Errorf("the concurrent add was lost (%v)", err)
	}
	if _, ok := y.Remove([]byte("nobody")); ok {
		t.Error("removing what is not there makes an op")
	}
}

// Adding and removing for ever must not grow what the set keeps to sort.
func TestSetForgetsKeys(t *testing.T) {
	a, v, s := testAuthor("a"), Version{}, newSet()
	for range 1000 {
		apply(t, s, a, v, s.Add([]byte("e")))
		op, _ := s.Remove([]byte("e"))
		apply(t, s, a, v, op)
	}
	if got := len(s.order.all); got > 100 {
		t.Errorf("%d keys for an empty set", got)
	}
	if len(s.dirty) != 0 {
		t.Errorf("%d rows to write for an empty set never stored", len(s.dirty))
	}
}

// An author who never lists what an add replaces must not pile up dots.
func TestSetOneDotAnAuthor(t *testing.T) {
	a, v, s := testAuthor("a"), Version{}, newSet()
	for range 100 {
		apply(t, s, a, v, Op{Kind: Add, Field: []byte("e")})
	}
	if got := s.Add([]byte("e")).Dots; len(got) != 1 || got[0] != (DotRun{a, 100, 1}) {
		t.Errorf("dots: got %v, want the last", got)
	}
}

func TestMalformedOps(t *testing.T) {
	a := testAuthor("a")
	long := []byte(strings.Repeat("x", MaxValue+1))
	for name, c := range map[string]struct {
		f  Family
		op Op
	}{
		"kind of another family": {GCounter, Op{Seq: 1, Kind: Set}},
		"decrement":              {GCounter, Op{Seq: 1, Kind: Dec}},
		"hidden decrement":       {GCounter, Op{Seq: 1, Kind: Inc, N: 1}},
		"no number":              {GCounter, Op{Kind: Inc}},
		"long value":             {LWWRegister, Op{Seq: 1, Kind: Set, Value: long}},
		"long field":             {LWWMap, Op{Seq: 1, Kind: Set, Field: long[:MaxField+1]}},
		"remove of a later add":  {ORSet, Op{Seq: 1, Kind: Remove, Dots: []DotRun{{a, 1, 1}}}},
		"run that wraps":         {Sequence, Op{Seq: 1, Kind: Delete, Dots: []DotRun{{a, 2, math.MaxUint64}}}},
		"no elements":            {Sequence, Op{Seq: 1, Kind: Insert}},
		"origin ahead":           {Sequence, Op{Seq: 1, Kind: Insert, Values: [][]byte{{1}}, Left: Dot{a, 1}}},
		"origin without number":  {Sequence, Op{Seq: 1, Kind: Insert, Values: [][]byte{{1}}, Left: Dot{a, 0}}},
	} {
		o, err := New(c.f)
		if err != nil {
			t.Fatal(err)
		}
		if changed, err := o.Apply(a, &c.op, nil); err == nil || changed {
			t.Errorf("%s: accepted", name)
		}
	}
}
