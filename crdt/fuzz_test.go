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
// state survives its own delta and rows.
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

func FuzzMergeDelta(f *testing.F) {
	for _, o := range goldenObjects(f) {
		f.Add(o.Delta(nil, nil))
		f.Add(o.Delta(Version{testAuthor("a"): 22}, nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) == 0 || !Family(b[0]).Known() {
			return
		}
		for _, o := range goldenObjects(t) {
			if byte(o.Family()) != b[0] {
				continue
			}
			if _, err := o.MergeDelta(b, Version{testAuthor("a"): 5}, Version{testAuthor("a"): 30}); err != nil {
				continue
			}
			use(t, o)
			if changed, err := o.MergeDelta(b, Version{testAuthor("a"): MaxSeq}, nil); changed && o.Family() != ORSet || err != nil {
				t.Fatalf("merged again: changed %v, %v", changed, err)
			}
		}
	})
}

func FuzzLoad(f *testing.F) {
	for _, o := range goldenObjects(f) {
		o.Flush(func(slot, cell []byte) { f.Add(byte(o.Family()), slot, cell, slot, cell) }, func([]byte) {})
	}
	f.Fuzz(func(t *testing.T, family byte, slot, cell, slot2, cell2 []byte) {
		o, err := New(Family(family))
		if err != nil {
			return
		}
		for _, row := range [][2][]byte{{slot, cell}, {slot2, cell2}} {
			if err := o.Load(row[0], row[1]); err != nil {
				return
			}
		}
		if err := o.Loaded(); err != nil {
			return
		}
		use(t, o)
	})
}
