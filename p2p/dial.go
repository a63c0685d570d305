package p2p

import (
	"context"
	"errors"
	"slices"
	"time"

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

// headStart is what a direct dial gets before a relay is tried beside it: what a
// router drops without a word would cost the whole dialTimeout.
const headStart = 500 * time.Millisecond

// reach connects to a peer directly or, if that fails or takes long, through a
// relay. If both work, the upgrade loop closes the relayed connection.
func (h *Host) reach(ctx context.Context, info peer.AddrInfo) error {
	if info.ID == h.host.ID() {
		return nil
	}
	direct := make(chan error, 1)
	go func() { direct <- h.connect(ctx, info) }()
	select {
	case err := <-direct:
		if err == nil || ctx.Err() != nil {
			return err
		}
		if more := h.connectRelayed(ctx, info); more != nil {
			return errors.Join(err, more)
		}
		return nil
	case <-time.After(headStart):
	}
	relayed := h.connectRelayed(ctx, info)
	err := <-direct
	if err == nil || relayed == nil {
		return nil
	}
	return errors.Join(err, relayed)
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
