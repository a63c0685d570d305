package p2p

import (
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
