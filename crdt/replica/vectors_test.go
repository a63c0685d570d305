package replica

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/numax-mesh/numax/crdt"
)

// A vectors file keeps what a decoder has to take and what it has to refuse, a
// line each: "ok HEX" or "bad HEX  # why". -update writes them anew; a change in
// an ok line is a change of the format.
type vectors struct {
	name   string
	decode func([]byte) error
	ok     [][]byte
	bad    map[string][]byte // besides every ok one cut short, and with a byte more
}

func allVectors(t testing.TB) []vectors {
	id := NewDatasetID(testNetwork, "golden")
	a, twin, b := newTestAuthor(1, id), newTestAuthor(1, id), newTestAuthor(2, id)
	e1, e2 := a.entry(t, nil, a.inc("k")), a.entry(t, crdt.Version{b.author: 7}, insert(a, "text", "h", "i"))
	fork := twin.entry(t, nil, twin.inc("other"))
	m := manifest{
		network: testNetwork, dataset: id, name: "golden", author: a.author, time: crdt.HLCFromTime(1_700_000_000_000), epoch: 2,
		logs: map[crdt.Author]logHead{a.author: {have: 3, head: e2.ID}, b.author: {have: 7, head: EntryID{9}}},
	}
	want := wantFrame{5, id, wantCredit, summary{hashAuthor(a.author): 3, hashAuthor(b.author): 7}}.encode()
	flip := func(b []byte, at int) []byte {
		b = bytes.Clone(b)
		b[(at+len(b))%len(b)] ^= 1
		return b
	}
	acks := &ack{upto: 3, applied: crdt.Version{b.author: 7}}
	rows := appendRow(appendRow(nil, nil, []byte("oa"), []byte("1")), []byte("oa"), []byte("ob"), nil)
	return []vectors{
		{"entry", func(b []byte) error {
			e, err := parseEntry(b, false)
			if err == nil {
				err = e.decodeBody(nil)
			}
			return err
		}, [][]byte{e1.raw, e2.raw}, map[string][]byte{
			"signature": flip(e1.raw, len(e1.head())-1), "body": flip(e1.raw, -1), "version": flip(e1.raw, 1), "empty": nil,
		}},
		{"announcement", func(b []byte) error { _, err := parseEntry(b, true); return err }, [][]byte{e2.head()}, map[string][]byte{
			"with a body": e2.raw,
		}},
		{"want", func(b []byte) error { _, err := decodeWant(b); return err }, [][]byte{want[2:]}, map[string][]byte{
			"authors out of order": append(append(append([]byte{1}, id[:]...), 1, 2), bytes.Repeat([]byte{7}, 2*17)...),
		}},
		{
			"digests", func(b []byte) error { _, err := decodeDigests(b); return err },
			[][]byte{bytes.Repeat([]byte{1}, 48), {}},
			nil,
		},
		{
			"datasets", func(b []byte) error { _, err := decodeDatasets(b); return err },
			[][]byte{bytes.Repeat([]byte{1}, 32), {}},
			nil,
		},
		{"proof", func(b []byte) error { _, err := decodeProof(b, anyProof); return err }, [][]byte{newProof(e1, fork).raw, newProof(fork, e2).raw}, map[string][]byte{
			"no contradiction": append(bytes.Clone(e1.head()), e2.head()...), "twice the same": append(bytes.Clone(e1.head()), e1.head()...),
			"forged": flip(newProof(e1, fork).raw, -1),
		}},
		{"control", func(b []byte) error { _, _, err := decodeControl(b); return err }, [][]byte{
			control{kind: controlAck}.encode(), control{kind: controlAck, dead: summary{{1}: 2, {3}: 4}}.encode(),
			control{kind: controlRetire, who: authorHash{5}}.encode(),
		}, nil},
		{"manifest", func(b []byte) error { _, err := decodeManifest(b); return err }, [][]byte{m.encode()}, map[string][]byte{
			"version": flip(m.encode(), 0), "authors out of order": func() []byte {
				b := m.encode()
				const author = crdt.AuthorSize + 1 + 32
				first, second := bytes.Clone(b[len(b)-2*author:len(b)-author]), bytes.Clone(b[len(b)-author:])
				return append(append(b[:len(b)-2*author], second...), first...)
			}(),
		}},
		{"ack", func(b []byte) error { _, err := decodeAck(b); return err }, [][]byte{acks.append(nil)}, nil},
		{"version", func(b []byte) error { _, err := decodeLogState(b); return err }, [][]byte{
			logState{logHead{have: 9, head: EntryID{1}}, 8}.append(nil), logState{logHead{9, EntryID{1}, 3, EntryID{2}}, 8}.append(nil),
		}, map[string][]byte{"applied beyond the log": logState{logHead{have: 9}, 10}.append(nil)}},
		{"rows", func(b []byte) error {
			_, _, err := eachRow(b, nil, func(stateRow) error { return nil })
			return err
		}, [][]byte{rows}, map[string][]byte{"not rising": append(bytes.Clone(rows), appendRow(nil, []byte("ob"), []byte("oa"), nil)...)}},
	}
}

func TestVectors(t *testing.T) {
	for _, v := range allVectors(t) {
		path := filepath.Join("testdata", "vectors", v.name+".txt")
		if *update {
			writeVectors(t, path, v)
		}
		file, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for n, line := range strings.Split(strings.TrimSpace(string(file)), "\n") {
			kind, rest, _ := strings.Cut(line, " ")
			digits, why, _ := strings.Cut(rest, "#")
			b, err := hex.DecodeString(strings.TrimSpace(digits))
			if err != nil {
				t.Fatalf("%s:%d: %v", path, n+1, err)
			}
			if err := v.decode(b); (err == nil) != (kind == "ok") {
				t.Errorf("%s:%d: %s (%s): %v", path, n+1, kind, strings.TrimSpace(why), err)
			}
		}
		for _, want := range v.ok {
			if !bytes.Contains(file, []byte("ok "+hex.EncodeToString(want)+"\n")) {
				t.Errorf("%s: what is encoded now is not in it: the format changed\n%x", path, want)
			}
		}
	}
}

func writeVectors(t *testing.T, path string, v vectors) {
	t.Helper()
	var b strings.Builder
	for _, x := range v.ok {
		fmt.Fprintf(&b, "ok %x\n", x)
		for _, cut := range []int{1, len(x) / 2, len(x) - 1} {
			if cut > 0 && cut < len(x) && v.decode(x[:cut]) != nil {
				fmt.Fprintf(&b, "bad %x # cut short\n", x[:cut])
			}
		}
		if more := append(bytes.Clone(x), 0); v.decode(more) != nil {
			fmt.Fprintf(&b, "bad %x # a byte more\n", more)
		}
	}
	for _, why := range slices.Sorted(maps.Keys(v.bad)) {
		fmt.Fprintf(&b, "bad %x # %s\n", v.bad[why], why)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}
