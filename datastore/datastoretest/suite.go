package datastoretest

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/numax-mesh/numax/datastore"
)

// Subject is an implementation to test.
type Subject struct {
	// Open opens the same store each time, and a new one for each Subject.
	Open func() (*datastore.Store, error)
	// Volatile marks a store that forgets its rows when it is closed.
	Volatile bool
}

// Run holds the implementation that makes subjects to the laws of a Store.
func Run(t *testing.T, make func(t *testing.T) Subject) {
	laws := []struct {
		name string
		law  func(*testing.T, Subject)
	}{
		{"rows", rows},
		{"model", model},
		{"views are pinned", views},
		{"batches are whole", atomic},
		{"stops", stops},
		{"edges of prefixes", prefixes},
		{"closed", closed},
	}
	for _, l := range laws {
		t.Run(l.name, func(t *testing.T) { l.law(t, make(t)) })
	}
}

func open(t testing.TB, s Subject) *datastore.Store {
	t.Helper()
	st, err := s.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Crash() })
	return st
}

// Put writes pairs key, value, key, value … in one batch.
func Put(t testing.TB, s *datastore.Store, pairs ...string) {
	t.Helper()
	var b datastore.Batch
	for i := 0; i < len(pairs); i += 2 {
		b.Put([]byte(pairs[i]), []byte(pairs[i+1]))
	}
	if err := s.Write(&b); err != nil {
		t.Fatal(err)
	}
}

