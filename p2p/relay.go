package p2p

import (
	"context"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	"github.com/libp2p/go-libp2p/p2p/protocol/identify"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// Limits of a relay. A circuit has none of time or size: libp2p's own, two
// minutes and 128 KiB, would cut a sync. What is bounded is their number; what
// is beyond is refused, and the refused node says so in its log.
const (
	relayReservations = 128
	relayPerAddress   = 64 // reservations: a household or an office behind a NAT
	relayCircuits     = 64 // of one node
	relayBuffer       = 16 << 10
	relayStreams      = 1024
	relayMemory       = 64 << 20
	relayTTL          = time.Hour

	identifyTime = 5 * time.Second
)

func (h *Host) newRelay() (*relay.Relay, error) {
	resources := relay.DefaultResources()
	resources.Limit = nil
	resources.ReservationTTL = relayTTL
	resources.MaxReservations = relayReservations
	resources.MaxReservationsPerIP = relayPerAddress
	resources.MaxReservationsPerASN = relayReservations
	resources.MaxCircuits = relayCircuits
	resources.BufferSize = relayBuffer
	return relay.New(h.host,
		relay.WithResources(resources),
		h.relayMetrics(),
		relay.WithACL(relayACL{h}),
		// A relay between two private LANs is at a private address.
		relay.WithReservationAddressFilter(func(a ma.Multiaddr) bool {
			return !relayed(a) && (h.loopback || !manet.IsIPLoopback(a))
		}))
}

// relayACL lets members have a place at the relay. A stranger of this network
// may reach one: where else would it become a member?
type relayACL struct{ h *Host }

// AllowReserve implements relay.ACLFilter.
func (a relayACL) AllowReserve(id peer.ID, _ ma.Multiaddr) bool { return a.member(id) }

// AllowConnect implements relay.ACLFilter.
func (a relayACL) AllowConnect(from peer.ID, _ ma.Multiaddr, to peer.ID) bool {
	return a.member(to) && (a.member(from) || a.h.ours(from))
}

func (a relayACL) member(id peer.ID) bool {
	if a.h.closed() {
		return a.h.admitted(id)
	}
	return a.h.ours(id)
}

// marker is the protocol that every node of this network speaks, and no other.
// It carries nothing: to have it in identify is what it is for.
func (h *Host) marker() protocol.ID { return protocol.ID("/numax/" + h.cfg.Tag + "/node/1") }

// ours reports whether a connected peer is of this network, once it said what it
// speaks.
func (h *Host) ours(id peer.ID) bool {
	ctx, cancel := context.WithTimeout(h.ctx, identifyTime)
	defer cancel()
	for _, c := range h.host.Network().ConnsToPeer(id) {
		if !h.identified(ctx, c) {
			return false
		}
	}
	got, err := h.host.Peerstore().SupportsProtocols(id, h.marker())
	return err == nil && len(got) > 0
}

// identified waits until the peer of a connection said what it speaks.
func (h *Host) identified(ctx context.Context, c network.Conn) bool {
	ids, ok := h.host.(interface{ IDService() identify.IDService })
	if !ok {
		return true
	}
	select {
	case <-ids.IDService().IdentifyWait(c):
		return true
	case <-ctx.Done():
		return false
	}
}

// relayed reports whether an address goes through a relay.
func relayed(a ma.Multiaddr) bool {
	_, err := a.ValueForProtocol(ma.P_CIRCUIT)
	return err == nil
}

// directConns are the ids of the connections to a peer that no relay is part of.
func (h *Host) directConns(id peer.ID) []string {
	var ids []string
	for _, c := range h.host.Network().ConnsToPeer(id) {
		if !relayed(c.RemoteMultiaddr()) {
			ids = append(ids, c.ID())
		}
	}
	return ids
}

// anyOpen reports whether one of the connections to a peer is still there.
func (h *Host) anyOpen(id peer.ID, conns []string) bool {
	return slices.ContainsFunc(h.directConns(id), func(c string) bool { return slices.Contains(conns, c) })
}

// direct reports whether a peer is connected other than through a relay.
func (h *Host) direct(id peer.ID) bool { return len(h.directConns(id)) > 0 }

// isConnected reports whether a peer is connected, be it through a relay.
func (h *Host) isConnected(id peer.ID) bool { return len(h.host.Network().ConnsToPeer(id)) > 0 }
