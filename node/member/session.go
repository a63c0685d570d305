package member

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// Session is the talk of two devices over one stream: each makes sure that the
// other is a member, then both come to have the same records and tell each other
// of new ones, until one of them is a member no more or the stream ends.
type Session struct {
	Book   *Book
	Stream io.ReadWriteCloser // Run closes it
	Peer   Key                // the other end, authenticated by the transport
	Opener bool               // this side opened the stream
	// Request is what an opener that is no member yet asks for; else nil.
	Request *Request
	// Admitted, if not nil, is called once, when the peer is admitted. Whether it
	// still is, Book tells.
	Admitted func(Admission)

	in *bufio.Reader
}

// Run talks until ctx ends or one side has a reason to stop. It returns a
// *RefusedError if the peer did not admit this device, an error of Check if one of
// the two is no member or is so no more, and io.EOF if the peer ended the stream.
func (s *Session) Run(ctx context.Context) error {
	err := s.run(ctx)
	_ = s.Stream.Close()
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	if refused := new(RefusedError); err == nil || errors.As(err, &refused) {
		return err
	}
	return fmt.Errorf("member: session with %v: %w", s.Peer, err)
}

func (s *Session) run(ctx context.Context) error {
	if !s.Book.enter(s.Peer) {
		return fmt.Errorf("%w: %d sessions at a time", ErrFlood, maxSessions)
	}
	defer s.Book.exit(s.Peer)
	s.in = bufio.NewReader(s.Stream)
	// A stream ends what waits on it when it is closed.
	defer context.AfterFunc(ctx, func() { _ = s.Stream.Close() })()
	skew, err := s.greet()
	if err != nil {
		return err
	}
	if s.Admitted != nil {
		m, _ := s.Book.Roster().Member(s.Peer)
		s.Admitted(Admission{Member: m, Skew: skew})
	}
	return newExchange(s).run()
}

func (s *Session) greet() (skew time.Duration, err error) {
	late := time.AfterFunc(handshakeTimeout, func() { _ = s.Stream.Close() })
	if s.Opener {
		skew, err = s.open()
	} else {
		err = s.answer()
	}
	if !late.Stop() {
		return 0, fmt.Errorf("the peer took more than %v to introduce itself", handshakeTimeout)
	}
	return skew, err
}
