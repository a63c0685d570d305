package replica

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/numax-mesh/numax/crdt"
)

var update = flag.Bool("update", false, "write the golden files")

// goldenEntry has every part that an entry can have.
func goldenEntry(t testing.TB) *Entry {
	id := NewDatasetID(testNetwork, "golden")
	a, b := newTestAuthor(1, id), newTestAuthor(2, id)
	a.entry(t, nil, a.inc("first"))
	return a.entry(t, crdt.Version{b.author: 300}, insert(a, "text", strings.Repeat("a", 300), "é", ""))
}

// The encoding of entries is for ever: signatures and ids hang on it.
func TestGoldenEntry(t *testing.T) {
	e := goldenEntry(t)
	got := hex.EncodeToString(e.raw) + "\n" + hex.EncodeToString(e.ID[:]) + "\n"
	path := filepath.Join("testdata", "entry.hex")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// A compressor may change; what it wrote once must read the same.
	lines := strings.Fields(string(want))
	raw, err := hex.DecodeString(lines[0])
	if err != nil {
		t.Fatal(err)
	}
	old, err := parseEntry(raw, false)
	if err != nil {
		t.Fatal(err)
	}
	if id := hex.EncodeToString(old.ID[:]); id != lines[1] {
		t.Errorf("id %s, want %s", id, lines[1])
	}
	if err := old.decodeBody(nil); err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the encoding changed; if only the compressor did, run with -update\ngot  %s\nwant %s", got, want)
	}
}

func FuzzParseEntry(f *testing.F) {
	e := goldenEntry(f)
	f.Add(e.raw, false)
	f.Add(e.head(), true)
	f.Add(e.raw[:len(e.raw)-1], false)
	f.Add(e.head(), false)
	f.Add(e.raw, true)
	f.Add([]byte{}, false)
	f.Add(bytes.Repeat([]byte{0xff}, 200), false)
	f.Fuzz(func(t *testing.T, b []byte, headOnly bool) {
		// Without the signature, which a fuzzer cannot make.
		e, header, err := splitEntry(bytes.Clone(b), headOnly)
		if err != nil {
			return
		}
		if again := e.Header.append(nil); !bytes.Equal(again, header) {
			t.Errorf("a header with two spellings:\n%x\n%x", header, again)
		}
		if !headOnly {
			_ = e.decodeBody(nil)
		}
		if _, _, err := splitGossip(append([]byte{gossipEntry}, b...)); err == nil && headOnly {
			t.Log("an entry with an empty body")
		}
	})
}

func FuzzFrames(f *testing.F) {
	id := NewDatasetID(testNetwork, "golden")
	a := newTestAuthor(1, id)
	for _, b := range [][]byte{
		frame(frameHello, []byte{syncVersion}, testNetwork[:]),
		frame(frameDatasets, id[:], id[:]),
		frame(frameRoot, make([]byte, rootSize)),
		frame(frameDigests, id[:], make([]byte, 32)),
		wantFrame{7, id, 1 << 20, summary{hashAuthor(a.author): 5}}.encode(),
		frame(frameEntry, uvarint(1), goldenEntry(f).raw),
		frame(frameDone, uvarint(1)),
		frame(frameCredit, uvarint(1), uvarint(1<<63)),
		frame(99, []byte("later")),
		frame(frameStarts, id[:]),
		frame(frameStarts, id[:], a.author.Append(nil), make([]byte, 40)),
		{0},
		{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
		{5, 1},
		{0xff, 0xff, 0x7f, 6},
	} {
		f.Add(b)
	}
	store := openStore(f)
	r, err := Open(Options{Store: store, Key: a.key, Network: testNetwork})
	if err != nil {
		f.Fatal(err)
	}
	d, err := r.Dataset("golden")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		in := bufio.NewReader(bytes.NewReader(b))
		s := newSession(r, "peer", nopStream{})
		s.asked[1] = &asked{d: d}
		for range 100 { // below what fills the control queue
			kind, p, err := readFrame(in)
			if err != nil {
				return
			}
			if w, err := decodeWant(p); err == nil && !bytes.Equal(w.encode()[len(w.encode())-len(p):], p) {
				t.Errorf("a want with two spellings: %x", p)
			}
			if s.handle(t.Context(), kind, p) != nil {
				return
			}
		}
	})
}

type nopStream struct{}

func (nopStream) Read([]byte) (int, error)    { return 0, os.ErrClosed }
func (nopStream) Write(p []byte) (int, error) { return len(p), nil }
func (nopStream) Close() error                { return nil }

func FuzzLogState(f *testing.F) {
	for _, l := range []logState{
		{},
		{logHead{have: 1, head: EntryID{1}}, 1},
		{logHead{1 << 40, EntryID{2}, 3, EntryID{4}}, 3},
	} {
		f.Add(l.append(nil))
	}
	f.Add([]byte{})
	f.Add(logState{logHead{have: 1}, 2}.append(nil))
	f.Add(logState{logHead{have: 3, cut: 3}, 2}.append(nil))
	f.Add(append(logState{logHead{have: 1}, 1}.append(nil), 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := decodeLogState(b)
		if err != nil {
			return
		}
		if l.applied > l.have || l.cut > l.applied {
			t.Errorf("cut %d, applied %d of %d", l.cut, l.applied, l.have)
		}
		if again := l.append(nil); !bytes.Equal(again, b) {
			t.Errorf("two spellings: %x and %x", b, again)
		}
	})
}

func FuzzElementID(f *testing.F) {
	a := newTestAuthor(1, DatasetID{})
	f.Add(FormatElementID(crdt.Dot{Author: a.author, Seq: 1}))
	f.Add("")
	f.Add(strings.Repeat("A", ElementIDSize))
	f.Fuzz(func(t *testing.T, s string) {
		if h, seq, ok := parseElementID(s); ok && (seq == 0 || h == authorHash{} && seq == 0) {
			t.Errorf("%q is element %d", s, seq)
		}
	})
}
