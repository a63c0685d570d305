package member

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"testing"
	"time"
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

// A crash while all is written anew leaves the old file, and what it leaves beside
// it is in nobody's way.
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
	w.must(b.disk.rewrite(&b.Roster().genesis, b.Roster().records))
	if _, err := os.Stat(f.file + ".tmp"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what the crash left is still there: %v", err)
	}
}

// A crash while a chunk is added leaves what was there before, whatever it leaves of
// the chunk; and the file goes on from there.
func TestFileTorn(t *testing.T) {
	w := newWorld(t)
	f := w.found()
	before, err := os.ReadFile(f.file)
	w.must(err)
	old := f.Roster().digest
	_, err = f.Invite(Reader, 1, time.Time{})
	w.must(err)
	after, err := os.ReadFile(f.file)
	w.must(err)
	if !bytes.HasPrefix(after, before) {
		t.Fatal("what was there was written again")
	}
	torn := [][]byte{append(bytes.Clone(before), make([]byte, 500)...)}
	for at := len(before) + 1; at < len(after); at += 5 {
		torn = append(torn, after[:at])
	}
	garbled := bytes.Clone(after)
	garbled[len(before)+chunkHead+9] ^= 1
	for _, data := range append(torn, garbled) {
		w.must(os.WriteFile(f.file, data, 0o600))
		o := Options{File: f.file, Key: f.key, Now: f.now}
		b, err := Open(o)
		if err != nil || b.Roster().digest != old {
			t.Fatalf("torn at %d of %d: %v, or another set", len(data)-len(before), len(after)-len(before), err)
		}
		_, err = b.Invite(Reader, 1, time.Time{})
		w.must(err)
		if again, err := Open(o); err != nil || again.Roster().digest != b.Roster().digest {
			t.Fatalf("after a chunk that was torn the file does not go on: %v", err)
		}
	}
}

// A record that comes costs about its own bytes on disk, not a copy of all others.
func TestFileGrowsByNews(t *testing.T) {
	w := newWorld(t)
	f := w.found()
	_, err := f.Merge(manyGrants(t, f, 3000))
	w.must(err)
	base, before := f.disk.base, f.disk.size
	for range 20 {
		_, err := f.Invite(Reader, 1, time.Time{})
		w.must(err)
	}
	if f.disk.base != base || f.disk.size-before > 20*400 {
		t.Errorf("20 invites wrote %d bytes, and a base of %d in place of %d; want less than 400 each", f.disk.size-before, f.disk.base, base)
	}
	// What is added does not pile up for ever either.
	for i := range 40 {
		_, err := f.Merge([]*Record{forge(t, f, ID{}, &Revocation{Subject: Key{200, byte(i)}, Logs: manyLimits(1000)})})
		w.must(err)
	}
	if f.disk.base == base {
		t.Errorf("the file grew to %d on a base of %d, and was not written anew", f.disk.size, base)
	}
	b, err := Open(Options{File: f.file, Key: f.key, Now: f.now})
	w.must(err)
	if b.Roster().sum() != f.Roster().sum() {
		t.Error("what was kept is not what was read")
	}
}

func manyGrants(t testing.TB, by *Book, n int) (list []*Record) {
	for i := range n {
		list = append(list, forge(t, by, ID{}, &Grant{Subject: Key{byte(i), byte(i >> 8), 1}, Role: Relay, Name: "device"}))
	}
	return list
}

func manyLimits(n int) (list []Limit) {
	for i := range n {
		list = append(list, Limit{Dataset: [16]byte{byte(i >> 8), byte(i)}, Seq: 1})
	}
	return list
}

// A write that fails changes nothing, neither on disk nor in memory.
func TestFileUnwritable(t *testing.T) {
	w := newWorld(t)
	f := w.found()
	w.must(os.Remove(f.file))
	w.must(os.Mkdir(f.file, 0o700))
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
	_, err := f.Invite(Reader, 1, time.Time{})
	w.must(err)
	last := f.disk.size // where the last chunk begins
	_, err = f.Invite(Reader, 1, time.Time{})
	w.must(err)
	good, err := os.ReadFile(f.file)
	w.must(err)
	_, records, _, _, err := decodeFile(good)
	w.must(err)
	for at := 0; at < len(good); at += 7 {
		bad := append([]byte(nil), good...)
		bad[at] ^= 0x10
		// Of the last chunk nobody can tell damage from a crash.
		if _, got, _, _, err := decodeFile(bad); at < last && !errors.Is(err, ErrDamaged) || at >= last && err == nil && len(got) >= len(records) {
			t.Errorf("a flipped bit at %d: %v, want ErrDamaged", at, err)
		}
		if _, _, _, _, err := decodeFile(good[:at]); at < f.disk.base && !errors.Is(err, ErrDamaged) {
			t.Errorf("cut off at %d: %v, want ErrDamaged", at, err)
		}
	}
	w.must(os.WriteFile(f.file, good[:100], 0o600))
	_, err = Open(Options{File: f.file, Key: f.key})
	checkError(t, err, f.file, "damaged", "join again")
}
