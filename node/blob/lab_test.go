package blob

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/numax-mesh/numax/sandbox"
)

// ring is a network in memory of peers that serve streams.
type ring struct {
	mu    sync.Mutex // guards the rest
	peers map[string]func(ctx context.Context, peer string, s io.ReadWriteCloser)
	names []string
	asked []string // in the order in which they were
}

func (r *ring) add(name string, serve func(ctx context.Context, peer string, s io.ReadWriteCloser)) {
	if r.peers == nil {
		r.peers = make(map[string]func(context.Context, string, io.ReadWriteCloser))
	}
	r.peers[name] = serve
	r.names = append(r.names, name)
}

func (r *ring) Peers() []string { return r.names }

func (r *ring) Open(_ context.Context, peer string) (io.ReadWriteCloser, error) {
	r.mu.Lock()
	r.asked = append(r.asked, peer)
	serve := r.peers[peer]
	r.mu.Unlock()
	if serve == nil {
		return nil, errors.New("not connected")
	}
	here, there := net.Pipe()
	go serve(context.Background(), "me", there)
	return here, nil
}

// answers is a peer that reads the request and writes what it likes; then it waits for the end of the stream.
func answers(answer []byte) func(context.Context, string, io.ReadWriteCloser) {
	return func(_ context.Context, _ string, s io.ReadWriteCloser) {
		defer s.Close()
		if _, err := io.ReadFull(s, make([]byte, 32)); err != nil {
			return
		}
		_, _ = s.Write(answer)
		_, _ = s.Read(make([]byte, 1))
	}
}

func head(size uint64) []byte { return binary.BigEndian.AppendUint64([]byte{answerBytes}, size) }

// room is a Space.
type room struct {
	mu         sync.Mutex // guards the rest
	used, most int64
}

func (r *room) Add(n int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n > 0 && r.used+n > r.most {
		return sandbox.ErrQuota
	}
	r.used += n
	return nil
}

// lines is a log that is looked at.
type lines struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), text)
}

// newExchange is an exchange on a store of its own; without a network if r is nil.
func newExchange(t testing.TB, r *ring, log io.Writer) *Exchange {
	t.Helper()
	o := Options{Store: open(t, t.TempDir()), Log: slog.New(slog.NewTextHandler(log, nil))}
	if r != nil {
		o.Net = r
	}
	return New(o)
}

// size fetches a blob and answers its size.
func size(ctx context.Context, s *Session, h Hash) (int64, error) {
	if err := s.Fetch(ctx, h); err != nil {
		return 0, err
	}
	return s.Size(h)
}

var large = bytes.Repeat([]byte("a blob of several pieces; "), 20_000)
