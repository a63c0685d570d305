package blob

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
)

// Hash is the BLAKE3 hash of a blob's bytes, and its name.
type Hash [32]byte

func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MaxSize is the most a blob may have.
const MaxSize = 64 << 20

// ErrAbsent means that a blob is not in the store.
var ErrAbsent = errors.New("blob: not in the store")

// Store is a folder of blobs:
//
//	ab/ab12…            a blob, named by its hash in hex; its first byte is the folder
//	owners/MODULE/ab12… the mark of a module: an empty file
//	tmp/…               a blob that is being made
//
// A blob is there before its first mark and goes after its last. So a crash between two steps leaves a blob without a
// mark, which the next Open removes, or the other way round nothing. One process at a time may have a store open; its
// methods may be called concurrently.
type Store struct {
	dir string
	// mu orders what changes the folder. It is held over the disk: whoever adds a mark must know that the blob stays.
	mu sync.Mutex
}

const (
	ownersDir = "owners"
	tempDir   = "tmp"
)

// Open opens a store, which it makes if there is none, and removes what a crash left of it.
func Open(dir string) (*Store, error) {
	s := &Store{dir: dir}
	err := os.RemoveAll(filepath.Join(dir, tempDir))
	if err == nil {
		err = os.MkdirAll(filepath.Join(dir, tempDir), 0o700)
	}
	if err == nil {
		err = os.MkdirAll(filepath.Join(dir, ownersDir), 0o700)
	}
	if err == nil {
		err = s.collect()
	}
	if err != nil {
		return nil, fmt.Errorf("blob: open %s: %w: make it writable for this user", dir, err)
	}
	return s, nil
}

