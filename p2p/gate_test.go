package p2p

import (
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// A host on loopback dials loopback, and elsewhere only who was named.
func TestLoopbackGate(t *testing.T) {
	relay := peerOf(t, open(t, "relay", Config{}))
	stranger := peerOf(t, open(t, "stranger", Config{}))
	g := gate{loopback: true, bootstrap: &bootstrap{
		sources: []source{{text: "x"}}, said: map[string][]peer.AddrInfo{"x": {{ID: "named"}, {ID: relay}}},
	}}
	for _, c := range []struct {
		id   peer.ID
		addr string
		want bool
	}{
		{"other", "/ip4/127.0.0.1/tcp/1", true},
		{"other", "/ip6/::1/udp/1/quic-v1", true},
		{"other", "/ip4/198.51.100.7/tcp/1", false},
		{"other", "/dns4/example.org/tcp/1", false},
		{"named", "/ip4/198.51.100.7/tcp/1", true},
		{"other", "/ip4/198.51.100.7/tcp/1/p2p/" + relay.String() + "/p2p-circuit", true},
		{"named", "/ip4/198.51.100.7/tcp/1/p2p/" + stranger.String() + "/p2p-circuit", false},
		{"other", "/ip4/127.0.0.1/tcp/1/p2p/" + stranger.String() + "/p2p-circuit", true},
	} {
		if got := g.InterceptAddrDial(c.id, ma.StringCast(c.addr)); got != c.want {
			t.Errorf("dial %s at %s: got %v, want %v", c.id, c.addr, got, c.want)
		}
	}
}
