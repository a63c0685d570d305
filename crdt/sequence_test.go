package crdt

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func chars(s string) [][]byte {
	out := make([][]byte, len(s))
	for i := range s {
		out[i] = []byte(s[i : i+1])
	}
	return out
}

func (s *SequenceState) text() string {
	var b strings.Builder
	s.Range(func(_ Dot, v []byte) bool {
		b.Write(v)
		return true
	})
	return b.String()
}

func TestSequenceInsertAfter(t *testing.T) {
	a, v, s := testAuthor("a"), Version{}, newSequence()
	apply(t, s, a, v, s.InsertAfter(Dot{}, chars("1")))
	apply(t, s, a, v, s.InsertAfter(Dot{}, chars("2")))
	apply(t, s, a, v, s.InsertAfter(Dot{a, 99}, chars("3"))) // unknown: head, for good
	apply(t, s, a, v, s.InsertAfter(Dot{a, 1}, chars("4")))
	apply(t, s, a, v, s.InsertAfter(Dot{a, 1}, chars("5"))) // newest first
	if got, want := s.text(), "32154"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	apply(t, s, a, v, s.Delete(DotRun{a, 1, 1}))
	apply(t, s, a, v, s.InsertAfter(Dot{a, 1}, chars("6"))) // a deleted parent keeps its place
	if got, want := s.text(), "32654"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if !s.Has(Dot{a, 1}) || s.Has(Dot{a, 99}) {
		t.Error("Has is wrong")
	}
}

func TestSequenceRunsDoNotInterleave(t *testing.T) {
	a, b := testAuthor("a"), testAuthor("b")
	x, y, vx, vy := newSequence(), newSequence(), Version{}, Version{}
	for _, c := range []string{"a", "b", "c"} { // x types forwards, y backwards
		apply(t, x, a, vx, x.InsertAt(x.Len(), chars(c)))
		apply(t, y, b, vy, y.InsertAt(0, chars(strings.ToUpper(c))))
	}
	if _, err := x.Merge(y, vx, vy); err != nil {
		t.Fatal(err)
	}
	if got, want := x.text(), "abcCBA"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSequenceRemembersDeletions(t *testing.T) {
	a, b := testAuthor("a"), testAuthor("b")
	s, vb := newSequence(), Version{}
	if !apply(t, s, b, vb, s.Delete(DotRun{a, 2, 2})) {
		t.Error("deleting unknown elements left no trace")
	}
	rows := map[string]string{}
	put := func(slot, cell []byte) { rows[string(slot)] = string(cell) }
	del := func(slot []byte) { delete(rows, string(slot)) }
	s.Flush(put, del)
	loaded := newSequence()
	for slot, cell := range rows {
		if err := loaded.Load([]byte(slot), []byte(cell)); err != nil {
			t.Fatal(err)
		}
	}
	if err := loaded.Loaded(); err != nil {
		t.Fatal(err)
	}
	apply(t, loaded, a, Version{}, loaded.InsertAt(0, chars("1234")))
	if got, want := loaded.text(), "14"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	loaded.Flush(put, del)
	if len(rows) != 1 {
		t.Errorf("%d rows, want the span alone", len(rows))
	}
}

func TestSequenceRowsStaySmall(t *testing.T) {
	a, v, s := testAuthor("a"), Version{}, newSequence()
	count := func() (n, largest int) {
		s.Flush(func(_, cell []byte) { n, largest = n+1, max(largest, len(cell)) }, func([]byte) {})
		return
	}
	for range 1000 {
		apply(t, s, a, v, s.InsertAt(s.Len(), chars("x")))
		if n, size := count(); n != 1 || size > 200 {
			t.Fatalf("typing a character wrote %d rows, the largest of %d bytes", n, size)
		}
	}
	apply(t, s, a, v, s.InsertAt(0, [][]byte{make([]byte, 3000), make([]byte, 3000), make([]byte, 3000)}))
	if n, size := count(); n != 2 || size > 6100 {
		t.Errorf("large values: %d rows, the largest of %d bytes", n, size)
	}
	apply(t, s, a, v, s.DeleteRange(10, 3))
	if n, _ := count(); n != 1 {
		t.Errorf("a deletion wrote %d rows, want 1", n)
	}
}

// A slice is the model of the tree: one author edits at random places.
func TestSequenceAgainstSlice(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	a, v, s := testAuthor("a"), Version{}, newSequence()
	var want []string
	for i := range 20000 {
		pos := rnd.IntN(len(want) + 1)
		if rnd.IntN(3) == 0 {
			n := min(rnd.IntN(5), len(want)-pos)
			apply(t, s, a, v, s.DeleteRange(pos, n))
			want = slices.Delete(want, pos, pos+n)
			continue
		}
		var vals [][]byte
		var strs []string
		for j := range 1 + rnd.IntN(3) {
			x := fmt.Sprint(i*j, ";")
			vals, strs = append(vals, []byte(x)), append(strs, x)
		}
		apply(t, s, a, v, s.InsertAt(pos, vals))
		want = slices.Insert(want, pos, strs...)
	}
	if s.text() != strings.Join(want, "") || s.Len() != len(want) {
		t.Error("the sequence and the slice differ")
	}
	checkSequence(t, s)
}

// checkSequence checks what must always hold between tree, index and rows.
func checkSequence(t testing.TB, s *SequenceState) {
	t.Helper()
	pieces, visible, bytes := 0, 0, 0
	var walk func(n *node) (total, vis int)
	walk = func(n *node) (total, vis int) {
		for _, k := range n.kids {
			if k.parent != n {
				t.Fatal("a node does not know its parent")
			}
			tk, vk := walk(k)
			total, vis = total+tk, vis+vk
		}
		for _, p := range n.pieces {
			if p.leaf != n || s.index[p.author].find(p.seq) != p {
				t.Fatal("a piece is not where it says")
			}
			total, vis = total+p.n, vis+p.visible()
		}
		if total != n.total || vis != n.visible {
			t.Fatalf("a node counts %d and %d, want %d and %d", n.total, n.visible, total, vis)
		}
		return
	}
	if s.tree.root != nil {
		_, visible = walk(s.tree.root)
	}
	for a, x := range s.index {
		var end uint64
		for p := x.next(1); p != nil; p = x.next(p.end()) {
			if p.seq < end || p.author != a {
				t.Fatal("pieces overlap")
			}
			end = p.end()
			pieces++
			bytes += p.valueBytes()
		}
		var held uint64
		for _, r := range s.rows.list[a] {
			held += uint64(r.n)
		}
		for p := x.next(1); p != nil; p = x.next(p.end()) {
			held -= uint64(p.n)
		}
		if held != 0 {
			t.Fatal("rows and pieces hold different elements")
		}
	}
	if pieces != s.pieces || visible != s.visible || bytes != s.bytes {
		t.Fatalf("counts %d %d %d, want %d %d %d", s.pieces, s.visible, s.bytes, pieces, visible, bytes)
	}
}

// A word typed is one insert, a key held down one deletion; what is joined
// does what its parts did, and the parts stay as they were.
func TestCoalesce(t *testing.T) {
	a, v, s := testAuthor("a"), Version{}, newSequence()
	var ops []Op
	do := func(op Op) {
		op.Seq = v[a] + 1
		apply(t, s, a, v, op)
		ops = append(ops, op)
	}
	for i := range 5 {
		do(s.InsertAt(i, chars(fmt.Sprint(i))))
	}
	for range 3 {
		do(s.DeleteRange(s.Len()-1, 1)) // backwards
	}
	do(s.InsertAt(0, chars("xyz")))
	do(s.DeleteRange(0, 2)) // forwards
	do(s.DeleteRange(0, 2)) // over a border
	parts := slices.Clone(ops)
	joined := Coalesce(Sequence, ops, a)
	want := []Op{
		{Seq: 1, Kind: Insert, Values: chars("01234")},
		{Seq: 6, Kind: Delete, Joined: 3, Dots: []DotRun{{a, 3, 3}}},
		{Seq: 9, Kind: Insert, Values: chars("xyz"), Right: Dot{a, 1}},
		{Seq: 12, Kind: Delete, Joined: 2, Dots: []DotRun{{a, 9, 3}, {a, 1, 1}}},
	}
	if !reflect.DeepEqual(joined, want) {
		t.Errorf("joined: got %+v, want %+v", joined, want)
	}
	if !reflect.DeepEqual(ops, parts) {
		t.Error("joining changed the parts")
	}
	far := newSequence()
	for i := range joined {
		if _, err := far.Apply(a, &joined[i], nil); err != nil {
			t.Fatal(err)
		}
	}
	if far.text() != s.text() {
		t.Errorf("got %q, want %q", far.text(), s.text())
	}
}
