package blob

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/zeebo/blake3"
)

// Writer makes a blob. It is for one goroutine, and ends with Keep or Discard.
type Writer struct {
	s    *Store
	f    *os.File
	hash *blake3.Hasher
	size int64
}

// errTooLarge is of blobs that would be over MaxSize.
var errTooLarge = fmt.Errorf("blob: over %d MiB", MaxSize>>20)

// Create begins a blob.
func (s *Store) Create() (*Writer, error) {
	f, err := os.CreateTemp(filepath.Join(s.dir, tempDir), "")
	if err != nil {
		return nil, fmt.Errorf("blob: create: %w", err)
	}
	return &Writer{s: s, f: f, hash: blake3.New()}, nil
}

// Write appends to the blob. After an error it can only be discarded.
func (w *Writer) Write(p []byte) (int, error) {
	if w.size+int64(len(p)) > MaxSize {
		return 0, errTooLarge
	}
	n, err := w.f.Write(p)
	_, _ = w.hash.Write(p[:n])
	w.size += int64(n)
	if err != nil {
		err = fmt.Errorf("blob: write: %w", err)
	}
	return n, err
}

// Size is how many bytes were written.
func (w *Writer) Size() int64 { return w.size }

// Sum is the hash of what was written.
func (w *Writer) Sum() (h Hash) {
	w.hash.Sum(h[:0])
	return h
}

// Keep puts the blob in the store with the mark of a module, on disk when it returns; news is false if the module had
// that blob. On an error nothing is kept.
func (w *Writer) Keep(owner string) (news bool, err error) {
	h, s, tmp := w.Sum(), w.s, w.f.Name()
	err = errors.Join(w.f.Sync(), w.f.Close())
	w.f = nil
	defer os.Remove(tmp) // fails once it is renamed
	if err != nil {
		return false, fmt.Errorf("blob: keep: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.Has(h) {
		path := s.path(h)
		if err = makeDir(filepath.Dir(path)); err == nil {
			err = os.Rename(tmp, path)
		}
		if err == nil {
			err = syncDir(filepath.Dir(path))
		}
		if err != nil {
			return false, fmt.Errorf("blob: keep: %w", err)
		}
	}
	if news, err = s.own(owner, h); err != nil && !s.owned(h) {
		_ = os.Remove(s.path(h))
	}
	return news, err
}

// Discard ends a blob that is not wanted. After Keep it does nothing.
func (w *Writer) Discard() {
	if w.f != nil {
		_ = w.f.Close()
		_ = os.Remove(w.f.Name())
		w.f = nil
	}
}
