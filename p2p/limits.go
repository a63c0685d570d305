package p2p

import (
	"cmp"
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

// Limits are what peers may take of a node. Zero fields mean the defaults.
type Limits struct {
	Connections int   // above it those of least use are closed, down to half
	Memory      int64 // bytes, of all peers together
	PeerStreams int   // of one peer, in each direction
	AddressRate int   // new connections a second from one address
}

// Check refuses limits with which a node would not work.
func (l Limits) Check() error {
	switch {
	case l.Connections != 0 && (l.Connections < minConns || l.Connections > 1<<16):
		return fmt.Errorf("max-connections: %d: want %d to %d, or 0 for the default", l.Connections, minConns, 1<<16)
	case l.Memory != 0 && l.Memory < minMemory:
		return fmt.Errorf("network-memory: %d bytes: want at least %d MiB, or 0 for the default", l.Memory, minMemory>>20)
	case l.PeerStreams != 0 && (l.PeerStreams < minStreams || l.PeerStreams > 1<<16):
		return fmt.Errorf("peer-streams: %d: want %d to %d", l.PeerStreams, minStreams, 1<<16)
	case l.AddressRate < 0:
		return fmt.Errorf("address-rate: %d: want 1 or more", l.AddressRate)
	}
	return nil
}

// The least that a node works with.
const (
	minConns   = 4
	minMemory  = 32 << 20
	minStreams = 16
)

// Connections a node keeps: a home router copes with the first, a public node
// has others lean on it. Those of the last seconds are spared.
const (
	highConns       = 32
	highConnsPublic = 128
	connGrace       = 20 * time.Second
)

// conns are the marks between which the number of connections moves.
func (h *Host) conns() (low, high int) {
	high = cmp.Or(h.cfg.Limits.Connections, highConns)
	if h.cfg.Limits.Connections == 0 && h.startsPublic() {
		high = highConnsPublic
	}
	return high / 2, high
}

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
	low, high := h.conns()
	return connmgr.NewConnManager(low, high, connmgr.WithGracePeriod(connGrace))
}

// Beyond the high mark connections are still taken, until those of the last
// seconds may be closed. With libp2p's own limits, a public node would refuse
// before it ever closed one: what comes late, when many start at once, would
// never get in.
const (
	roomInbound  = 2 // times the high mark
	roomOutbound = 2
	roomAll      = 3
)

// limiter says what the resource manager lets through.
func (h *Host) limiter() rcmgr.Limiter {
	limits := rcmgr.DefaultLimits // a copy
	peerStreams := cmp.Or(h.cfg.Limits.PeerStreams, peerStreams)
	_, high := h.conns()
	limits.SystemBaseLimit.ConnsInbound = roomInbound * high
	limits.SystemBaseLimit.ConnsOutbound = roomOutbound * high
	limits.SystemBaseLimit.Conns = roomAll * high
	limits.SystemLimitIncrease.ConnsInbound, limits.SystemLimitIncrease.ConnsOutbound, limits.SystemLimitIncrease.Conns = 0, 0, 0
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
	memory := cmp.Or(h.cfg.Limits.Memory, netMemory)
	if h.cfg.Limits.Memory == 0 && h.startsPublic() {
		memory = netMemoryPublic
	}
	return rcmgr.NewFixedLimiter(limits.Scale(memory, netFiles))
}

// resourceLimits is the resource manager.
func (h *Host) resourceLimits() (network.ResourceManager, error) {
	rps := float64(cmp.Or(h.cfg.Limits.AddressRate, addressRate))
	m, err := rcmgr.NewResourceManager(
		h.limiter(),
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
				IPv4SubnetLimits: []rate.SubnetLimit{{PrefixLength: 32, Limit: rate.Limit{RPS: rps, Burst: addressConns}}},
				IPv6SubnetLimits: []rate.SubnetLimit{{PrefixLength: 56, Limit: rate.Limit{RPS: rps, Burst: addressConns}}},
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
func (h *Host) full() bool {
	low, _ := h.conns()
	return len(h.members()) >= low
}
