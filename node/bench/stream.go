package bench

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"io"
	"sync/atomic"
	"time"

	"github.com/numax-mesh/numax/p2p"
)

// chunk is what a stream is written in.
const chunk = 64 << 10

// tcpStream is how many bytes a second a bare TCP connection over loopback
// carries.
func tcpStream(ctx context.Context) (perSecond float64, err error) {
	near, far, err := pipe(ctx)
	if err != nil {
		return 0, err
	}
	defer far.Close()
	var seen atomic.Int64
	done := make(chan struct{})
	go func() { drain(far, &seen); close(done) }()
	perSecond, err = pump(near, &seen)
	_ = near.Close()
	<-done
	return perSecond, err
}

// pump writes to a stream for a while and returns what the far end, which
// counts in seen, got a second.
func pump(to io.Writer, seen *atomic.Int64) (perSecond float64, err error) {
	b := make([]byte, chunk)
	before, began := seen.Load(), time.Now()
	for time.Since(began) < limitTime && err == nil {
		_, err = to.Write(b)
	}
	return float64(seen.Load()-before) / time.Since(began).Seconds(), err
}

func drain(r io.Reader, seen *atomic.Int64) {
	b := make([]byte, chunk)
	for {
		n, err := r.Read(b)
		seen.Add(int64(n))
		if err != nil {
			return
		}
	}
}

// tcpRoundTrip is the mean time of 64 bytes there and back.
func tcpRoundTrip(ctx context.Context) (time.Duration, error) {
	near, far, err := pipe(ctx)
	if err != nil {
		return 0, err
	}
	defer near.Close()
	go func() {
		defer far.Close()
		_, _ = io.Copy(far, far) // ends with near
	}()
	b := make([]byte, 64)
	perSecond := rate(func(int) {
		if _, werr := near.Write(b); werr != nil {
			err = werr
			return
		}
		if _, rerr := io.ReadFull(near, b); rerr != nil {
			err = rerr
		}
	})
	return time.Duration(float64(time.Second) / perSecond), err
}

// protoPump is the stream protocol of libp2pStream.
const protoPump = "/numax/bench/1"

// libp2pStream is the same of a stream between two hosts: encrypted,
// multiplexed, flow-controlled.
func libp2pStream(ctx context.Context, listen string) (perSecond float64, err error) {
	var seen atomic.Int64
	server, err := newHost(p2p.Config{Listen: []string{listen}})
	if err != nil {
		return 0, err
	}
	defer server.Close()
	server.Handle(protoPump, func(_ context.Context, _ string, s io.ReadWriteCloser) {
		defer s.Close()
		drain(s, &seen)
	}, func() {})
	client, err := newHost(p2p.Config{Listen: []string{listen}})
	if err != nil {
		return 0, err
	}
	defer client.Close()
	if err := client.Connect(ctx, server.Addrs()[0]); err != nil {
		return 0, err
	}
	s, err := client.Open(ctx, server.ID(), protoPump)
	if err != nil {
		return 0, err
	}
	perSecond, err = pump(s, &seen)
	_ = s.Close()
	return perSecond, err
}

// newHost is a host with a new identity, in a network of its own.
func newHost(cfg p2p.Config) (*p2p.Host, error) {
	if cfg.Key == nil {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, err
		}
		cfg.Key = key
	}
	cfg.Tag, cfg.Agent = "bench", "numax/bench"
	return p2p.New(cfg)
}
