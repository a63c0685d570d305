package crdt

import (
	"bytes"
	"reflect"
	"testing"
)

func FuzzDecodeBody(f *testing.F) {
	groups, author, first, count := goldenGroups()
	b, err := EncodeBody(groups, author, first, goldenBase)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b, first, count)
	for i, g := range groups[:6] {
		width := uint64(0)
		for j := range g.Ops {
			g.Ops[j].Seq = 200 + width
			width += g.Ops[j].Width()
		}
		if b, err = EncodeBody(groups[i:i+1], author, 200, goldenBase); err != nil {
			f.Fatal(err)
		}
		f.Add(b, uint64(200), width)
	}
	f.Fuzz(func(t *testing.T, b []byte, first, count uint64) {
		groups, err := DecodeBody(b, author, first, count, goldenBase)
		if err != nil {
			return
		}
		again, err := EncodeBody(groups, author, first, goldenBase)
		if err != nil {
			t.Fatalf("decoded, but does not encode: %v", err)
		}
		if !bytes.Equal(again, b) {
			t.Fatalf("decoded and encoded: got %x, want %x", again, b)
		}
		out, err := DecodeBody(again, author, first, count, goldenBase)
		if err != nil {
			t.Fatalf("encoded, but does not decode: %v", err)
		}
		if len(out) != len(groups) {
			t.Fatalf("%d groups, want %d", len(out), len(groups))
		}
		for i := range out {
			if !reflect.DeepEqual(out[i].Ops, groups[i].Ops) || !bytes.Equal(out[i].Raw, groups[i].Raw) {
				t.Fatalf("group %d: got %+v, want %+v", i, out[i], groups[i])
			}
			if !out[i].Family.Known() {
				continue
			}
			o, err := New(out[i].Family)
			if err != nil {
				t.Fatal(err)
			}
			for j := range out[i].Ops {
				if _, err := o.Apply(author, &out[i].Ops[j], nil); err != nil {
					t.Fatalf("decoded, but does not apply: %v", err)
				}
			}
			use(t, o)
		}
	})
}

func FuzzDecodeVersion(f *testing.F) {
	f.Add(Version{}.Append(nil))
	f.Add(Version{testAuthor("a"): 1, testAuthor("b"): 1 << 40}.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		v, rest, err := DecodeVersion(b)
		if err != nil {
			return
		}
		if got := append(v.Append(nil), rest...); !bytes.Equal(got, b) {
			t.Fatalf("read and written: got %x, want %x", got, b)
		}
	})
}

// use calls what a node calls on any state it holds, and checks that the
// state survives its own join and rows.
func use(t *testing.T, o Object) {
	t.Helper()
	fresh, err := New(o.Family())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fresh.Merge(o, nil, nil); err != nil {
		t.Fatalf("merging what was accepted: %v", err)
	}
	if s, ok := o.(*SequenceState); ok {
		checkSequence(t, s)
		if got, want := fresh.(*SequenceState).text(), s.text(); got != want {
			t.Fatalf("a copy reads %q, want %q", got, want)
		}
	}
	loaded, err := New(o.Family())
	if err != nil {
		t.Fatal(err)
	}
	type row struct{ slot, cell []byte }
	rows := map[string]row{}
	fresh.Flush(
		func(slot, cell []byte) { rows[string(slot)] = row{bytes.Clone(slot), bytes.Clone(cell)} },
		func(slot []byte) { delete(rows, string(slot)) })
	for _, k := range sortedSlots(rows) {
		if err := loaded.Load(rows[k].slot, rows[k].cell); err != nil {
			t.Fatalf("loading a row of our own: %v", err)
		}
	}
	if err := loaded.Loaded(); err != nil {
		t.Fatal(err)
	}
	if s, ok := loaded.(*SequenceState); ok && s.text() != o.(*SequenceState).text() {
		t.Fatalf("loaded: got %q, want %q", s.text(), o.(*SequenceState).text())
	}
	o.Weight()
}

func sortedSlots[T any](rows map[string]T) []string {
	var keys sortedKeys
	for k := range rows {
		keys.add(k)
	}
	return keys.keys()
}

// goldenObjects returns an object of every family with the golden ops in it.
func goldenObjects(tb testing.TB) []Object {
	groups, author, _, _ := goldenGroups()
	var out []Object
	for _, g := range groups[:6] {
		o, err := New(g.Family)
		if err != nil {
			tb.Fatal(err)
		}
		for i := range g.Ops {
			if _, err := o.Apply(author, &g.Ops[i], nil); err != nil {
				tb.Fatal(err)
			}
		}
		if s, ok := o.(*SequenceState); ok { // what the golden ops refer to
			for _, d := range []Dot{{testAuthor("a"), 2}, {testAuthor("b"), 7}} {
				op := Op{Seq: d.Seq, Kind: Insert, Values: chars("x")}
				if _, err := s.Apply(d.Author, &op, nil); err != nil {
					tb.Fatal(err)
				}
			}
		}
		out = append(out, o)
	}
	return out
}

// FuzzLoad loads rows such as a peer may send: slots and cells in turn, as
// byte strings.
func FuzzLoad(f *testing.F) {
	for _, o := range goldenObjects(f) {
		f.Add(byte(o.Family()), flatRows(o))
	}
	f.Fuzz(func(t *testing.T, family byte, rows []byte) {
		o, err := New(Family(family))
		if err != nil {
			return
		}
		for r := (reader{b: rows}); len(r.b) > 0; {
			slot, cell := r.bytes(len(rows)), r.bytes(len(rows))
			if r.err != nil || o.Load(slot, cell) != nil {
				return
			}
			RowHasTombstone(o.Family(), slot, cell)
		}
		if err := o.Loaded(); err != nil {
			return
		}
		use(t, o)
		all := Version{testAuthor("a"): MaxSeq, testAuthor("b"): MaxSeq, testAuthor("c"): 3}
		_, left := o.Age(Horizon{Stable: all, Before: MaxStamp, Epoch: 9, Dead: 7, Gone: 5})
		if dropped, again := o.Age(Horizon{Stable: all, Before: MaxStamp, Epoch: 9, Dead: 7, Gone: 5}); dropped != 0 || again != left {
			t.Fatalf("aged again: %d went, %d stay, want none and %d", dropped, again, left)
		}
		use(t, o)
	})
}

// flatRows returns the rows of an object as FuzzLoad takes them.
func flatRows(o Object) []byte {
	rows := map[string][]byte{}
	o.Flush(func(slot, cell []byte) { rows[string(slot)] = bytes.Clone(cell) }, func([]byte) {})
	var flat []byte
	for _, slot := range sortedSlots(rows) {
		flat = appendBytes(appendBytes(flat, []byte(slot)), rows[slot])
	}
	return flat
}

// RowHasTombstone must say of every row what its bytes say.
func TestRowHasTombstone(t *testing.T) {
	for _, o := range goldenObjects(t) {
		want := map[Family]bool{LWWMap: true, Sequence: true}[o.Family()]
		got := false
		o.Flush(func(slot, cell []byte) {
			got = got || RowHasTombstone(o.Family(), slot, cell)
			for n := range cell {
				RowHasTombstone(o.Family(), slot, cell[:n])
			}
		}, func([]byte) {})
		if got != want {
			t.Errorf("%v: got %v, want %v", o.Family(), got, want)
		}
	}
	s, v := newSequence(), Version{}
	a := testAuthor("a")
	apply(t, s, a, v, s.InsertAt(0, chars("ab")))
	for _, want := range []bool{false, true} {
		s.Flush(func(slot, cell []byte) {
			if got := RowHasTombstone(Sequence, slot, cell); got != want {
				t.Errorf("row %x: got %v, want %v", cell, got, want)
			}
		}, nil)
		apply(t, s, a, v, s.DeleteRange(1, 1))
	}
}
