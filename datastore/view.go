package datastore

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/util"
)

// Reader is a consistent source of rows: the Store now, or a View.
type Reader interface {
	// Get returns a copy of a row's value, or ErrNotFound.
	Get(key []byte) ([]byte, error)
	// Scan calls visit for the rows in [start, limit) in key order until visit
	// returns false; a nil limit means the end. The slices are valid during
	// the call.
	Scan(start, limit []byte, visit func(key, value []byte) bool) error
}

// View is a pinned, read-only state of the store.
type View struct{ snap *leveldb.Snapshot }

// Get implements Reader.
func (v *View) Get(key []byte) ([]byte, error) { return get(v.snap, key) }

// Scan implements Reader.
func (v *View) Scan(start, limit []byte, visit func(key, value []byte) bool) error {
	return scan(v.snap, start, limit, visit)
}

// Close lets the pinned rows go.
func (v *View) Close() { v.snap.Release() }

// View pins the rows as they are now. Close it soon: it keeps deleted rows on
// disk.
func (s *Store) View() (*View, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.db == nil {
		return nil, ErrClosed
	}
	snap, err := s.db.GetSnapshot()
	if err != nil {
		return nil, fmt.Errorf("datastore: view: %w", err)
	}
	return &View{snap: snap}, nil
}

func get(r leveldb.Reader, key []byte) ([]byte, error) {
	v, err := r.Get(key, nil)
	if errors.Is(err, leveldb.ErrNotFound) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("datastore: get: %w", err)
	}
	return v, nil
}

func scan(r leveldb.Reader, start, limit []byte, visit func(key, value []byte) bool) error {
	it := r.NewIterator(&util.Range{Start: start, Limit: limit}, nil)
	defer it.Release()
	for it.Next() {
		if !visit(it.Key(), it.Value()) {
			break
		}
	}
	if err := it.Error(); err != nil {
		return fmt.Errorf("datastore: scan: %w", err)
	}
	return nil
}

// ScanPrefix scans the rows whose key begins with prefix.
func ScanPrefix(r Reader, prefix []byte, visit func(key, value []byte) bool) error {
	return r.Scan(prefix, After(prefix), visit)
}

// After is the least key above every key with the prefix; nil if there is none.
func After(prefix []byte) []byte {
	end := bytes.Clone(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}
