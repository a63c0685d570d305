package datastore_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/syndtr/goleveldb/leveldb"

	"github.com/numax-mesh/numax/datastore"
	"github.com/numax-mesh/numax/datastore/datastoretest"
)

func TestStore(t *testing.T) {
	t.Run("directory", func(t *testing.T) {
		datastoretest.Run(t, func(t *testing.T) datastoretest.Subject {
			dir := filepath.Join(t.TempDir(), "new", "dir")
			return datastoretest.Subject{Open: func() (*datastore.Store, error) { return datastore.Open(dir, datastore.Options{}) }}
		})
	})
	t.Run("memory", func(t *testing.T) {
		datastoretest.Run(t, func(t *testing.T) datastoretest.Subject {
			return datastoretest.Subject{
				Open:     func() (*datastore.Store, error) { return datastore.Open("", datastore.Options{}) },
				Volatile: true,
			}
		})
	})
	t.Run("faulty disk", func(t *testing.T) {
		datastoretest.Run(t, func(t *testing.T) datastoretest.Subject {
			disk := datastoretest.NewDisk()
			return datastoretest.Subject{Open: func() (*datastore.Store, error) {
				return datastore.Open("", datastore.Options{Storage: disk})
			}}
		})
	})
}

func mustOpen(t *testing.T, dir string, o datastore.Options) *datastore.Store {
	t.Helper()
	s, err := datastore.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Crash() })
	return s
}

// Whatever fails and whenever: after Reopen, the same batch again, and all
// that was acknowledged is there.
func TestWriteAgainAfterAFault(t *testing.T) {
	for _, fault := range []datastoretest.Fault{datastoretest.FailWrite, datastoretest.FailShort, datastoretest.FailSync} {
		for after := range 12 {
			t.Run(fmt.Sprintf("%d after %d", fault, after), func(t *testing.T) {
				disk := datastoretest.NewDisk()
				s := mustOpen(t, "", datastore.Options{Storage: disk})
				disk.Fail(fault, after)
				for n := range 10 {
					var b datastore.Batch
					b.Put(fmt.Appendf(nil, "k%d", n), []byte("v"))
					b.Put([]byte("last"), fmt.Append(nil, n))
					if err := s.Write(&b); err == nil {
						continue
					}
					if err := s.Write(&b); err == nil {
						t.Fatal("a write was taken after a failed one")
					}
					// While the fault lasts, rows are still read.
					_ = s.Reopen()
					if n > 0 {
						if got, err := s.Get([]byte("k0")); err != nil || string(got) != "v" {
							t.Errorf("reading on a disk that takes no writes: %q, %v", got, err)
						}
					}
					disk.Fail(datastoretest.NoFault, 0)
					if err := s.Reopen(); err != nil {
						t.Fatal(err)
					}
					if err := s.Write(&b); err != nil {
						t.Fatal(err)
					}
				}
				if after < 8 && disk.Hits() == 0 {
					t.Fatal("the fault was never met")
				}
				if err := s.Crash(); err != nil {
					t.Fatal(err)
				}
				s = mustOpen(t, "", datastore.Options{Storage: disk})
				rows := datastoretest.Rows(t, s, []byte("k"), nil)
				if len(rows) != 11 || rows[10] != "last=9" {
					t.Errorf("rows after the fault: %q", rows)
				}
			})
		}
	}
}

