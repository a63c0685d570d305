package p2p

import (
	"context"
	"io"
	"sync/atomic"
	"testing"

	"github.com/libp2p/go-libp2p/core/network"
)

// A host takes more connections than it keeps, or it would never close one to
// make room for another; and one peer cannot take them all.
func TestRoomForConnections(t *testing.T) {
	for name, cfg := range map[string]Config{
		"default": {Reachability: Private}, "public": {Reachability: Public},
		"least": {Limits: Limits{Connections: minConns}}, "many": {Limits: Limits{Connections: 1000}},
	} {
		h := &Host{cfg: cfg}
		_, high := h.conns()
		limiter := h.limiter()
		all, peer := limiter.GetSystemLimits(), limiter.GetPeerLimits("somebody")
		for _, dir := range []network.Direction{network.DirInbound, network.DirOutbound} {
			if got := all.GetConnLimit(dir); got <= high {
				t.Errorf("%s: %d connections %v, want more than the mark of %d", name, got, dir, high)
			}
			if got := peer.GetConnLimit(dir); got > peerConns {
				t.Errorf("%s: %d connections %v of one peer, want %d", name, got, dir, peerConns)
			}
		}
		if got := all.GetConnTotalLimit(); got <= high {
			t.Errorf("%s: %d connections, want more than the mark of %d", name, got, high)
		}
	}
}

// A peer that opens streams without end, and holds them, has its share; another
// is served meanwhile.
func TestStreamsOfOnePeer(t *testing.T) {
	t.Parallel()
	const proto, many = "/test/hold/1", 10_000
	var held atomic.Int64
	h := open(t, "h", Config{})
	h.Handle(proto, func(_ context.Context, _ string, s io.ReadWriteCloser) {
		defer s.Close()
		held.Add(1)
		defer held.Add(-1)
		_, _ = io.Copy(s, s)
	}, nil)
	greedy := plain(t)
	if err := greedy.Connect(t.Context(), peerInfo(t, h)); err != nil {
		t.Fatal(err)
	}
	refused := 0
	for range many {
		s, err := greedy.NewStream(t.Context(), peerOf(t, h), proto)
		if err == nil {
			_, err = s.Write([]byte("x"))
		}
		if err != nil {
			refused++
		}
		if got := held.Load(); got > peerStreams {
			t.Fatalf("%d streams of one peer are served, want at most %d", got, peerStreams)
		}
	}
	eventually(t, "it has its share", func() bool { return held.Load() >= peerStreams/2 })
	// libp2p gives one protocol half of the streams.
	t.Logf("of %d streams %d are served, and %d could not be opened", many, held.Load(), refused)
	other := open(t, "other", Config{})
	connect(t, other, h)
	if !answers(t, other, h, proto) {
		t.Error("another peer is not served")
	}
}
