package datastore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	ds "github.com/ipfs/go-datastore"
	dsleveldb "github.com/ipfs/go-ds-leveldb"
	"github.com/syndtr/goleveldb/leveldb"
	ldberrors "github.com/syndtr/goleveldb/leveldb/errors"
	"github.com/syndtr/goleveldb/leveldb/filter"
	"github.com/syndtr/goleveldb/leveldb/opt"
	"github.com/syndtr/goleveldb/leveldb/storage"
)

// SchemaVersion is the version of the key layout that this build reads and
// writes.
const SchemaVersion = 1

// Sizes of LevelDB's parts. A larger write buffer and a bloom filter are worth
// a factor of three on 1 KiB values; the block cache is filled only as needed.
const (
	writeBuffer  = 8 << 20
	blockCache   = 16 << 20
	openFiles    = 128
	bloomBits    = 10
	magicPayload = "numax"
)

// Errors that callers tell apart.
var (
	ErrNotFound    = errors.New("datastore: not found")
	ErrLocked      = errors.New("in use by another process")
	ErrNewer       = errors.New("written by a newer numax-node")
	ErrNotNumax    = errors.New("not a numax datastore")
	ErrDamaged     = errors.New("damaged")
	ErrDiskFull    = errors.New("disk full")
	ErrClosed      = errors.New("datastore: closed")
	errNeedsReopen = errors.New("datastore: write: an earlier write failed; reopen first")
	keyMagic       = []byte("!magic")
	keyClean       = []byte("!clean")
	syncedWrites   = &opt.WriteOptions{Sync: true}
)

// Options of Open.
type Options struct {
	// Storage replaces the directory as LevelDB's files, for tests that inject
	// faults. The go-datastore view is then not available.
	Storage storage.Storage
}

// Store is an open datastore. Its methods may be called concurrently.
type Store struct {
	dir string // "" = in memory
	opt Options

	// mu guards the handles: Reopen and Close take it whole, everything else
	// shares it. LevelDB does its own locking below it.
	mu    sync.RWMutex
	db    *leveldb.DB
	view  *dsleveldb.Datastore // nil with Options.Storage
	clean bool
	done  bool // closed for good

	// failed is set by a failed Write until Reopen. LevelDB itself would take
	// the next batch after a failed fsync, under a number it used already.
	failed atomic.Bool

	compact chan struct{} // capacity 1: held by a compaction
}

// Open opens or creates the store in dir; "" keeps it in memory.
// The errors ErrLocked, ErrNewer, ErrNotNumax, ErrDamaged and ErrDiskFull can
// be told apart with errors.Is; their text says what to do.
func Open(dir string, o Options) (*Store, error) {
	s := &Store{dir: dir, opt: o, compact: make(chan struct{}, 1)}
	if dir != "" {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("datastore: create %s: %w", dir, explain(dir, err))
		}
	}
	if err := s.open(); err != nil {
		return nil, fmt.Errorf("datastore: open %s: %w", s.name(), explain(dir, err))
	}
	if err := s.checkMagic(); err != nil {
		_ = s.closeDB()
		return nil, fmt.Errorf("datastore: open %s: %w", s.name(), explain(dir, err))
	}
	return s, nil
}

func (s *Store) name() string {
	if s.dir == "" {
		return "(memory)"
	}
	return s.dir
}

func levelOptions() opt.Options {
	return opt.Options{
		Filter:                 filter.NewBloomFilter(bloomBits),
		BlockCacheCapacity:     blockCache,
		WriteBuffer:            writeBuffer,
		OpenFilesCacheCapacity: openFiles,
		// One batch of ours may exceed the write buffer; going through a
		// transaction would stop every other writer.
		DisableLargeBatchTransaction: true,
	}
}

func (s *Store) open() error {
	o := levelOptions()
	if s.opt.Storage != nil {
		db, err := leveldb.Open(s.opt.Storage, &o)
		s.db = db
		return err
	}
	if err := s.probe(); err != nil {
		return err
	}
	view, err := dsleveldb.NewDatastore(s.dir, (*dsleveldb.Options)(&o))
	if err != nil {
		return err
	}
	s.db, s.view = view.DB, view
	return s.syncManifest()
}

// syncManifest puts the manifest on disk. LevelDB points CURRENT to a new one
// and removes the old before it has synced the new: a power cut soon after
// would leave a store that nobody can open.
func (s *Store) syncManifest() error {
	if s.dir == "" {
		return nil
	}
	name, err := os.ReadFile(filepath.Join(s.dir, "CURRENT"))
	if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(s.dir, strings.TrimSpace(string(name))), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close(), syncDir(s.dir))
}

