package p2p

import (
	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// loopbackGate keeps a host that listens on loopback alone from dialling out,
// whatever addresses it hears of: only loopback, and the bootstrap peers that
// the user named. A circuit goes through a relay, which passes here itself.
type loopbackGate struct {
	bootstrap *bootstrap
	firewall  func(peer.ID, ma.Multiaddr) bool // nil: none
}

// InterceptAddrDial implements connmgr.ConnectionGater.
func (g loopbackGate) InterceptAddrDial(id peer.ID, a ma.Multiaddr) bool {
	if g.firewall != nil && !g.firewall(id, a) {
		return false
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

// The rest of the interface lets everything pass.
func (loopbackGate) InterceptPeerDial(peer.ID) bool              { return true }
func (loopbackGate) InterceptAccept(network.ConnMultiaddrs) bool { return true }
func (loopbackGate) InterceptSecured(network.Direction, peer.ID, network.ConnMultiaddrs) bool {
	return true
}

func (loopbackGate) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }
