package p2p

import (
	"context"
	"fmt"
	"slices"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// view is the host as gossip and the DHT see it: strangers are not connected,
// their streams are reset, and none is opened to them. GossipSub greets every
// peer that it takes for connected with the names of its topics.
type view struct {
	host.Host
	h *Host
	// came, if not nil, is called when a member opens a stream.
	came func(peer.ID)
	slow *throttle // nil: streams of members are read as fast as they come
}

// Network implements host.Host.
func (v view) Network() network.Network { return viewNetwork{v.Host.Network(), v.h} }

// SetStreamHandler implements host.Host.
func (v view) SetStreamHandler(p protocol.ID, serve network.StreamHandler) {
	v.Host.SetStreamHandler(p, v.gated(serve))
}

// SetStreamHandlerMatch implements host.Host.
func (v view) SetStreamHandlerMatch(p protocol.ID, match func(protocol.ID) bool, serve network.StreamHandler) {
	v.Host.SetStreamHandlerMatch(p, match, v.gated(serve))
}

func (v view) gated(serve network.StreamHandler) network.StreamHandler {
	return func(s network.Stream) {
		id := s.Conn().RemotePeer()
		if !v.h.admitted(id) {
			_ = s.Reset()
			return
		}
		if v.came != nil {
			v.came(id)
		}
		if v.slow != nil {
			s = v.slow.stream(s)
		}
		serve(s)
	}
}

// NewStream implements host.Host.
func (v view) NewStream(ctx context.Context, id peer.ID, protocols ...protocol.ID) (network.Stream, error) {
	if !v.h.admitted(id) {
		return nil, fmt.Errorf("p2p: open stream to %s: %w", id, ErrNotMember)
	}
	return v.Host.NewStream(ctx, id, protocols...)
}

// viewNetwork is the network of a view.
type viewNetwork struct {
	network.Network
	h *Host
}

// Connectedness implements network.Network.
func (n viewNetwork) Connectedness(id peer.ID) network.Connectedness {
	if !n.h.admitted(id) {
		return network.NotConnected
	}
	return n.Network.Connectedness(id)
}

// Peers implements network.Network.
func (n viewNetwork) Peers() []peer.ID { return n.h.members() }

// Conns implements network.Network.
func (n viewNetwork) Conns() []network.Conn {
	return slices.DeleteFunc(n.Network.Conns(), func(c network.Conn) bool { return !n.h.admitted(c.RemotePeer()) })
}

// ConnsToPeer implements network.Network.
func (n viewNetwork) ConnsToPeer(id peer.ID) []network.Conn {
	if !n.h.admitted(id) {
		return nil
	}
	return n.Network.ConnsToPeer(id)
}