// probe opens an existing store without go-ds-leveldb first, which answers a
// corrupted manifest or a missing table with a silent recovery that drops rows.
// A read-only open would not notice a missing table. It also replays the
// journal, so the second open is quick.
func (s *Store) probe() error {
	if s.dir == "" {
		return nil
	}
	if _, err := os.Stat(filepath.Join(s.dir, "CURRENT")); errors.Is(err, fs.ErrNotExist) {
		return s.probeLost()
	}
	o := levelOptions()
	db, err := leveldb.OpenFile(s.dir, &o)
	if err != nil {
		return err
	}
	return db.Close()
}

// probeLost refuses a directory whose CURRENT file is gone while its tables are
// still there: LevelDB would begin a new, empty database over them.
func (s *Store) probeLost() error {
	files, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if ext := filepath.Ext(f.Name()); ext == ".ldb" || ext == ".sst" || strings.HasPrefix(f.Name(), "MANIFEST-") {
			return fmt.Errorf("%w: the file CURRENT is missing", ErrDamaged)
		}
	}
	return nil
}

func (s *Store) checkMagic() error {
	got, err := s.Get(keyMagic)
	if errors.Is(err, ErrNotFound) {
		empty := true
		if err := s.Scan(nil, nil, func(_, _ []byte) bool { empty = false; return false }); err != nil {
			return err
		}
		if !empty {
			return ErrNotNumax
		}
		var b Batch
		b.Put(keyMagic, append([]byte(magicPayload), SchemaVersion))
		s.clean = true
		return s.Write(&b)
	}
	if err != nil {
		return err
	}
	if len(got) != len(magicPayload)+1 || string(got[:len(magicPayload)]) != magicPayload {
		return ErrNotNumax
	}
	if v := got[len(magicPayload)]; v > SchemaVersion {
		return fmt.Errorf("%w (schema %d, this build reads up to %d)", ErrNewer, v, SchemaVersion)
	}
	switch _, err := s.Get(keyClean); {
	case err == nil:
		s.clean = true
		var b Batch
		b.Delete(keyClean)
		return s.Write(&b)
	case errors.Is(err, ErrNotFound):
		return nil
	default:
		return err
	}
}

// WasClean reports whether the last process closed the store properly. After
// an unclean stop LevelDB may have dropped damaged journal records without a
// word, so the caller checks what it can.
func (s *Store) WasClean() bool { return s.clean }

// Dir is the directory given to Open.
func (s *Store) Dir() string { return s.dir }

// Get implements Reader.
func (s *Store) Get(key []byte) ([]byte, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.db == nil {
		return nil, ErrClosed
	}
	return get(s.db, key)
}

// Scan implements Reader. It sees the rows as they were when it began.
func (s *Store) Scan(start, limit []byte, visit func(key, value []byte) bool) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.db == nil {
		return ErrClosed
	}
	return scan(s.db, start, limit, visit)
}

// Write puts the whole batch on disk, fsynced, or nothing of it. After an
// error the store takes no further writes until Reopen: LevelDB's journal
// does not go on behind a failed write.
func (s *Store) Write(b *Batch) error { return s.write(b, syncedWrites) }

func (s *Store) write(b *Batch, o *opt.WriteOptions) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.db == nil {
		return ErrClosed
	}
	if s.failed.Load() {
		return errNeedsReopen
	}
	if err := s.db.Write(&b.b, o); err != nil {
		s.failed.Store(true)
		return fmt.Errorf("datastore: write %d rows: %w", b.Len(), explain(s.dir, err))
	}
	return nil
}

// Reopen closes and opens LevelDB again, which is how writing goes on after a
// failed Write. Writing the failed batch once more is then safe: it is all
// there already or not at all. If it fails too, rows can still be read as far
// as the disk allows. Views that are open fail from then on.
func (s *Store) Reopen() error {
	defer s.awaitCompact()()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dir == "" && s.opt.Storage == nil {
		return errors.New("datastore: reopen: a store in memory cannot be reopened")
	}
	if s.done {
		return ErrClosed
	}
	_ = s.closeDB() // its error is the one that made us reopen
	s.failed.Store(false)
	if err := s.open(); err != nil {
		s.failed.Store(true)
		s.openToRead()
		return fmt.Errorf("datastore: reopen %s: %w", s.name(), explain(s.dir, err))
	}
	return nil
}