// collect removes blobs without a mark, and marks without a blob. Files of other names are not ours.
func (s *Store) collect() error {
	owned := make(map[Hash]bool)
	owners, err := s.owners()
	if err != nil {
		return err
	}
	for _, owner := range owners {
		err := s.marks(owner, func(h Hash) error {
			owned[h] = true
			if _, err := os.Stat(s.path(h)); errors.Is(err, fs.ErrNotExist) {
				return os.Remove(s.mark(owner, h))
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	folders, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	for _, folder := range folders {
		if b, err := hex.DecodeString(folder.Name()); err != nil || len(b) != 1 {
			continue
		}
		err := eachHash(filepath.Join(s.dir, folder.Name()), func(h Hash) error {
			if owned[h] {
				return nil
			}
			return os.Remove(s.path(h))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) path(h Hash) string {
	name := h.String()
	return filepath.Join(s.dir, name[:2], name)
}

func (s *Store) mark(owner string, h Hash) string {
	return filepath.Join(s.dir, ownersDir, owner, h.String())
}

func (s *Store) owners() (names []string, err error) {
	entries, err := os.ReadDir(filepath.Join(s.dir, ownersDir))
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, err
}

// marks visits those of an owner.
func (s *Store) marks(owner string, visit func(Hash) error) error {
	return eachHash(filepath.Join(s.dir, ownersDir, owner), visit)
}

// eachHash visits the hashes that files of a folder are named by.
func eachHash(dir string, visit func(Hash) error) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if b, bad := hex.DecodeString(e.Name()); bad == nil && len(b) == len(Hash{}) && err == nil {
			err = visit(Hash(b))
		}
	}
	return err
}

// Has says whether a blob is here.
func (s *Store) Has(h Hash) bool {
	_, err := os.Stat(s.path(h))
	return err == nil
}

// Get opens a blob; the caller closes it, and may read it to the end though it is dropped meanwhile.
func (s *Store) Get(h Hash) (f *os.File, size int64, err error) {
	f, err = os.Open(s.path(h))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, ErrAbsent
	}
	if err != nil {
		return nil, 0, fmt.Errorf("blob: read: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(fmt.Errorf("blob: read: %w", err), f.Close())
	}
	return f, info.Size(), nil
}

// Owned are the blobs that a module has a mark on.
func (s *Store) Owned(owner string) (all []Hash, err error) {
	if err = checkOwner(owner); err == nil {
		err = s.marks(owner, func(h Hash) error { all = append(all, h); return nil })
	}
	if err != nil {
		return nil, fmt.Errorf("blob: list what %s has: %w", owner, err)
	}
	return all, nil
}

// Used is what the blobs of a module take; see Cost.
func (s *Store) Used(owner string) (total int64, err error) {
	if err = checkOwner(owner); err == nil {
		err = s.marks(owner, func(h Hash) error {
			info, err := os.Stat(s.path(h))
			if err == nil {
				total += Cost(info.Size())
			} else if errors.Is(err, fs.ErrNotExist) {
				err = nil
			}
			return err
		})
	}
	if err != nil {
		return 0, fmt.Errorf("blob: count what %s has: %w", owner, err)
	}
	return total, nil
}

// overhead is what a file takes beside its bytes, or one of nothing but tiny blobs would fill the disk's tables.
const overhead = 4 << 10

// Cost is what a blob of a size takes of its module's storage.
func Cost(size int64) int64 { return size + overhead }

// Owns says whether a module has a mark on a blob.
func (s *Store) Owns(owner string, h Hash) bool {
	_, err := os.Stat(s.mark(owner, h))
	return err == nil
}

// Own puts a module's mark on a blob that is here; news is false if it was there. The error may be ErrAbsent.
func (s *Store) Own(owner string, h Hash) (news bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.Has(h) {
		return false, ErrAbsent
	}
	return s.own(owner, h)
}

// own puts a mark. mu is held.
func (s *Store) own(owner string, h Hash) (news bool, err error) {
	if err := checkOwner(owner); err != nil {
		return false, err
	}
	path := s.mark(owner, h)
	if _, err := os.Stat(path); err == nil {
		return false, nil
	}
	if err = makeDir(filepath.Dir(path)); err == nil {
		err = os.WriteFile(path, nil, 0o600)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return false, fmt.Errorf("blob: mark: %w", err)
	}
	return true, nil
}

// Drop takes a module's mark back, and removes the blob if nobody else has one. had says whether there was a mark, and
// size is the blob's.
func (s *Store) Drop(owner string, h Hash) (size int64, had bool, err error) {
	if err := checkOwner(owner); err != nil {
		return 0, false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if info, err := os.Stat(s.path(h)); err == nil {
		size = info.Size()
	}
	mark := s.mark(owner, h)
	switch err := os.Remove(mark); {
	case errors.Is(err, fs.ErrNotExist):
		return 0, false, nil
	case err != nil:
		return 0, false, fmt.Errorf("blob: drop: %w", err)
	}
	err = syncDir(filepath.Dir(mark))
	if err == nil && !s.owned(h) {
		// Where a file that is being read cannot be removed, the next Open does it.
		_ = os.Remove(s.path(h))
	}
	if err != nil {
		err = fmt.Errorf("blob: drop: %w", err)
	}
	return size, true, err
}

// owned says whether anybody has a mark, or may have. mu is held.
func (s *Store) owned(h Hash) bool {
	owners, err := s.owners()
	for _, owner := range owners {
		if s.Owns(owner, h) {
			return true
		}
	}
	return err != nil
}

// checkOwner refuses what would be another place than a folder of its own.
func checkOwner(name string) error {
	if name == "" || name[0] == '.' || !filepath.IsLocal(name) || name != filepath.Base(name) {
		return fmt.Errorf("blob: %q is no name of a module", name)
	}
	return nil
}

// makeDir makes a folder that is there for good.
func makeDir(dir string) error {
	err := os.Mkdir(dir, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err == nil {
		err = syncDir(filepath.Dir(dir))
	}
	return err
}

func syncDir(name string) error {
	if runtime.GOOS == "windows" { // directories are not synced there
		return nil
	}
	dir, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
