package datastoretest

import (
	"errors"
	"sync"

	"github.com/syndtr/goleveldb/leveldb/storage"
)

// ErrDisk is what an injected fault answers.
var ErrDisk = errors.New("injected disk fault")

// Fault is what a Disk refuses to do.
type Fault int

const (
	NoFault   Fault = iota
	FailWrite       // nothing is written, created, removed or renamed
	FailShort       // half of a write reaches the file, then it fails
	FailSync        // writes reach the file, fsync fails
)

// Disk is LevelDB's storage in memory, with faults. Its methods may be called
// concurrently.
type Disk struct {
	storage.Storage

	mu    sync.Mutex // guards the fields below
	fault Fault
	after int // writes and syncs that still succeed before the fault begins
	hits  int
}

// NewDisk returns an empty, working disk.
func NewDisk() *Disk { return &Disk{Storage: storage.NewMemStorage()} }

// Fail begins a fault after the next n writes and syncs. NoFault ends it.
func (d *Disk) Fail(f Fault, n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault, d.after = f, n
}

// Hits is how often a fault was answered.
func (d *Disk) Hits() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.hits
}

// hit reports whether the current call fails, for faults among fs.
func (d *Disk) hit(fs ...Fault) Fault {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fault == NoFault {
		return NoFault
	}
	if d.after > 0 {
		d.after--
		return NoFault
	}
	for _, f := range fs {
		if f == d.fault {
			d.hits++
			return f
		}
	}
	return NoFault
}

// Create implements storage.Storage.
func (d *Disk) Create(fd storage.FileDesc) (storage.Writer, error) {
	if d.hit(FailWrite, FailShort) != NoFault {
		return nil, ErrDisk
	}
	w, err := d.Storage.Create(fd)
	if err != nil {
		return nil, err
	}
	return &diskWriter{w, d}, nil
}

// SetMeta implements storage.Storage.
func (d *Disk) SetMeta(fd storage.FileDesc) error {
	if d.hit(FailWrite, FailShort, FailSync) != NoFault {
		return ErrDisk
	}
	return d.Storage.SetMeta(fd)
}

// Remove implements storage.Storage.
func (d *Disk) Remove(fd storage.FileDesc) error {
	if d.hit(FailWrite) != NoFault {
		return ErrDisk
	}
	return d.Storage.Remove(fd)
}

// Rename implements storage.Storage.
func (d *Disk) Rename(from, to storage.FileDesc) error {
	if d.hit(FailWrite, FailShort) != NoFault {
		return ErrDisk
	}
	return d.Storage.Rename(from, to)
}

type diskWriter struct {
	storage.Writer
	d *Disk
}

func (w *diskWriter) Write(p []byte) (int, error) {
	switch w.d.hit(FailWrite, FailShort) {
	case FailWrite:
		return 0, ErrDisk
	case FailShort:
		n, _ := w.Writer.Write(p[:len(p)/2])
		return n, ErrDisk
	}
	return w.Writer.Write(p)
}

func (w *diskWriter) Sync() error {
	if w.d.hit(FailSync) != NoFault {
		return ErrDisk
	}
	return w.Writer.Sync()
}