// openToRead lets reads go on while opening fails because the disk takes no
// writes, which a full one does for hours.
func (s *Store) openToRead() {
	o := levelOptions()
	o.ReadOnly = true
	var db *leveldb.DB
	var err error
	if s.opt.Storage != nil {
		db, err = leveldb.Open(s.opt.Storage, &o)
	} else {
		db, err = leveldb.OpenFile(s.dir, &o)
	}
	if err == nil {
		s.db = db
	}
}

// ScanPrefixes calls visit for the rows under each prefix, and which prefix
// that is. With the prefixes in order it reads through the store once, which
// costs much less than a Scan for each.
func (s *Store) ScanPrefixes(prefixes [][]byte, visit func(i int, key, value []byte) bool) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.db == nil {
		return ErrClosed
	}
	it := s.db.NewIterator(nil, nil)
	defer it.Release()
	for i, p := range prefixes {
		for ok := it.Seek(p); ok && bytes.HasPrefix(it.Key(), p); ok = it.Next() {
			if !visit(i, it.Key(), it.Value()) {
				return nil
			}
		}
		if err := it.Error(); err != nil {
			return fmt.Errorf("datastore: scan: %w", err)
		}
	}
	return nil
}

// Foreign is the go-datastore view for what libraries keep (libp2p's peers).
// Its keys begin with '/', which no table of ours does. It serves a store with
// a directory or in memory, not one over Options.Storage.
func (s *Store) Foreign() Foreign { return Foreign{s} }

// Foreign reads and writes go-datastore keys.
type Foreign struct{ s *Store }

// Get returns the value of key, or the go-datastore library's ErrNotFound.
func (f Foreign) Get(ctx context.Context, key ds.Key) ([]byte, error) {
	f.s.mu.RLock()
	defer f.s.mu.RUnlock()
	if f.s.view == nil {
		return nil, ErrClosed
	}
	return f.s.view.Get(ctx, key)
}

// Put writes a value, fsynced.
func (f Foreign) Put(ctx context.Context, key ds.Key, value []byte) error {
	f.s.mu.RLock()
	defer f.s.mu.RUnlock()
	if f.s.view == nil {
		return ErrClosed
	}
	return f.s.view.Put(ctx, key, value)
}

// Size is the number of bytes on disk; 0 for a store in memory.
func (s *Store) Size() int64 {
	if s.dir == "" {
		return 0
	}
	var n int64
	files, err := os.ReadDir(s.dir)
	if err != nil {
		return 0
	}
	for _, f := range files {
		if info, err := f.Info(); err == nil {
			n += info.Size()
		}
	}
	return n
}

// Close marks the stop as clean and closes the store.
func (s *Store) Close() error {
	var b Batch
	b.Put(keyClean, nil)
	err := s.Write(&b)
	defer s.awaitCompact()()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done = true
	if cerr := s.closeDB(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("datastore: close %s: %w", s.name(), err)
	}
	return nil
}

// Crash closes the files without marking the stop as clean, as a crash would.
func (s *Store) Crash() error {
	defer s.awaitCompact()()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done = true
	return s.closeDB()
}

func (s *Store) closeDB() error {
	db, view := s.db, s.view
	s.db, s.view = nil, nil
	switch {
	case view != nil:
		return view.Close()
	case db != nil:
		return db.Close()
	}
	return nil
}

// explain turns an error of LevelDB or the file system into one of ours where
// the user can do something about it.
func explain(dir string, err error) error {
	switch {
	case errors.Is(err, storage.ErrLocked), errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EACCES) && lockHeld(dir):
		return fmt.Errorf("%w: stop that one, or give this node its own --data", ErrLocked)
	case ldberrors.IsCorrupted(err), errors.Is(err, ErrDamaged):
		return fmt.Errorf("%w (%w): move %s away and start again; "+
			"the node keeps its identity and fetches what its peers have", ErrDamaged, err, dir)
	case errors.Is(err, ErrNewer):
		return fmt.Errorf("%w: upgrade numax-node, or use another --data", err)
	case errors.Is(err, ErrNotNumax):
		return fmt.Errorf("%w: use another --data", err)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%w: free some space on the device of %s", ErrDiskFull, dir)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: make it writable for this user, or use another --data", err)
	}
	return err
}

// lockHeld tells a lock of another process (EACCES on some systems) from a
// directory that may not be written.
func lockHeld(dir string) bool {
	f, err := os.OpenFile(filepath.Join(dir, "LOCK"), os.O_RDWR, 0)
	if err != nil {
		return false
	}
	_ = f.Close()
	return true
}
