package p2p

import (
	"context"
	"errors"
	"slices"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	ma "github.com/multiformats/go-multiaddr"
)

// connect dials a peer directly and past the swarm's backoff.
func (h *Host) connect(ctx context.Context, info peer.AddrInfo) error {
	if info.ID == h.host.ID() {
		return nil
	}
	ctx, cancel := context.WithTimeout(network.WithForceDirectDial(ctx, "known peer"), dialTimeout)
	defer cancel()
	h.host.Peerstore().AddAddrs(info.ID, info.Addrs, peerstore.TempAddrTTL)
	return h.host.Connect(ctx, info)
}

// reach connects to a peer directly or, if that fails, through a relay.
func (h *Host) reach(ctx context.Context, info peer.AddrInfo) error {
	if info.ID == h.host.ID() {
		return nil
	}
	err := h.connect(ctx, info)
	if err == nil || ctx.Err() != nil {
		return err
	}
	if more := h.connectRelayed(ctx, info); more != nil {
		return errors.Join(err, more)
	}
	return nil
}

var errNoRelay = errors.New("no relay is connected that could lead there")

// connectRelayed tries the relays that the peer is said to be at, and those of
// our own: two nodes that have one in common need to know nothing else.
func (h *Host) connectRelayed(ctx context.Context, info peer.AddrInfo) error {
	circuits := slices.DeleteFunc(slices.Concat(info.Addrs, h.host.Peerstore().Addrs(info.ID)),
		func(a ma.Multiaddr) bool { return !relayed(a) })
	for _, id := range h.relays.known() {
		for _, c := range h.host.Network().ConnsToPeer(id) {
			if a := c.RemoteMultiaddr(); id != info.ID && !relayed(a) {
				circuits = append(circuits, a.Encapsulate(ma.StringCast("/p2p/"+id.String()+"/p2p-circuit")))
			}
		}
	}
	if circuits = ma.Unique(circuits); len(circuits) == 0 {
		return errNoRelay
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	clearBackoff(h.host.Network(), info.ID)
	return h.host.Connect(ctx, peer.AddrInfo{ID: info.ID, Addrs: circuits})
}
