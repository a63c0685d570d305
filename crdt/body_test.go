package crdt

import (
	"bytes"
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write golden files")

const goldenBase = HLC(1_700_000_000_000 << 16)

// goldenGroups returns one group a family with every kind of op in it, and a
// group of a family nobody knows; the ops are interleaved from number 10 on.
func goldenGroups() (groups []Group, author Author, first, count uint64) {
	a, b, c := testAuthor("a"), testAuthor("b"), testAuthor("c")
	at := func(seq uint64, op Op) Op {
		op.Seq = seq
		return op
	}
	return []Group{
		{Family: GCounter, Key: []byte("g"), Ops: []Op{
			at(10, Op{Kind: Inc, P: 300}), at(11, Op{Kind: Inc, P: 301}), at(30, Op{Kind: Inc, P: 1 << 63}),
		}},
		{Family: PNCounter, Key: []byte("p"), Ops: []Op{
			at(12, Op{Kind: Inc, P: 5, N: 2}), at(13, Op{Kind: Dec, P: 5, N: 7}),
		}},
		{Family: LWWRegister, Key: []byte("r"), Ops: []Op{
			at(14, Op{Kind: Set, Time: goldenBase + 1, Value: []byte("later")}),
			at(15, Op{Kind: Set, Time: goldenBase - 1, Value: []byte{}}),
		}},
		{Family: LWWMap, Key: []byte{}, Ops: []Op{
			at(16, Op{Kind: Set, Time: MaxStamp, Field: []byte("f"), Value: []byte("v")}),
			at(17, Op{Kind: Remove, Time: 0, Field: []byte("gg")}),
		}},
		{Family: ORSet, Key: []byte("s"), Ops: []Op{
			at(18, Op{Kind: Add, Field: []byte("e")}),
			at(19, Op{Kind: Add, Field: []byte("f"), Dots: []DotRun{{a, 3, 2}, {b, 9, 1}}}),
			at(20, Op{Kind: Remove, Field: []byte("e"), Dots: []DotRun{{a, 18, 1}, {b, 10, 4}}}),
		}},
		{Family: Sequence, Key: []byte("t"), Ops: []Op{
			at(21, Op{Kind: Insert, Values: chars("abc"), Left: Dot{a, 2}, Right: Dot{b, 7}}),
			at(24, Op{Kind: Insert, Values: [][]byte{[]byte("d"), []byte("é")}, Left: Dot{a, 23}, Right: Dot{b, 7}}),
			at(26, Op{Kind: Delete, Dots: []DotRun{{c, 1, 100}, {a, 22, 3}}}),
			at(27, Op{Kind: Insert, Values: chars("z")}),
			at(36, Op{Kind: Delete, Dots: []DotRun{{a, 27, 1}}}),
			at(37, Op{Kind: Delete, Dots: []DotRun{{a, 26, 1}}}),
		}},
		{Family: 99, Key: []byte("?"), Raw: []byte("from the future"), Runs: []OpRun{{28, 1, 2}, {31, 5, 1}}},
	}, a, 10, 28
}

func sameOps(t *testing.T, got, want []Group) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d groups, want %d", len(got), len(want))
	}
	for i := range got {
		g, w := got[i], want[i]
		if g.Family != w.Family || !bytes.Equal(g.Key, w.Key) || !bytes.Equal(g.Raw, w.Raw) || !reflect.DeepEqual(g.Runs, w.Runs) || len(g.Ops) != len(w.Ops) {
			t.Errorf("group %d: got %+v, want %+v", i, g, w)
			continue
		}
		for j := range g.Ops {
			x, y := g.Ops[j], w.Ops[j]
			if !bytes.Equal(x.Value, y.Value) || !bytes.Equal(x.Field, y.Field) {
				t.Errorf("group %d, op %d: got %+v, want %+v", i, j, x, y)
			}
			x.Value, x.Field, y.Value, y.Field = nil, nil, nil, nil
			if !reflect.DeepEqual(x, y) {
				t.Errorf("group %d, op %d: got %+v, want %+v", i, j, x, y)
			}
		}
	}
}

// The bytes of a body are signed and kept for good: they may never change.
func TestBodyGolden(t *testing.T) {
	groups, author, first, count := goldenGroups()
	b, err := EncodeBody(groups, author, first, goldenBase)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("testdata", "body-v1.hex")
	if *update {
		if err := os.WriteFile(file, []byte(hex.Dump(b)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.Dump(b); got != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	out, err := DecodeBody(b, author, first, count, goldenBase)
	if err != nil {
		t.Fatal(err)
	}
	for i := range groups {
		groups[i].Ops = Coalesce(groups[i].Family, groups[i].Ops, author)
	}
	sameOps(t, out, groups)
	again, err := EncodeBody(out, author, first, goldenBase)
	if err != nil || !bytes.Equal(again, b) {
		t.Errorf("encoded again: %v\n%x, want\n%x", err, again, b)
	}
}

// What is cut off, or longer than it should be, is never a body.
func TestBodyTruncated(t *testing.T) {
	groups, author, first, count := goldenGroups()
	b, err := EncodeBody(groups, author, first, goldenBase)
	if err != nil {
		t.Fatal(err)
	}
	for n := range b {
		if _, err := DecodeBody(b[:n:n], author, first, count, goldenBase); err == nil {
			t.Errorf("the first %d of %d bytes were accepted", n, len(b))
		}
	}
	if _, err := DecodeBody(append(b, 0), author, first, count, goldenBase); err == nil {
		t.Error("a byte after the end was accepted")
	}
	for _, n := range []uint64{0, count - 1, count + 1, MaxWidth + 1} {
		if _, err := DecodeBody(b, author, first, n, goldenBase); err == nil {
			t.Errorf("%d dots were accepted, the body has %d", n, count)
		}
	}
}

// A few bytes that claim a million operations must not make room for them.
func TestBodyBombs(t *testing.T) {
	bomb := func(ops, width, count uint64, section ...byte) (b []byte, n uint64) {
		b = appendUint(appendUint([]byte{bodyVersion}, ops), 1)
		b = appendUint(append(b, 0), ops)
		b = appendUint(appendUint(b, width), ops)
		return appendBytes(appendBytes(append(b, byte(Sequence)), nil), section), count
	}
	for name, c := range map[string]func() ([]byte, uint64){
		"ops":      func() ([]byte, uint64) { return bomb(MaxOps, 1, MaxOps, byte(Insert), 0x80, 0x80, 4) },
		"elements": func() ([]byte, uint64) { return bomb(1, MaxWidth, MaxWidth, byte(Insert), 1, 0, 1, 0, 0, 1) },
	} {
		b, count := c()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := DecodeBody(b, testAuthor("a"), 1, count, 0)
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; err == nil || n > 64<<10 {
			t.Errorf("%s: %v, %d bytes allocated for %d", name, err, n, len(b))
		}
	}
}

// A body names MaxRuns runs of dots in all, in one op or in many, and not one more, whoever encoded it.
func TestBodyRuns(t *testing.T) {
	a, x := testAuthor("a"), testAuthor("x")
	op := func(kind Kind, seq uint64, runs int) Op {
		op := Op{Seq: seq, Kind: kind}
		for i := range runs {
			op.Dots = append(op.Dots, DotRun{x, uint64(3*i + 1), 1})
		}
		return op
	}
	for name, ops := range map[string]func(n int) []Group{
		"sequence": func(n int) []Group { return []Group{{Family: Sequence, Ops: []Op{op(Delete, 1, n)}}} },
		"set":      func(n int) []Group { return []Group{{Family: ORSet, Ops: []Op{op(Remove, 1, n)}}} },
		"two groups": func(n int) []Group {
			return []Group{{Family: Sequence, Ops: []Op{op(Delete, 1, n/2)}}, {Family: ORSet, Ops: []Op{op(Remove, 2, n-n/2)}}}
		},
	} {
		within := ops(MaxRuns)
		b, err := EncodeBody(within, a, 1, 0)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err := DecodeBody(b, a, 1, uint64(len(within)), 0); err != nil {
			t.Errorf("%s: %d runs: %v", name, MaxRuns, err)
		}
		over := ops(MaxRuns + 1)
		if _, err := EncodeBody(over, a, 1, 0); err == nil {
			t.Errorf("%s: %d runs were encoded", name, MaxRuns+1)
		}
		b = appendUint(appendUint([]byte{bodyVersion}, uint64(len(over))), uint64(len(over)))
		var order []columnRun
		for i := range over {
			order = addColumn(order, uint64(i), 1)
		}
		b = appendColumn(appendColumn(b, order), addColumn(nil, 1, uint64(len(over))))
		for _, g := range over {
			section, _, err := encodeSection(g.Family, g.Ops, a, 0)
			if err != nil {
				t.Fatal(err)
			}
			b = appendBytes(appendBytes(append(b, byte(g.Family)), g.Key), section)
		}
		if _, err := DecodeBody(b, a, 1, uint64(len(over)), 0); err == nil || !strings.Contains(err.Error(), "runs of dots") {
			t.Errorf("%s: a body of %d runs: %v", name, MaxRuns+1, err)
		}
	}
}

func TestEncodeBodyRefuses(t *testing.T) {
	a := testAuthor("a")
	inc := func(seq uint64) Op { return Op{Seq: seq, Kind: Inc, P: 1} }
	for name, groups := range map[string][]Group{
		"hole":           {{Family: GCounter, Ops: []Op{inc(1), inc(3)}}},
		"wrong start":    {{Family: GCounter, Ops: []Op{inc(2)}}},
		"same number":    {{Family: GCounter, Ops: []Op{inc(1)}}, {Family: GCounter, Ops: []Op{inc(1)}}},
		"nothing":        {},
		"empty group":    {{Family: GCounter}},
		"long key":       {{Family: GCounter, Key: []byte(strings.Repeat("k", MaxKey+1)), Ops: []Op{inc(1)}}},
		"malformed op":   {{Family: LWWRegister, Ops: []Op{inc(1)}}},
		"unknown family": {{Family: 99, Ops: []Op{inc(1)}}},
	} {
		if _, err := EncodeBody(groups, a, 1, 0); err == nil {
			t.Errorf("%s: encoded", name)
		}
	}
}
