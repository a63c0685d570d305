package blob

import (
	"context"
	"errors"
	"io"
	"math"
)

// Serve answers a request of a peer. It returns when the stream or ctx ends, and closes the stream.
func (x *Exchange) Serve(ctx context.Context, peer string, s io.ReadWriteCloser) {
	defer s.Close()
	if !x.enter(peer) {
		return
	}
	defer x.leave(peer)
	l := newLine(ctx, s)
	defer l.Close()
	if err := x.serve(ctx, peer, l); err != nil && ctx.Err() == nil {
		x.o.Log.Debug("a stream of a blob ended", "peer", peer, "late", l.late.Load(), "err", err)
	}
}

func (x *Exchange) enter(peer string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.streams.take(peer, maxPeerStreams, math.MaxInt) // p2p bounds the peers
}

func (x *Exchange) leave(peer string) {
	x.free(func() { x.streams.give(peer) })
}

func (x *Exchange) serve(ctx context.Context, peer string, l *line) error {
	var h Hash
	if _, err := io.ReadFull(l, h[:]); err != nil {
		return err
	}
	if err := x.answer(ctx, peer, h, l); err != nil {
		return err
	}
	// Closing would take back what is on its way: whoever asked closes first.
	l.part(chunk)
	_, _ = l.Read(make([]byte, 1))
	return nil
}

func (x *Exchange) answer(ctx context.Context, peer string, h Hash, l *line) error {
	err := ErrAbsent
	if x.o.MayRead == nil || x.o.MayRead(peer) {
		f, size, gerr := x.o.Store.Get(h)
		if err = gerr; err == nil {
			defer f.Close()
			return x.send(ctx, peer, f, size, l)
		}
	}
	if _, werr := l.Write([]byte{answerAbsent}); werr != nil {
		return werr
	}
	if errors.Is(err, ErrAbsent) {
		return nil
	}
	return err
}

// send writes a blob. What is cut short on disk is cut short on the wire, and the peer knows.
func (x *Exchange) send(ctx context.Context, peer string, r io.Reader, size int64, l *line) error {
	waiting, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	if err := x.await(waiting, func() bool { return x.answers.take(peer, maxPeerServed, maxServing) }); err != nil {
		return err
	}
	defer x.free(func() { x.answers.give(peer) })
	buf := make([]byte, 0, headSize+min(size, chunk))
	buf = appendHead(buf, size)
	for left := size; ; {
		n := min(left, chunk)
		piece := buf[len(buf) : len(buf)+int(n)]
		if _, err := io.ReadFull(r, piece); err != nil {
			return err
		}
		l.part(n)
		if _, err := l.Write(buf[:len(buf)+int(n)]); err != nil {
			return err
		}
		buf = buf[:0]
		if left -= n; left == 0 {
			return nil
		}
	}
}
