package blob

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Owners are the modules that have a mark on a blob.
func (s *Store) Owners() (names []string, err error) {
	all, err := s.owners()
	for _, owner := range all {
		if err == nil {
			some := false
			err = s.marks(owner, func(Hash) error { some = true; return nil })
			if some {
				names = append(names, owner)
			}
		}
	}
	if err != nil {
		return nil, fmt.Errorf("blob: list modules: %w", err)
	}
	return names, nil
}

// Purge takes all marks of a module back, which must not run, and removes the blobs that nobody else has one on.
func (s *Store) Purge(owner string) error {
	all, err := s.Owned(owner)
	if err != nil {
		return err
	}
	for _, h := range all {
		if _, _, err := s.Drop(owner, h); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := os.Remove(filepath.Join(s.dir, ownersDir, owner)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("blob: purge: %w", err)
	}
	return nil
}
