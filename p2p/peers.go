package p2p

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// Way is how a peer is reached.
type Way string

// The ways, best first.
const (
	LAN     Way = "lan"     // on this machine, or at an address of a network that it is in
	Direct  Way = "direct"  // at an address beyond
	Punched Way = "punched" // through NATs in which both sides made a hole at the same time
	Relayed Way = "relayed" // through another node
)

// punchedTag is of a peer to which a hole was punched. The connection manager
// forgets it with the last connection.
const punchedTag = "numax/punched"

// Peer is a connected peer.
type Peer struct {
	ID     string
	Addr   string        // of one connection, a direct one if there is one
	Way    Way           // of that connection
	Member bool          // it is admitted
	RTT    time.Duration // 0 = not measured
}

// Connected are the connected peers, by id.
func (h *Host) Connected() []Peer {
	own := ownNets()
	var peers []Peer
	for _, id := range h.host.Network().Peers() {
		p := Peer{ID: id.String(), Member: h.admitted(id), RTT: h.host.Peerstore().LatencyEWMA(id)}
		for _, c := range h.host.Network().ConnsToPeer(id) {
			if a := c.RemoteMultiaddr(); p.Addr == "" || p.Way == Relayed && !relayed(a) {
				p.Addr, p.Way = a.String(), h.way(id, a, own)
			}
		}
		peers = append(peers, p)
	}
	slices.SortFunc(peers, func(a, b Peer) int { return strings.Compare(a.ID, b.ID) })
	return peers
}

func (h *Host) way(id peer.ID, a ma.Multiaddr, own []netip.Prefix) Way {
	if relayed(a) {
		return Relayed
	}
	if ip, err := manet.ToIP(a); err == nil {
		at, _ := netip.AddrFromSlice(ip)
		at = at.Unmap()
		if at.IsLoopback() || slices.ContainsFunc(own, func(n netip.Prefix) bool { return n.Contains(at) }) {
			return LAN
		}
	}
	if info := h.host.ConnManager().GetTagInfo(id); info != nil && info.Tags[punchedTag] > 0 {
		return Punched
	}
	return Direct
}

// ownNets are the networks of this machine's interfaces.
func ownNets() []netip.Prefix {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	return prefixes(addrs)
}

// punches notes to whom a hole was punched.
type punches struct{ conns connmgr.ConnManager }

// Trace implements holepunch.EventTracer.
func (p punches) Trace(e *holepunch.Event) {
	if end, ok := e.Evt.(*holepunch.EndHolePunchEvt); ok && end.Success {
		p.conns.TagPeer(e.Remote, punchedTag, 1)
	}
}

// Connect connects to a peer by its full address.
func (h *Host) Connect(ctx context.Context, addr string) error {
	info, err := ParsePeer(addr)
	if err != nil {
		return err
	}
	if h.blocked.has(info.ID) {
		return fmt.Errorf("p2p: connect to %s: %w", info.ID, errBlocked)
	}
	clearBackoff(h.host.Network(), info.ID)
	return h.host.Connect(ctx, info)
}

// Disconnect closes the connections to a peer, which it may open again. A known
// peer is not dialled for restEvery.
func (h *Host) Disconnect(peerID string) error {
	id, err := h.connectedPeer("disconnect", peerID)
	if err != nil {
		return err
	}
	h.known.met(id) // or it is noted afterwards, without its rest
	h.known.later(id)
	return h.host.Network().ClosePeer(id)
}

// Ping measures the round-trip time to a connected peer.
func (h *Host) Ping(ctx context.Context, peerID string) (time.Duration, error) {
	id, err := h.connectedPeer("ping", peerID)
	if err != nil {
		return 0, err
	}
	rtt, err := h.ping(ctx, id)
	if err != nil {
		return 0, fmt.Errorf("p2p: ping %s: no answer within %v: %w", peerID, aliveTime, err)
	}
	return rtt, nil
}

func (h *Host) connectedPeer(act, peerID string) (peer.ID, error) {
	id, err := parsePeerID(peerID)
	if err == nil && h.host.Network().Connectedness(id) == network.NotConnected {
		err = fmt.Errorf("p2p: %s %s: it is not connected", act, peerID)
	}
	return id, err
}

// ping waits until the peer answers.
func (h *Host) ping(ctx context.Context, id peer.ID) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, aliveTime)
	defer cancel()
	select {
	case got, ok := <-ping.Ping(ctx, h.host, id):
		if !ok {
			return 0, ctx.Err()
		}
		return got.RTT, got.Error
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}
