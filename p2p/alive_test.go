package p2p

import (
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// aged is a connection that says it was opened earlier.
type aged struct {
	network.Conn
	by time.Duration
}

func (a aged) Stat() network.ConnStats {
	s := a.Conn.Stat()
	s.Opened = s.Opened.Add(a.by)
	return s
}

// A node that was killed and restarted a few times could not connect any more:
// over QUIC its dead connections used up what one peer may have.
func TestSuperseded(t *testing.T) {
	t.Parallel()
	a, b := open(t, "a", Config{}), open(t, "b", Config{})
	connect(t, a, b)
	eventually(t, "accepted", func() bool { return connected(b, a) })
	c := b.host.Network().ConnsToPeer(peerOf(t, a))[0]
	b.dropSuperseded(nil, aged{c, supersededAfter / 2})
	if !connected(b, a) {
		t.Error("a simultaneous connection ended the other")
	}
	b.dropSuperseded(nil, aged{c, 2 * supersededAfter})
	eventually(t, "the old connection is closed", func() bool { return c.IsClosed() })
}

// A peer that does not answer is dropped, one that does stays.
func TestDropDead(t *testing.T) {
	t.Parallel()
	a, b := open(t, "a", Config{}), open(t, "b", Config{})
	connect(t, a, b)
	a.dropDead(t.Context(), a.host.Network().Peers())
	if !connected(a, b) {
		t.Fatal("dropped a peer that answers")
	}
	b.host.RemoveStreamHandler("/ipfs/ping/1.0.0")
	a.dropDead(t.Context(), a.host.Network().Peers())
	eventually(t, "dropped", func() bool { return !connected(a, b) })
}

// The round-trip time to a connected peer is known without being asked for.
func TestMeasure(t *testing.T) {
	t.Parallel()
	a, b := open(t, "a", Config{}), open(t, "b", Config{})
	connect(t, a, b)
	measured := make(map[peer.ID]time.Time)
	a.measure(t.Context(), measured)
	if got := a.Connected(); len(got) != 1 || got[0].RTT <= 0 {
		t.Errorf("got %v, want a round-trip time", got)
	}
	at := measured[peerOf(t, b)]
	a.measure(t.Context(), measured)
	if got := measured[peerOf(t, b)]; got != at {
		t.Errorf("measured again after %v, want after %v", got.Sub(at), rttEvery)
	}
	_ = b.Close()
	eventually(t, "b is gone", func() bool { return !connected(a, b) })
	if a.measure(t.Context(), measured); len(measured) > 0 {
		t.Error("a peer that is gone is remembered")
	}
}