// A journal cut anywhere gives a prefix of the batches, each whole.
func TestCrashInABatch(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, datastore.Options{})
	const batches, width = 12, 5
	for n := range batches {
		var b datastore.Batch
		for i := range width {
			b.Put(fmt.Appendf(nil, "b%02d.%d", n, i), []byte(strings.Repeat("x", 40*n)))
		}
		if err := s.Write(&b); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Crash(); err != nil {
		t.Fatal(err)
	}
	logs, _ := filepath.Glob(filepath.Join(dir, "*.log"))
	if len(logs) != 1 {
		t.Fatalf("journals: %v, want one", logs)
	}
	journal, err := os.ReadFile(logs[0])
	if err != nil {
		t.Fatal(err)
	}
	last := 0
	for cut := 0; cut <= len(journal); cut += 1 + len(journal)/150 {
		copied := t.TempDir()
		if err := os.CopyFS(filepath.Join(copied, "d"), os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(filepath.Join(copied, "d", filepath.Base(logs[0])), int64(cut)); err != nil {
			t.Fatal(err)
		}
		s, err := datastore.Open(filepath.Join(copied, "d"), datastore.Options{})
		if err != nil {
			t.Fatalf("cut at %d of %d: %v", cut, len(journal), err)
		}
		rows := datastoretest.Rows(t, s, []byte("b"), []byte("c"))
		if len(rows)%width != 0 || len(rows) < last {
			t.Errorf("cut at %d of %d: %d rows after %d, want whole batches, never fewer", cut, len(journal), len(rows), last)
		}
		for i, row := range rows {
			if want := fmt.Sprintf("b%02d.%d=", i/width, i%width); !strings.HasPrefix(row, want) {
				t.Errorf("cut at %d: row %d is %.10q, want %q", cut, i, row, want)
			}
		}
		last = len(rows)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if last < (batches-1)*width {
		t.Errorf("%d rows with the journal nearly whole", last)
	}
}

func TestLocked(t *testing.T) {
	dir := t.TempDir()
	first := mustOpen(t, dir, datastore.Options{})
	if _, err := datastore.Open(dir, datastore.Options{}); !errors.Is(err, datastore.ErrLocked) {
		t.Errorf("a second Open: %v, want ErrLocked", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	mustOpen(t, dir, datastore.Options{})
}

func TestRefused(t *testing.T) {
	// each makes a directory what Open must refuse.
	magic := func(value string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			s := mustOpen(t, dir, datastore.Options{})
			datastoretest.Put(t, s, "!magic", value)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	damage := func(pattern string, harm func(path string) error) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			for range 2 { // twice, so that there is a table
				s := mustOpen(t, dir, datastore.Options{})
				datastoretest.Put(t, s, "a", strings.Repeat("1", 5000))
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			}
			files, _ := filepath.Glob(filepath.Join(dir, pattern))
			if len(files) == 0 {
				t.Fatalf("no %s", pattern)
			}
			for _, f := range files {
				if err := harm(f); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	garbage := func(path string) error {
		return os.WriteFile(path, []byte(strings.Repeat("garbage\n", 100)), 0o600)
	}
	for _, c := range []struct {
		name string
		make func(*testing.T, string)
		want error
	}{
		{"newer schema", magic("numax\x02"), datastore.ErrNewer},
		{"other magic", magic("other\x01"), datastore.ErrNotNumax},
		{"empty magic", magic(""), datastore.ErrNotNumax},
		{"another LevelDB", func(t *testing.T, dir string) {
			db, err := leveldb.OpenFile(dir, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(db.Put([]byte("k"), nil, nil), db.Close()); err != nil {
				t.Fatal(err)
			}
		}, datastore.ErrNotNumax},
		{"garbage manifest", damage("MANIFEST-*", garbage), datastore.ErrDamaged},
		{"empty manifest", damage("MANIFEST-*", func(p string) error { return os.Truncate(p, 0) }), datastore.ErrDamaged},
		{"lost manifest", damage("MANIFEST-*", os.Remove), datastore.ErrDamaged},
		{"garbage CURRENT", damage("CURRENT*", garbage), datastore.ErrDamaged},
		{"empty CURRENT", damage("CURRENT*", func(p string) error { return os.Truncate(p, 0) }), datastore.ErrDamaged},
		{"lost CURRENT", damage("CURRENT*", os.Remove), datastore.ErrDamaged},
		{"lost tables", damage("*.ldb", os.Remove), datastore.ErrDamaged},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			c.make(t, dir)
			s, err := datastore.Open(dir, datastore.Options{})
			if !errors.Is(err, c.want) {
				t.Errorf("Open: %v, want %v", err, c.want)
			}
			if err == nil {
				t.Logf("rows: %.20q", datastoretest.Rows(t, s, nil, nil))
				_ = s.Crash()
			}
		})
	}
}

func TestReadOnlyDirectory(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may write everywhere")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	if _, err := datastore.Open(dir, datastore.Options{}); !errors.Is(err, os.ErrPermission) {
		t.Errorf("Open: %v, want a permission error", err)
	}
}
