package p2p

import (
	"context"
	"io"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

// echo serves streams that say back what they hear.
func echo(served chan<- string) func(context.Context, string, io.ReadWriteCloser) {
	return func(ctx context.Context, peer string, s io.ReadWriteCloser) {
		defer context.AfterFunc(ctx, func() { _ = s.Close() })()
		defer s.Close()
		_, _ = io.Copy(s, s)
		served <- peer
	}
}

func TestStreamsGoToConnectedPeers(t *testing.T) {
	t.Parallel()
	a, b := open(t, "a", Config{}), open(t, "b", Config{})
	var changes atomic.Int64
	a.Handle("/test", echo(make(chan string, 1)), func() { changes.Add(1) })
	b.Handle("/test", echo(make(chan string, 1)), nil)
	run(t, a)

	// a knows where b is; a stream must not dial all the same.
	info, err := ParsePeer(b.Addrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	a.host.Peerstore().AddAddrs(info.ID, info.Addrs, time.Hour)
	for _, id := range []string{b.ID(), a.ID(), somePeer, "nobody", ""} {
		if s, err := a.Open(t.Context(), id, "/test"); err == nil {
			_ = s.Close()
			t.Errorf("Open(%q): got a stream without a connection", id)
		}
	}
	if got := a.Connected(); len(got) != 0 {
		t.Fatalf("Open connected to %v", got)
	}

	connect(t, a, b)
	eventually(t, "b speaks the protocol", func() bool { return slices.Equal(a.PeersOf("/test"), []string{b.ID()}) })
	eventually(t, "changed was called", func() bool { return changes.Load() > 0 })
	if got := a.PeersOf("/other"); len(got) != 0 {
		t.Errorf("PeersOf(/other) = %v, want none", got)
	}
	before := changes.Load()
	_ = b.Close()
	eventually(t, "b is gone", func() bool { return len(a.PeersOf("/test")) == 0 && changes.Load() > before })
}

// A peer that connected before Run is announced by Run: nothing else would
// tell of it until it changes.
func TestConnectedBeforeRun(t *testing.T) {
	t.Parallel()
	book := memoryBook()
	a, b := open(t, "a", Config{Known: book}), open(t, "b", Config{})
	changed := make(chan struct{}, 64)
	a.Handle("/test", echo(make(chan string, 1)), func() { changed <- struct{}{} })
	b.Handle("/test", echo(make(chan string, 1)), nil)
	connect(t, b, a)
	eventually(t, "b is identified", func() bool { return len(a.PeersOf("/test")) == 1 })
	run(t, a)
	select {
	case <-changed:
	case <-time.After(deadline):
		t.Error("changed was not called")
	}
	eventually(t, "b is in the book", func() bool { return len(saved(t, book)) == 1 })
}

func TestStreamCloseEndsBothDirections(t *testing.T) {
	t.Parallel()
	a, b := open(t, "a", Config{}), open(t, "b", Config{})
	theirs := make(chan io.ReadWriteCloser, 1)
	b.Handle("/test", func(_ context.Context, _ string, s io.ReadWriteCloser) { theirs <- s }, nil)
	connect(t, a, b)
	ours, err := a.Open(t.Context(), b.ID(), "/test")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ours.Write([]byte("x")); err != nil { // the stream begins with the first write
		t.Fatal(err)
	}
	far := <-theirs
	if _, err := io.ReadFull(far, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	read := make(chan error, 2)
	for _, s := range []io.Reader{ours, far} {
		go func() { _, err := s.Read(make([]byte, 1)); read <- err }()
	}
	if err := ours.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		select {
		case err := <-read:
			if err == nil {
				t.Error("Read after Close: got no error")
			}
		case <-time.After(deadline):
			t.Fatal("Close did not end a Read")
		}
	}
	if _, err := ours.Write([]byte("x")); err == nil {
		t.Error("Write after Close: got no error")
	}
	eventually(t, "the other side cannot write", func() bool { _, err := far.Write([]byte("x")); return err != nil })
}

// Close waits for those who serve, whose context ends with it.
func TestCloseEndsServing(t *testing.T) {
	t.Parallel()
	a, b := open(t, "a", Config{}), open(t, "b", Config{})
	began, ended := make(chan struct{}), make(chan struct{})
	b.Handle("/test", func(ctx context.Context, _ string, s io.ReadWriteCloser) {
		defer s.Close()
		close(began)
		<-ctx.Done()
		close(ended)
	}, nil)
	connect(t, a, b)
	s, err := a.Open(t.Context(), b.ID(), "/test")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_, _ = s.Write([]byte("x"))
	<-began
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	select {
	case <-ended:
	default:
		t.Error("Close returned before serve did")
	}
}

// Streams that come while the host closes are served before Close returns, or
// not at all.
func TestCloseUnderStreams(t *testing.T) {
	t.Parallel()
	for range 5 {
		a, b := open(t, "a", Config{}), open(t, "b", Config{})
		var serving, closed atomic.Bool
		b.Handle("/test", func(_ context.Context, _ string, s io.ReadWriteCloser) {
			serving.Store(true)
			if closed.Load() {
				t.Error("served after Close")
			}
			_ = s.Close()
		}, nil)
		connect(t, a, b)
		stop := make(chan struct{})
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				select {
				case <-stop:
					return
				default:
				}
				if s, err := a.Open(t.Context(), b.ID(), "/test"); err == nil {
					_, _ = s.Write([]byte("x"))
					_ = s.Close()
				}
			}
		}()
		eventually(t, "streams are served", serving.Load)
		_ = b.Close()
		closed.Store(true)
		if b.begin() { // a stream that came just before, and runs just after
			t.Error("may be served after Close")
		}
		close(stop)
		<-done
		_ = a.Close()
	}
}
