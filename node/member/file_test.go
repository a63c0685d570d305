package member

import (
	"errors"
	"io/fs"
	"os"
	"testing"
)

func TestFile(t *testing.T) {
	w := newWorld(t)
	f := w.found()
	w.join(f, Writer)
	o := Options{File: f.file, Key: f.key, Now: f.now}
	b, err := Open(o)
	w.must(err)
	if b.Roster().sum() != f.Roster().sum() {
		t.Error("what was kept is not what was read")
	}
	if _, _, ok := b.Ring().Current(); !ok {
		t.Error("the key is gone")
	}
	if _, err := Found("again", "x", o); err == nil {
		t.Error("a network was founded over another")
	}
	o.File += "-none"
	if _, err := Open(o); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v, want fs.ErrNotExist", err)
	}
	_, err = Found("a\x1b[2Jb", "x", o)
	checkError(t, err, "unprintable")
}

// A crash between the write and the rename leaves the old file, and what it
// leaves beside it is in nobody's way.
func TestFileCrash(t *testing.T) {
	w := newWorld(t)
	f := w.found()
	before, err := os.ReadFile(f.file)
	w.must(err)
	x := w.join(f, Writer)
	after, err := os.ReadFile(f.file)
	w.must(err)
	w.must(os.WriteFile(f.file, before, 0o600))
	w.must(os.WriteFile(f.file+".tmp", after[:len(after)/2], 0o600))
	o := Options{File: f.file, Key: f.key, Now: f.now}
	b, err := Open(o)
	w.must(err)
	w.wantMember(b, x.Self(), ErrNotMember)
	w.tell(x, b)
	b, err = Open(o)
	w.must(err)
	w.wantMember(b, x.Self(), nil)
	if _, err := os.Stat(f.file + ".tmp"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what the crash left is still there: %v", err)
	}
}

// A write that fails changes nothing, neither on disk nor in memory.
func TestFileUnwritable(t *testing.T) {
	w := newWorld(t)
	f := w.found()
	w.must(os.Mkdir(f.file+".tmp", 0o700))
	before := f.Roster().sum()
	if _, err := f.Invite(Reader, 1, noon.AddDate(1, 0, 0)); err == nil {
		t.Fatal("an invite was made that is not on disk")
	}
	if f.Roster().sum() != before {
		t.Error("what is not on disk is in memory")
	}
}

func TestFileDamaged(t *testing.T) {
	w := newWorld(t)
	f := w.found()
	good, err := os.ReadFile(f.file)
	w.must(err)
	for at := 0; at < len(good); at += 7 {
		bad := append([]byte(nil), good...)
		bad[at] ^= 0x10
		if _, _, err := decodeFile(bad); !errors.Is(err, ErrDamaged) {
			t.Errorf("a flipped bit at %d: %v, want ErrDamaged", at, err)
		}
		if _, _, err := decodeFile(good[:at]); !errors.Is(err, ErrDamaged) {
			t.Errorf("cut off at %d: %v, want ErrDamaged", at, err)
		}
	}
	w.must(os.WriteFile(f.file, good[:100], 0o600))
	_, err = Open(Options{File: f.file, Key: f.key})
	checkError(t, err, f.file, "damaged", "join again")
}
