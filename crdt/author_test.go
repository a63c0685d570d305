package crdt

import (
	"math"
	"reflect"
	"testing"
)

// testAuthor returns an author whose bytes sort like name.
func testAuthor(name string) Author {
	var b [AuthorSize]byte
	copy(b[:], name)
	return MakeAuthor(b)
}

func TestAuthor(t *testing.T) {
	a, b, none := testAuthor("a"), testAuthor("b"), Author{}
	if a != testAuthor("a") || a == b {
		t.Error("authors do not compare by their bytes")
	}
	if a.Compare(b) >= 0 || b.Compare(a) <= 0 || a.Compare(a) != 0 || none.Compare(a) >= 0 || a.Compare(none) <= 0 {
		t.Error("authors are out of order")
	}
	if got, err := AuthorFromBytes(a.Append(nil)); got != a || err != nil {
		t.Errorf("read back: got %v, %v, want %v", got, err, a)
	}
	if got, err := AuthorFromBytes(none.Append(nil)); !got.IsZero() || err != nil {
		t.Errorf("read nobody back: got %v, %v", got, err)
	}
	if _, err := AuthorFromBytes(make([]byte, AuthorSize-1)); err == nil {
		t.Error("a short author was accepted")
	}
}

func TestVersion(t *testing.T) {
	a, b := testAuthor("a"), testAuthor("b")
	v := Version{a: 3, b: 0}
	if !v.Covers(Dot{a, 3}) || v.Covers(Dot{a, 4}) || v.Covers(Dot{b, 1}) || Version(nil).Covers(Dot{a, 1}) {
		t.Error("Covers is wrong")
	}
	w := v.Clone()
	w.Merge(Version{a: 2, b: 5})
	if want := (Version{a: 3, b: 5}); !reflect.DeepEqual(w, want) {
		t.Errorf("merged: got %v, want %v", w, want)
	}
	if !w.Dominates(v) || v.Dominates(w) || !v.Dominates(nil) {
		t.Error("Dominates is wrong")
	}
	got, rest, err := DecodeVersion(append(w.Append(nil), "rest"...))
	if err != nil || string(rest) != "rest" || !reflect.DeepEqual(got, w) {
		t.Errorf("read back: got %v, %q, %v, want %v", got, rest, err, w)
	}
	two := append(appendUint(b.Append([]byte{2}), 1), appendUint(a.Append(nil), 1)...)
	if _, _, err := DecodeVersion(two); err == nil {
		t.Error("unsorted authors were accepted")
	}
}

func TestClock(t *testing.T) {
	var c Clock
	first := c.Now(1000)
	if first != HLCFromTime(1000) || first.Millis() != 1000 {
		t.Errorf("first stamp: got %d, want %d", first, HLCFromTime(1000))
	}
	if got := c.Now(500); got != first+1 {
		t.Errorf("stamp after the wall clock fell: got %d, want %d", got, first+1)
	}
	near, far := HLCFromTime(1000+MaxSkew), HLCFromTime(1000+MaxSkew)+1
	c.Observe(far, 1000)
	if c.Last() != first+1 {
		t.Error("a stamp too far ahead was adopted")
	}
	c.Observe(near, 1000)
	if got := c.Now(1000); got != near+1 {
		t.Errorf("stamp after one seen: got %d, want %d", got, near+1)
	}
	if HLCFromTime(-5) != 0 || HLCFromTime(math.MaxInt64) > MaxStamp {
		t.Error("times are not clamped")
	}
}

func TestFamilyNames(t *testing.T) {
	for f := GCounter; f.Known(); f++ {
		if got, err := ParseFamily(f.String()); got != f || err != nil {
			t.Errorf("parse %v: got %v, %v", f, got, err)
		}
		if o, err := New(f); err != nil || o.Family() != f {
			t.Errorf("new %v: %v", f, err)
		}
	}
	if _, err := ParseFamily("family-0"); err == nil {
		t.Error("an unknown name was accepted")
	}
	if _, err := New(0); err == nil {
		t.Error("an unknown family was made")
	}
}
