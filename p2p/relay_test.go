package p2p

import (
	"bytes"
	"context"
	"io"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	ma "github.com/multiformats/go-multiaddr"
)

// site is a relay and two nodes that know it alone. Firewalls keep the two from
// each other while closed is set.
type site struct {
	relay, a, b *Host
	port        string
	closed      atomic.Bool
}

func newSite(t *testing.T) *site {
	s := &site{port: freePort(t)}
	s.closed.Store(true)
	s.relay = s.newRelay(t)
	behind := Config{
		Reachability: Private, Bootstrap: s.relay.Addrs(),
		firewall: func(_ peer.ID, a ma.Multiaddr) bool {
			if relayed(a) || !s.closed.Load() {
				return true
			}
			tcp, err := a.ValueForProtocol(ma.P_TCP)
			return err == nil && tcp == s.port
		},
	}
	s.a, s.b = open(t, "a", behind), open(t, "b", behind)
	return s
}

func (s *site) newRelay(t *testing.T) *Host {
	r := open(t, "relay", Config{Reachability: Public, Listen: []string{"/ip4/127.0.0.1/tcp/" + s.port}})
	run(t, r)
	return r
}

// through reports whether a and b are connected, and only by a relay.
func (s *site) through() bool {
	i := slices.IndexFunc(s.a.Connected(), func(p Peer) bool { return p.ID == s.b.ID() })
	return i >= 0 && s.a.Connected()[i].Way == Relayed
}

// Two nodes that cannot reach each other meet at a relay by its address alone,
// and more goes through it than libp2p's limits would let pass.
func TestRelay(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.b.Handle("/test", func(_ context.Context, _ string, c io.ReadWriteCloser) {
		_, _ = io.Copy(c, c)
		_ = c.Close()
	}, nil)
	run(t, s.a)
	run(t, s.b)
	eventually(t, "connected through the relay", s.through)
	eventually(t, "a relayed peer counts as one that speaks the protocol", func() bool {
		return slices.Contains(s.a.PeersOf("/test"), s.b.ID())
	})
	stream, err := s.a.Open(t.Context(), s.b.ID(), "/test")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	sent := bytes.Repeat([]byte("numax"), 1<<20)
	go func() { _, _ = stream.Write(sent) }()
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(stream, got); err != nil || !bytes.Equal(got, sent) {
		t.Errorf("echo of %d bytes through the relay: %v", len(sent), err)
	}
}

// A relay that was gone is used again as soon as it is back.
func TestRelayComesBack(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	run(t, s.a)
	run(t, s.b)
	eventually(t, "connected through the relay", s.through)
	_ = s.relay.Close()
	eventually(t, "disconnected", func() bool { return !connected(s.a, s.b) })
	s.relay = s.newRelay(t)
	eventually(t, "connected through the relay again", s.through)
}

// A relayed connection becomes a direct one when that is possible.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	run(t, s.a)
	run(t, s.b)
	eventually(t, "connected through the relay", s.through)
	s.a.tryUpgrade(t.Context(), peerOf(t, s.b))
	if !s.through() {
		t.Fatal("lost the connection to a failed upgrade")
	}
	s.closed.Store(false)
	eventually(t, "direct alone", func() bool {
		// The other side may just have dialled the relay once more.
		s.a.tryUpgrade(t.Context(), peerOf(t, s.b))
		return !slices.ContainsFunc(s.a.host.Network().ConnsToPeer(peerOf(t, s.b)),
			func(c network.Conn) bool { return relayed(c.RemoteMultiaddr()) }) && connected(s.a, s.b)
	})
}

// A relay serves its network, or the members alone if that is closed.
func TestRelayAdmits(t *testing.T) {
	t.Parallel()
	admitted := open(t, "admitted", Config{Tag: "other"})
	for _, c := range []struct {
		name  string
		node  *Host
		admit func(string) bool
		want  bool
	}{
		{"a node of the network", open(t, "member", Config{}), nil, true},
		{"a stranger", open(t, "stranger", Config{Tag: "other"}), nil, false},
		{"a member that does not say so", admitted, func(id string) bool { return id == admitted.ID() }, true},
		{"a node that is no member", open(t, "refused", Config{}), func(string) bool { return false }, false},
	} {
		r := open(t, c.name, Config{Reachability: Public, Admitted: c.admit})
		connect(t, c.node, r)
		_, err := client.Reserve(t.Context(), c.node.host, peer.AddrInfo{ID: peerOf(t, r)})
		if (err == nil) != c.want {
			t.Errorf("%s: got %v, want a place: %t", c.name, err, c.want)
		}
	}
}
