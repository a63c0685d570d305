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
// the user named.
type loopbackGate struct{ named map[peer.ID]bool }

// InterceptAddrDial implements connmgr.ConnectionGater.
func (g loopbackGate) InterceptAddrDial(id peer.ID, a ma.Multiaddr) bool {
	return manet.IsIPLoopback(a) || g.named[id]
}

// The rest of the interface lets everything pass.
func (loopbackGate) InterceptPeerDial(peer.ID) bool              { return true }
func (loopbackGate) InterceptAccept(network.ConnMultiaddrs) bool { return true }
func (loopbackGate) InterceptSecured(network.Direction, peer.ID, network.ConnMultiaddrs) bool {
	return true
}

func (loopbackGate) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }
