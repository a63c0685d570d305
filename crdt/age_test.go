package crdt

import (
	"fmt"
	"testing"
)

// stored is the rows of an object as a store keeps them.
type stored map[string]string

func (rows stored) flush(o Object) {
	o.Flush(func(slot, cell []byte) { rows[string(slot)] = string(cell) }, func(slot []byte) { delete(rows, string(slot)) })
}

func (rows stored) load(t testing.TB, f Family) Object {
	t.Helper()
	o, err := New(f)
	if err != nil {
		t.Fatal(err)
	}
	for _, slot := range sortedSlots(rows) {
		if err := o.Load([]byte(slot), []byte(rows[slot])); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.Loaded(); err != nil {
		t.Fatal(err)
	}
	return o
}

// An element that is dead, but that others hang on, must go on being named:
// otherwise what is typed beside it goes elsewhere.
func TestAgeTypingBesideTheDead(t *testing.T) {
	a, v, s := testAuthor("a"), Version{}, newSequence()
	for i, c := range []string{"1", "x", "y", "2"} {
		apply(t, s, a, v, s.InsertAt(i, chars(c)))
	}
	apply(t, s, a, v, s.DeleteRange(1, 2))
	if dropped, left := s.Age(Horizon{Stable: v, Epoch: 2, Dead: 1, Gone: 1}); dropped != 0 || left != 2 {
		t.Errorf("%d went, %d stay, but the last character hangs on both", dropped, left)
	}
	apply(t, s, a, v, s.InsertAt(1, chars("+")))
	if got, want := s.text(), "1+2"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// What was spare is needed again once somebody hangs on it who did not know.
func TestAgeTypingBesideTheLate(t *testing.T) {
	a, b, v, s := testAuthor("a"), testAuthor("b"), Version{}, newSequence()
	apply(t, s, a, v, s.InsertAt(0, chars("1")))
	apply(t, s, a, v, s.InsertAt(1, chars("x")))
	late := s.InsertAt(2, chars("2"))
	apply(t, s, a, v, s.DeleteRange(1, 1))
	s.Age(Horizon{Stable: v, Epoch: 2, Dead: 1})
	if op := s.InsertAt(1, chars("+")); op.Left != (Dot{a, 1}) || !op.Right.IsZero() {
		t.Errorf("origins %v and %v: a dead element is named", op.Left, op.Right)
	}
	apply(t, s, b, v, late)
	apply(t, s, a, v, s.InsertAt(1, chars("+")))
	if got, want := s.text(), "1+2"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAgeSequence(t *testing.T) {
	a, v, s, rows := testAuthor("a"), Version{}, newSequence(), stored{}
	for i := range 1000 {
		apply(t, s, a, v, s.InsertAt(i, chars("x")))
	}
	for range 900 { // from the end on, so nothing hangs on what goes
		apply(t, s, a, v, s.DeleteRange(s.Len()-1, 1))
	}
	rows.flush(s)
	before := len(rows)
	if dropped, left := s.Age(Horizon{Stable: v, Epoch: 2, Dead: 1}); dropped != 0 || left != 900 {
		t.Errorf("dead: %d went, %d stay, want 0 and 900", dropped, left)
	}
	op := s.InsertAfter(Dot{a, 500}, chars("y"))
	if want := (Dot{a, 100}); op.Left != want || !op.Right.IsZero() {
		t.Errorf("origins: got %v and %v, want %v and the end", op.Left, op.Right, want)
	}
	dropped, left := s.Age(Horizon{Stable: v, Epoch: 3, Dead: 1, Gone: 1})
	if dropped != 900 || left != 0 {
		t.Errorf("gone: %d went, %d stay, want 900 and 0", dropped, left)
	}
	checkSequence(t, s)
	rows.flush(s)
	if len(rows) >= before/2 {
		t.Errorf("%d rows, want few of %d", len(rows), before)
	}
	loaded := rows.load(t, Sequence).(*SequenceState)
	checkSequence(t, loaded)
	if loaded.text() != s.text() || s.Len() != 100 {
		t.Errorf("loaded: got %q, want %q", loaded.text(), s.text())
	}
	again := Op{Seq: 501, Kind: Insert, Values: chars("x"), Left: Dot{a, 500}}
	if changed, err := s.Apply(a, &again, v); changed || err != nil {
		t.Errorf("an op of long ago came back: %v, %v", changed, err)
	}
	if apply(t, s, a, v, s.Delete(DotRun{a, 500, 10})) {
		t.Error("the deletion of what is forgotten is remembered")
	}
	lost := Op{Kind: Insert, Values: chars("y"), Left: Dot{a, 500}, Right: Dot{a, 501}}
	if apply(t, s, a, v, lost); s.text()[:1] != "y" && s.text()[100:] != "y" {
		t.Errorf("an element with lost origins: got %q", s.text())
	}
}

// Each deleted element keeps the epoch of its deletion through its row.
func TestAgeEpochsInRows(t *testing.T) {
	a, v, s, rows := testAuthor("a"), Version{}, newSequence(), stored{}
	for i := range 6 {
		apply(t, s, a, v, s.InsertAt(i, chars(fmt.Sprint(i))))
	}
	for epoch := uint32(1); epoch <= 3; epoch++ { // 5 and 4, then 3 and 2, then 1 and 0
		s.Age(Horizon{Epoch: epoch})
		apply(t, s, a, v, s.DeleteRange(s.Len()-2, 2))
	}
	rows.flush(s)
	for gone, want := range []int{6, 4, 2, 0} {
		o := rows.load(t, Sequence)
		if _, left := o.Age(Horizon{Epoch: 4, Dead: 3, Gone: uint32(gone)}); left != want {
			t.Errorf("deletions up to epoch %d are gone: %d stay, want %d", gone, left, want)
		}
	}
}

// A set after a forgotten removal must win over it where it is not forgotten,
// whatever the clocks say.
func TestAgeMapFloor(t *testing.T) {
	a, b, v, rows := testAuthor("a"), testAuthor("b"), Version{}, stored{}
	m, keeps, field := newMap(), newMap(), []byte("f")
	remove := m.Remove(1000, field)
	apply(t, m, a, v, remove)
	apply(t, keeps, a, Version{}, remove)
	if dropped, left := m.Age(Horizon{Stable: v, Before: 1000}); dropped != 0 || left != 1 {
		t.Errorf("at the bound: %d went, %d stay, want 0 and 1", dropped, left)
	}
	rows.flush(m)
	if dropped, left := m.Age(Horizon{Stable: v, Before: 1001}); dropped != 1 || left != 0 {
		t.Errorf("%d went, %d stay, want 1 and 0", dropped, left)
	}
	rows.flush(m)
	if len(rows) != 1 {
		t.Errorf("%d rows, want the floor", len(rows))
	}
	set := rows.load(t, LWWMap).(*MapState).Set(1, field, []byte("v"))
	apply(t, keeps, b, Version{}, set)
	if _, ok := keeps.Get(field); !ok {
		t.Errorf("a set with stamp %d lost against what its author had forgotten", set.Time)
	}
}
