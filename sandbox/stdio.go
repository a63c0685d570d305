package sandbox

import (
	"fmt"
	"io"
)

// boundedWriter passes on the first limit bytes and a note that the rest is dropped. It never reports an error: a
// guest must not fail because it talks too much.
type boundedWriter struct {
	w     io.Writer
	limit int
	wrote int
	noted bool
}

func (b *boundedWriter) Write(p []byte) (int, error) {
	if room := b.limit - b.wrote; room > 0 {
		n, _ := b.w.Write(p[:min(room, len(p))])
		b.wrote += n
		if room >= len(p) {
			return len(p), nil
		}
	}
	if !b.noted {
		b.noted = true
		fmt.Fprintf(b.w, "\n[sandbox] stderr is over %d KiB, the rest is dropped\n", b.limit>>10)
	}
	return len(p), nil
}

// random gives a guest randomness in pieces, each of which counts as a host call, so that one that asks for all its memory
// full of it can be stopped, and gives way.
type random struct{ guest *guest }

const randomPiece = 64 << 10

func (r *random) Read(p []byte) (int, error) {
	r.guest.begin()
	return r.guest.host.Rand.Read(p[:min(len(p), randomPiece)])
}

// stdin reads for a guest in a way that ends with the run, though the reader below may block for ever (a terminal
// does). Then, and only then, one goroutine stays behind in that Read; it holds a buffer of its own, never the
// guest's memory.
type stdin struct {
	guest   *guest
	r       io.Reader
	pending chan readResult // the Read under way, if any
	rest    []byte
	err     error
}

type readResult struct {
	data []byte
	err  error
}

const stdinBuffer = 32 << 10

func (s *stdin) Read(p []byte) (int, error) {
	if len(s.rest) == 0 && s.err == nil {
		if s.pending == nil {
			s.pending = make(chan readResult, 1)
			go func(done chan<- readResult) {
				buf := make([]byte, stdinBuffer)
				n, err := s.r.Read(buf)
				done <- readResult{buf[:n], err}
			}(s.pending)
		}
		select {
		case r := <-s.pending:
			s.pending, s.rest, s.err = nil, r.data, r.err
		case <-s.guest.ctx.Done():
			panic(errStopped)
		}
	}
	if len(s.rest) > 0 {
		n := copy(p, s.rest)
		s.rest = s.rest[n:]
		return n, nil
	}
	return 0, s.err
}
