package blob

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"github.com/numax-mesh/numax/sandbox"
)

// Space is what a module may keep. Add answers sandbox.ErrQuota, and adds nothing, when there is no room; bytes below
// zero give back, and always work.
type Space interface{ Add(bytes int64) error }

// fetchTime bounds a fetch of a call that has no deadline.
const fetchTime = 30 * time.Second

// Session is the blobs as one instance of a module sees them: sandbox.Blobs. It is for the goroutine that calls the
// instance.
type Session struct {
	x     *Exchange
	owner string
	space Space
	pace  *pace
	w     *Writer // nil = nothing is being made
}

// Session opens one for a module, whose instances share a space; nil is without bounds.
func (x *Exchange) Session(owner string, space Space) *Session {
	return &Session{x: x, owner: owner, space: space, pace: x.paceOf(owner)}
}

func (s *Session) add(bytes int64) error {
	if s.space == nil {
		return nil
	}
	return s.space.Add(bytes)
}

// Write implements sandbox.Blobs.
func (s *Session) Write(ctx context.Context, p []byte) error {
	if err := s.pace.wait(ctx, int64(len(p))); err != nil {
		return err
	}
	if s.w == nil {
		if err := s.begin(); err != nil {
			return err
		}
	}
	if s.w.Size()+int64(len(p)) > MaxSize {
		return sandbox.ErrQuota
	}
	if err := s.add(int64(len(p))); err != nil {
		return err
	}
	before := s.w.Size()
	if _, err := s.w.Write(p); err != nil {
		_ = s.add(s.w.Size() - before - int64(len(p)))
		s.Discard()
		return err
	}
	return nil
}

func (s *Session) begin() (err error) {
	if err := s.add(overhead); err != nil {
		return err
	}
	if s.w, err = s.x.o.Store.Create(); err != nil {
		_ = s.add(-overhead)
	}
	return err
}

// Finish implements sandbox.Blobs.
func (s *Session) Finish() (h [32]byte, err error) {
	if s.w == nil {
		if err := s.begin(); err != nil {
			return h, err
		}
	}
	w := s.w
	s.w = nil
	news, err := w.Keep(s.owner)
	if !news {
		_ = s.add(-Cost(w.Size()))
	}
	return w.Sum(), err
}

// Discard implements sandbox.Blobs.
func (s *Session) Discard() {
	if s.w != nil {
		_ = s.add(-Cost(s.w.Size()))
		s.w.Discard()
		s.w = nil
	}
}

// Size implements sandbox.Blobs.
func (s *Session) Size(hash [32]byte) (int64, error) {
	f, size, err := s.get(hash)
	if err != nil {
		return 0, err
	}
	return size, f.Close()
}

// ReadAt implements sandbox.Blobs.
func (s *Session) ReadAt(hash [32]byte, p []byte, offset int64) (int, error) {
	f, size, err := s.get(hash)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	if offset >= size {
		return 0, nil
	}
	n, err := f.ReadAt(p, offset)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// get opens a blob that is here and has the module's mark.
func (s *Session) get(h Hash) (*os.File, int64, error) {
	if !s.x.o.Store.Owns(s.owner, h) {
		return nil, 0, sandbox.ErrNotFound
	}
	f, size, err := s.x.o.Store.Get(h)
	if errors.Is(err, ErrAbsent) {
		err = sandbox.ErrNotFound
	}
	return f, size, err
}

// Fetch implements sandbox.Blobs.
func (s *Session) Fetch(ctx context.Context, hash [32]byte) error {
	if !s.x.o.Store.Has(hash) {
		if err := s.fetch(ctx, hash); err != nil {
			return err
		}
	}
	err := s.own(hash)
	if errors.Is(err, ErrAbsent) {
		err = sandbox.ErrNotFound // dropped just now
	}
	return err
}

// fetch asks other nodes, for nine tenths of the time that the call has left: the guest is to hear that it was not
// enough, and go on.
func (s *Session) fetch(ctx context.Context, h Hash) error {
	limit := fetchTime
	if end, ok := ctx.Deadline(); ok {
		limit = time.Until(end) / 10 * 9
	}
	within, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := s.pace.wait(within, paceCall)
	if err == nil {
		err = s.x.fetch(within, h, s)
	}
	if err != nil && ctx.Err() == nil && within.Err() != nil {
		return sandbox.ErrNotFound
	}
	return err
}

// own puts the module's mark on a blob that is here.
func (s *Session) own(h Hash) error {
	if s.x.o.Store.Owns(s.owner, h) {
		return nil
	}
	f, size, err := s.x.o.Store.Get(h)
	if err != nil {
		return err
	}
	_ = f.Close() // only its size was wanted
	if err := s.add(Cost(size)); err != nil {
		return err
	}
	news, err := s.x.o.Store.Own(s.owner, h)
	if !news {
		_ = s.add(-Cost(size))
	}
	return err
}

// Drop implements sandbox.Blobs.
func (s *Session) Drop(hash [32]byte) (had bool, err error) {
	size, had, err := s.x.o.Store.Drop(s.owner, hash)
	if had {
		_ = s.add(-Cost(size))
	}
	return had, err
}