// Rows reads the rows of [start, limit) as "key=value".
func Rows(t testing.TB, r datastore.Reader, start, limit []byte) (rows []string) {
	t.Helper()
	err := r.Scan(start, limit, func(k, v []byte) bool {
		if !bytes.HasPrefix(k, []byte("!")) {
			rows = append(rows, string(k)+"="+string(v))
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func equal(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func rows(t *testing.T, s Subject) {
	st := open(t, s)
	if _, err := st.Get([]byte("a")); !errors.Is(err, datastore.ErrNotFound) {
		t.Errorf("Get of no row: %v, want ErrNotFound", err)
	}
	Put(t, st, "b", "2", "a", "1", "c", "")
	equal(t, Rows(t, st, nil, nil), "a=1", "b=2", "c=")
	equal(t, Rows(t, st, []byte("b"), []byte("c")), "b=2")
	v, err := st.Get([]byte("a"))
	if err != nil {
		t.Fatal(err)
	}
	v[0] = 'x' // a copy
	equal(t, Rows(t, st, []byte("a"), []byte("b")), "a=1")

	var b datastore.Batch
	key := []byte("d")
	b.Put(key, []byte("first"))
	b.Delete([]byte("a"))
	b.Put(key, []byte("last"))
	key[0] = 'z' // copied by Put
	if b.Len() != 3 || b.Size() == 0 {
		t.Errorf("batch of %d writes and %d bytes", b.Len(), b.Size())
	}
	if err := st.Write(&b); err != nil {
		t.Fatal(err)
	}
	equal(t, Rows(t, st, nil, nil), "b=2", "c=", "d=last")
	b.Reset()
	if b.Len() != 0 || b.Size() != 0 {
		t.Error("Reset left something")
	}
	n := 0
	_ = st.Scan(nil, nil, func(_, _ []byte) bool { n++; return false })
	if n != 1 {
		t.Errorf("a scan went on after false: %d rows", n)
	}
}

// model compares the store with a map under random batches and restarts.
func model(t *testing.T, s Subject) {
	st := open(t, s)
	want := map[string]string{}
	letters := rapid.SliceOfN(rapid.ByteRange('a', 'c'), 1, 3)
	rapid.Check(t, func(t *rapid.T) {
		var b datastore.Batch
		for range rapid.IntRange(1, 20).Draw(t, "writes") {
			k := string(letters.Draw(t, "key"))
			if rapid.Bool().Draw(t, "delete") {
				b.Delete([]byte(k))
				delete(want, k)
				continue
			}
			v := rapid.StringN(0, 40, 40).Draw(t, "value")
			b.Put([]byte(k), []byte(v))
			want[k] = v
		}
		if err := st.Write(&b); err != nil {
			t.Fatal(err)
		}
		if !s.Volatile && rapid.IntRange(0, 30).Draw(t, "reopen") == 30 {
			if err := st.Reopen(); err != nil {
				t.Fatal(err)
			}
		}
		start, limit := letters.Draw(t, "start"), letters.Draw(t, "limit")
		var list []string
		for _, k := range slices.Sorted(maps.Keys(want)) {
			if k >= string(start) && k < string(limit) {
				list = append(list, k+"="+want[k])
			}
		}
		var got []string
		if err := st.Scan(start, limit, func(k, v []byte) bool {
			got = append(got, string(k)+"="+string(v))
			return true
		}); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, list) {
			t.Fatalf("[%q, %q): got %q, want %q", start, limit, got, list)
		}
	})
}

func views(t *testing.T, s Subject) {
	st := open(t, s)
	Put(t, st, "a", "1", "b", "1")
	v, err := st.View()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	var b datastore.Batch
	b.Delete([]byte("a"))
	b.Put([]byte("b"), []byte("2"))
	if err := st.Write(&b); err != nil {
		t.Fatal(err)
	}
	equal(t, Rows(t, v, nil, nil), "a=1", "b=1")
	equal(t, Rows(t, st, nil, nil), "b=2")
	if got, err := v.Get([]byte("a")); err != nil || string(got) != "1" {
		t.Errorf("a pinned row: %q, %v", got, err)
	}
	// A scan of the store is pinned too.
	seen := 0
	if err := st.Scan(nil, nil, func(k, _ []byte) bool {
		if seen == 0 {
			Put(t, st, "y", "new")
		}
		if string(k) == "y" {
			t.Error("a scan shows a row written after it began")
		}
		seen++
		return true
	}); err != nil {
		t.Fatal(err)
	}
}

// atomic reads while batches are written: all rows of a batch change at once.
func atomic(t *testing.T, s Subject) {
	st := open(t, s)
	const width = 8
	write := func(n int) error {
		var b datastore.Batch
		for i := range width {
			b.Put([]byte{'k', byte(i)}, fmt.Append(nil, n))
		}
		return st.Write(&b)
	}
	if err := write(0); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		var err error
		for n := 1; n <= 200 && err == nil; n++ {
			err = write(n)
		}
		done <- err
	}()
	for {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			return
		default:
		}
		values := map[string]bool{}
		n := 0
		if err := datastore.ScanPrefix(st, []byte("k"), func(_, v []byte) bool {
			values[string(v)] = true
			n++
			return true
		}); err != nil {
			t.Fatal(err)
		}
		if n != width || len(values) != 1 {
			t.Fatalf("a scan saw parts of batches: %d rows, values %v", n, values)
		}
	}
}

func stops(t *testing.T, s Subject) {
	st := open(t, s)
	if !st.WasClean() {
		t.Error("a new store counts as unclean")
	}
	Put(t, st, "a", "1")
	if s.Volatile {
		return
	}
	for _, c := range []struct {
		stop  func() error
		clean bool
	}{{st.Close, true}, {nil, true}, {nil, false}, {nil, false}, {nil, true}} {
		stop := c.stop
		if stop == nil {
			if stop = st.Crash; c.clean {
				stop = st.Close
			}
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		st = open(t, s)
		if st.WasClean() != c.clean {
			t.Errorf("WasClean after a stop: %v, want %v", st.WasClean(), c.clean)
		}
		equal(t, Rows(t, st, nil, nil), "a=1")
	}
}

func prefixes(t *testing.T, s Subject) {
	st := open(t, s)
	Put(t, st, "a", "", "a\x00", "", "a\xff", "", "a\xff\xff", "", "b", "", "\xff", "", "\xff\xff", "", "\xff\xff\x00", "")
	for prefix, want := range map[string][]string{
		"a":            {"a=", "a\x00=", "a\xff=", "a\xff\xff="},
		"a\xff":        {"a\xff=", "a\xff\xff="},
		"b":            {"b="},
		"c":            nil,
		"\xff":         {"\xff=", "\xff\xff=", "\xff\xff\x00="},
		"\xff\xff":     {"\xff\xff=", "\xff\xff\x00="},
		"\xff\xff\xff": nil,
	} {
		var got []string
		if err := datastore.ScanPrefix(st, []byte(prefix), func(k, v []byte) bool {
			got = append(got, string(k)+"=")
			return true
		}); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, want) {
			t.Errorf("prefix %q: got %q, want %q", prefix, got, want)
		}
	}
}

func closed(t *testing.T, s Subject) {
	st := open(t, s)
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	var b datastore.Batch
	b.Put([]byte("a"), nil)
	_, viewErr := st.View()
	_, getErr := st.Get([]byte("a"))
	for what, err := range map[string]error{
		"get": getErr, "view": viewErr, "write": st.Write(&b), "close": st.Close(),
		"scan": st.Scan(nil, nil, func(_, _ []byte) bool { return true }),
	} {
		if !errors.Is(err, datastore.ErrClosed) {
			t.Errorf("%s on a closed store: %v, want ErrClosed", what, err)
		}
	}
}
