package p2p

import (
	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// gate says which connections there may be at all: none to or from a blocked
// peer. And it keeps a host that listens on loopback alone from dialling out,
// whatever addresses it hears of: only loopback, and the bootstrap peers that the
// user named. A circuit goes through a relay, which passes here itself.
type gate struct {
	blocked   *blocked
	loopback  bool
	bootstrap *bootstrap
	firewall  func(peer.ID, ma.Multiaddr) bool // nil: none
}

// InterceptPeerDial implements connmgr.ConnectionGater.
func (g gate) InterceptPeerDial(id peer.ID) bool { return !g.blocked.has(id) }

// InterceptAddrDial implements connmgr.ConnectionGater.
func (g gate) InterceptAddrDial(id peer.ID, a ma.Multiaddr) bool {
	if g.firewall != nil && !g.firewall(id, a) {
		return false
	}
	if !g.loopback {
		return true
	}
	if relayed(a) {
		via, err := a.ValueForProtocol(ma.P_P2P)
		if err != nil {
			return false
		}
		if id, err = peer.Decode(via); err != nil {
			return false
		}
	}
	return manet.IsIPLoopback(a) || g.bootstrap.names(id)
}

// InterceptSecured implements connmgr.ConnectionGater: now it is known who it is.
func (g gate) InterceptSecured(_ network.Direction, id peer.ID, _ network.ConnMultiaddrs) bool {
	return !g.blocked.has(id)
}

// The rest of the interface lets everything pass.
func (gate) InterceptAccept(network.ConnMultiaddrs) bool                     { return true }
func (gate) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }
