package blob

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/zeebo/blake3"
	"pgregory.net/rapid"
)

func open(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// put keeps a blob for an owner.
func put(t testing.TB, s *Store, owner string, data []byte) Hash {
	t.Helper()
	w, err := s.Create()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Discard()
	if _, err = w.Write(data); err == nil {
		_, err = w.Keep(owner)
	}
	if err != nil {
		t.Fatal(err)
	}
	return w.Sum()
}

// content is what a store has under a hash; nil if it is absent.
func content(t testing.TB, s *Store, h Hash) []byte {
	t.Helper()
	f, size, err := s.Get(h)
	if errors.Is(err, ErrAbsent) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil || int64(len(b)) != size {
		t.Fatalf("read %d of %d bytes, %v", len(b), size, err)
	}
	return append([]byte{}, b...)
}

// files are the names of all files below a folder.
func files(t testing.TB, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// A store is a set of marks, and has the blobs that are marked: after any puts, marks and drops, and after a restart.
func TestStoreLaws(t *testing.T) {
	owners := []string{"a", "b", "c-1"}
	blobs := [][]byte{nil, []byte("x"), []byte("yy"), bytes.Repeat([]byte{7}, 100_000)}
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			rt.Fatal(err)
		}
		s := open(t, dir)
		marks := map[string]map[int]bool{"a": {}, "b": {}, "c-1": {}}
		owned := func(i int) bool {
			return slices.ContainsFunc(owners, func(o string) bool { return marks[o][i] })
		}
		// Few steps, as each waits for the disk.
		for range rapid.IntRange(1, 8).Draw(rt, "steps") {
			o, i := rapid.SampledFrom(owners).Draw(rt, "owner"), rapid.IntRange(0, len(blobs)-1).Draw(rt, "blob")
			h := Hash(blake3.Sum256(blobs[i]))
			switch verb := rapid.SampledFrom([]string{"put", "own", "drop", "restart"}).Draw(rt, "verb"); verb {
			case "put":
				put(t, s, o, blobs[i])
				marks[o][i] = true
			case "own":
				news, err := s.Own(o, h)
				if errors.Is(err, ErrAbsent) == owned(i) || err == nil && news == marks[o][i] {
					rt.Fatalf("own: %t, %v", news, err)
				}
				if err == nil {
					marks[o][i] = true
				}
			case "drop":
				size, had, err := s.Drop(o, h)
				if err != nil || had != marks[o][i] || had && size != int64(len(blobs[i])) {
					rt.Fatalf("drop: %d, %t, %v", size, had, err)
				}
				delete(marks[o], i)
			case "restart":
				s = open(t, dir)
			}
			for i, want := range blobs {
				got := content(t, s, Hash(blake3.Sum256(want)))
				if (got != nil) != owned(i) || got != nil && !bytes.Equal(got, want) {
					rt.Fatalf("blob %d: %d bytes, owned %t", i, len(got), owned(i))
				}
			}
			for _, o := range owners {
				var want int64
				for i := range marks[o] {
					want += Cost(int64(len(blobs[i])))
				}
				if got, err := s.Used(o); got != want || err != nil {
					rt.Fatalf("%s uses %d, %v, want %d", o, got, err, want)
				}
			}
		}
	})
}

// A crash between any two steps leaves nothing behind that the next start does not remove, and loses no marked blob.
func TestCrash(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	kept := put(t, s, "m", []byte("kept"))
	w, err := s.Create() // written, not kept
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("half")); err != nil {
		t.Fatal(err)
	}
	unmarked := put(t, s, "m", []byte("renamed, not marked"))
	if err := os.Remove(s.mark("m", unmarked)); err != nil {
		t.Fatal(err)
	}
	gone := put(t, s, "m", []byte("lost by the disk"))
	if err := os.Remove(s.path(gone)); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	if content(t, s, kept) == nil || !s.Owns("m", kept) {
		t.Error("a marked blob was lost")
	}
	want := []string{s.path(kept), s.mark("m", kept)}
	if got := files(t, dir); !slices.Equal(got, sorted(want)) {
		t.Errorf("left %q, want %q", got, sorted(want))
	}
}

func sorted(s []string) []string { slices.Sort(s); return s }

// What is not ours in the folder stays, and no name of an owner leads out of it.
func TestForeign(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	h := put(t, s, "m", []byte("x"))
	note := filepath.Join(filepath.Dir(s.path(h)), "README")
	if err := os.WriteFile(note, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	if _, err := os.Stat(note); err != nil {
		t.Error(err)
	}
	for _, owner := range []string{"", ".", "..", "../x", "a/b", "/x", ".m"} {
		if _, err := s.Own(owner, h); err == nil {
			t.Errorf("%q owns a blob", owner)
		}
		if _, _, err := s.Drop(owner, h); err == nil {
			t.Errorf("%q drops a blob", owner)
		}
		if _, err := s.Used(owner); err == nil {
			t.Errorf("%q uses something", owner)
		}
	}
}

// A blob has at most MaxSize bytes, and one that is discarded leaves nothing.
func TestWriter(t *testing.T) {
	dir := t.TempDir()
	w, err := open(t, dir).Create()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(make([]byte, MaxSize)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte{0}); !errors.Is(err, errTooLarge) {
		t.Errorf("a byte too many: %v, want %v", err, errTooLarge)
	}
	w.Discard()
	w.Discard()
	if left := files(t, dir); len(left) > 0 {
		t.Errorf("left %q", left)
	}
}
