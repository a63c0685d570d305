package replicasim

import (
	"fmt"
	"io"
	"math/rand/v2"
	"sync"

	"github.com/syndtr/goleveldb/leveldb/storage"

	"github.com/numax-mesh/numax/datastore/datastoretest"
)

// disk is a disk with faults that also knows which bytes a power cut spares.
type disk struct {
	*datastoretest.Disk

	mu      sync.Mutex // guards the fields below
	written map[storage.FileDesc]int64
	synced  map[storage.FileDesc]int64
}

func newDisk() *disk {
	return &disk{
		Disk:    datastoretest.NewDisk(),
		written: make(map[storage.FileDesc]int64), synced: make(map[storage.FileDesc]int64),
	}
}

// Create implements storage.Storage.
func (d *disk) Create(fd storage.FileDesc) (storage.Writer, error) {
	w, err := d.Disk.Create(fd)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.written[fd], d.synced[fd] = 0, 0
	return &diskWriter{Writer: w, d: d, fd: fd}, nil
}

// Rename implements storage.Storage.
func (d *disk) Rename(from, to storage.FileDesc) error {
	if err := d.Disk.Rename(from, to); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, m := range []map[storage.FileDesc]int64{d.written, d.synced} {
		m[to] = m[from]
		delete(m, from)
	}
	return nil
}

// SetMeta implements storage.Storage. goleveldb points CURRENT at a new manifest
// that it has not synced; a power cut just then would lose the database, which
// is LevelDB's to mend and not what is tested here. So the manifest counts as
// synced.
func (d *disk) SetMeta(fd storage.FileDesc) error {
	if err := d.Disk.SetMeta(fd); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.synced[fd] = d.written[fd]
	return nil
}

// size is that of all files.
func (d *disk) size() (n int64) {
	files, _ := d.List(storage.TypeAll)
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, fd := range files {
		n += d.written[fd]
	}
	return n
}

type diskWriter struct {
	storage.Writer
	d  *disk
	fd storage.FileDesc
}

func (w *diskWriter) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	w.d.mu.Lock()
	defer w.d.mu.Unlock()
	w.d.written[w.fd] += int64(n)
	return n, err
}

func (w *diskWriter) Sync() error {
	if err := w.Writer.Sync(); err != nil {
		return err
	}
	w.d.mu.Lock()
	defer w.d.mu.Unlock()
	w.d.synced[w.fd] = w.d.written[w.fd]
	return nil
}

// afterPowerCut is the disk that the next start finds: of every file what was
// synced, and any part of the rest. What a process from before still does to
// the old disk is lost.
func (d *disk) afterPowerCut(rng *rand.Rand) (*disk, error) {
	next := newDisk()
	files, err := d.List(storage.TypeAll)
	if err != nil {
		return nil, err
	}
	for _, fd := range files {
		if err := d.copyTo(next, fd, rng); err != nil {
			return nil, fmt.Errorf("copy %s: %w", fd, err)
		}
	}
	meta, err := d.GetMeta()
	if err != nil {
		return next, nil // the very first start did not get so far
	}
	return next, next.SetMeta(meta)
}

func (d *disk) copyTo(next *disk, fd storage.FileDesc, rng *rand.Rand) error {
	r, err := d.Open(fd)
	if err != nil {
		return err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	d.mu.Lock()
	keep := d.synced[fd]
	d.mu.Unlock()
	if loose := int64(len(b)) - keep; loose > 0 {
		keep += rng.Int64N(loose + 1)
	}
	w, err := next.Create(fd)
	if err != nil {
		return err
	}
	if _, err := w.Write(b[:keep]); err != nil {
		return err
	}
	if err := w.Sync(); err != nil {
		return err
	}
	return w.Close()
}
