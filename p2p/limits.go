package p2p

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/libp2p/go-libp2p"
	corecm "github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/network"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"
	relaysvc "github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	"github.com/libp2p/go-libp2p/x/rate"
)

// Connections a node keeps: above the high mark those of least use are closed
// down to the low one. A home router copes with the first pair; a public node
// has others lean on it.
const (
	lowConns, highConns             = 16, 32
	lowConnsPublic, highConnsPublic = 64, 128

	connGrace = 20 * time.Second
)

// What peers together may take of a node, sized for a Raspberry Pi with 1 GB;
// beyond it a stream or a connection is refused.
const (
	netMemory       = 128 << 20
	netMemoryPublic = 512 << 20
	netFiles        = 512
	peerStreams     = 128 // in each direction, of one peer
	peerConns       = 16  // dead ones count until it shows
	peerMemory      = 32 << 20
	addressConns    = 64 // from one address: a household or an office behind a NAT
	addressRate     = 4  // new ones a second, after a burst of addressConns
)

// connLimits is the connection manager.
func (h *Host) connLimits() (corecm.ConnManager, error) {
	low, high := lowConns, highConns
	if h.startsPublic() {
		low, high = lowConnsPublic, highConnsPublic
	}
	return connmgr.NewConnManager(low, high, connmgr.WithGracePeriod(connGrace))
}

// resourceLimits is the resource manager.
func (h *Host) resourceLimits() (network.ResourceManager, error) {
	limits := rcmgr.DefaultLimits // a copy
	limits.PeerBaseLimit = rcmgr.BaseLimit{
		StreamsInbound: peerStreams, StreamsOutbound: peerStreams, Streams: 2 * peerStreams,
		ConnsInbound: peerConns, ConnsOutbound: peerConns, Conns: peerConns, FD: peerConns, Memory: peerMemory,
	}
	limits.PeerLimitIncrease = rcmgr.BaseLimitIncrease{}
	libp2p.SetDefaultServiceLimits(&limits)
	// Each circuit is two streams, and its ends may have one to every other node.
	limits.AddServiceLimit(relaysvc.ServiceName, rcmgr.BaseLimit{
		StreamsInbound: relayStreams, StreamsOutbound: relayStreams, Streams: relayStreams, Memory: relayMemory,
	}, rcmgr.BaseLimitIncrease{})
	limits.AddServicePeerLimit(relaysvc.ServiceName, rcmgr.BaseLimit{
		StreamsInbound: peerStreams, StreamsOutbound: peerStreams, Streams: peerStreams, Memory: peerMemory,
	}, rcmgr.BaseLimitIncrease{})
	memory := int64(netMemory)
	if h.startsPublic() {
		memory = netMemoryPublic
	}
	m, err := rcmgr.NewResourceManager(
		rcmgr.NewFixedLimiter(limits.Scale(memory, netFiles)),
		h.resourceMetrics(),
		rcmgr.WithLimitPerSubnet(
			[]rcmgr.ConnLimitPerSubnet{{ConnCount: addressConns, PrefixLength: 32}},
			[]rcmgr.ConnLimitPerSubnet{{ConnCount: addressConns, PrefixLength: 56}, {ConnCount: 8 * addressConns, PrefixLength: 48}}),
		// libp2p's own, one in five seconds after 16, keeps a node away that
		// comes back over a link that flaps.
		rcmgr.WithConnRateLimiters(&rate.Limiter{
			NetworkPrefixLimits: []rate.PrefixLimit{
				{Prefix: netip.MustParsePrefix("127.0.0.0/8")}, {Prefix: netip.MustParsePrefix("::1/128")},
			},
			SubnetRateLimiter: rate.SubnetLimiter{
				IPv4SubnetLimits: []rate.SubnetLimit{{PrefixLength: 32, Limit: rate.Limit{RPS: addressRate, Burst: addressConns}}},
				IPv6SubnetLimits: []rate.SubnetLimit{{PrefixLength: 56, Limit: rate.Limit{RPS: addressRate, Burst: addressConns}}},
				GracePeriod:      time.Minute,
			},
		}),
	)
	if err != nil {
		return nil, fmt.Errorf("limits: %w", err)
	}
	return m, nil
}

// full reports whether the node has the connections it looks for: others may
// still come.
func (h *Host) full() bool { return len(h.members()) >= lowConns }
