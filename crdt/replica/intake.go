package replica

import (
	"bufio"
	"context"
	"crypto/subtle"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// A peer's frames are taken one by one, in their order. What costs most of the
// time, to verify and decode entries, is done ahead of that and in parallel:
//
//	stream ─► read ──► intake ──► handle
//	             └─► check ─┘ verdict
//
// Of entries on their way between read and handle there are at most these.
const (
	intakeFrames = 64
	intakeBytes  = 4 << 20
)

// arrived is a frame on its way.
type arrived struct {
	kind    byte
	payload []byte
	verdict chan checked // of an entry; capacity 1
}

// checked is an entry frame, verified and decoded as far as that needs no
// history.
type checked struct {
	channel uint64
	want    *asked // nil: of a want that is over
	e       *Entry
	header  []byte // still to be verified, if the entry is not known after all
	err     error
}

// intake is the way from read to handle.
type intake struct {
	frames chan arrived // closed by read
	end    error        // why; set before
	unsent arrived      // that came when nobody handles frames any more; set before
	bytes  atomic.Int64
	room   chan struct{} // capacity 1: bytes fell
	checks sync.WaitGroup
}

func newIntake() intake {
	return intake{frames: make(chan arrived, intakeFrames), room: make(chan struct{}, 1)}
}

// read reads frames until the stream ends, and has those of entries checked.
func (s *session) read(ctx context.Context) {
	defer close(s.in.frames)
	r := bufio.NewReaderSize(countingReader{s.stream, s}, streamBytes)
	if s.in.end = s.readHello(r); s.in.end != nil {
		return
	}
	for {
		kind, p, err := readFrame(r)
		if err == nil {
			err = s.enqueue(ctx, arrived{kind: kind, payload: p})
		}
		if err != nil {
			s.in.end = err
			return
		}
	}
}

func (s *session) readHello(r *bufio.Reader) error {
	hello := time.AfterFunc(helloWait, func() { _ = s.stream.Close() })
	defer hello.Stop()
	kind, p, err := readFrame(r)
	if err != nil {
		return err
	}
	if kind != frameHello || len(p) != 1+len(s.r.network) || p[0] != syncVersion ||
		subtle.ConstantTimeCompare(p[1:], s.r.network[:]) != 1 {
		return errProtocol
	}
	s.greeted.Store(true)
	return nil
}

// enqueue waits for room, so that a peer that sends more than its credit waits
// with us.
func (s *session) enqueue(ctx context.Context, f arrived) error {
	size := int64(len(f.payload))
	for n := s.in.bytes.Load(); n > 0 && n+size > intakeBytes; n = s.in.bytes.Load() {
		select {
		case <-s.in.room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s.in.bytes.Add(size)
	if f.kind == frameEntry {
		f.verdict = make(chan checked, 1)
		s.in.checks.Go(func() { f.verdict <- s.check(f.payload) })
	}
	select {
	case s.in.frames <- f:
		return nil
	case <-ctx.Done():
		s.in.unsent = f
		return ctx.Err()
	}
}

// check does with an entry frame all that needs no history.
func (s *session) check(p []byte) (c checked) {
	r := reader{b: p}
	if c.channel = r.uvarint(); r.err != nil {
		c.err = fmt.Errorf("%w: entry frame", ErrMalformed)
		return c
	}
	s.mu.Lock()
	c.want = s.asked[c.channel]
	s.mu.Unlock()
	if c.want == nil {
		return c
	}
	var header []byte
	if c.e, header, c.err = splitEntry(r.b, false); c.err != nil {
		return c
	}
	d := c.want.d
	if c.err = s.r.admit(d.id, c.e); c.err != nil {
		return c
	}
	// Gossip was faster, and it need not be verified again; or it does not stand, and
	// may when those before it are learned.
	if d.knows(c.e) || !s.r.mayStand(c.e) {
		c.header = header
		return c
	}
	c.err = s.r.check(s.peer, c.e, header)
	return c
}

// handleAll handles frames in their order, to the last that came.
func (s *session) handleAll(ctx context.Context) error {
	for f := range s.in.frames {
		var err error
		if f.verdict != nil {
			c := <-f.verdict
			err = s.onEntry(ctx, c)
		} else {
			err = s.handle(ctx, f.kind, f.payload)
		}
		if err != nil {
			return err
		}
		s.in.bytes.Add(-int64(len(f.payload)))
		signal(s.in.room)
	}
	return s.in.end
}

// shedRest lets go of what nobody handles any more, when read and handleAll have
// ended: in its order, as entries that wait for room get that of those before.
func (s *session) shedRest() {
	for f := range s.in.frames {
		f.shed()
	}
	s.in.unsent.shed()
	s.in.checks.Wait()
}

func (f arrived) shed() {
	if f.verdict != nil {
		if c := <-f.verdict; c.e != nil {
			c.e.shed()
		}
	}
}

type countingReader struct {
	r io.Reader
	s *session
}

func (c countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.s.r.stats.SyncIn.Add(uint64(n))
	return n, err
}
