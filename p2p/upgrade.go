package p2p

import (
	"context"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch"
	ma "github.com/multiformats/go-multiaddr"
)

// libp2p tries to punch a hole once, when a relayed connection opens. A peer
// that is still reached by a relay alone is tried again:
//
//	relayed ──30 s, 60 s, … 5 min──► dial directly ──works──► close the relayed one
//	   ▲                                   │ fails, and both could punch a hole
//	   └──────── dial through the relay ◄──┘ close the relayed one
const (
	upgradeLook  = time.Second
	upgradeFirst = 30 * time.Second
	upgradeLast  = 5 * time.Minute
)

type upgrade struct {
	next  time.Time
	pause time.Duration
}

func (h *Host) runUpgrade(ctx context.Context) {
	tick := time.NewTicker(upgradeLook)
	defer tick.Stop()
	waiting := make(map[peer.ID]upgrade)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		peers := h.host.Network().Peers()
		for id := range waiting {
			if !slices.Contains(peers, id) {
				delete(waiting, id)
			}
		}
		for _, id := range peers {
			if h.direct(id) {
				h.closeRelayed(id)
				delete(waiting, id)
				continue
			}
			w, ok := waiting[id]
			switch {
			case !ok:
				waiting[id] = upgrade{time.Now().Add(upgradeFirst), upgradeFirst}
			case time.Now().After(w.next):
				h.tryUpgrade(ctx, id)
				pause := min(2*w.pause, upgradeLast)
				waiting[id] = upgrade{time.Now().Add(pause), pause}
			}
		}
	}
}

func (h *Host) tryUpgrade(ctx context.Context, id peer.ID) {
	if h.connect(ctx, peer.AddrInfo{ID: id}) == nil {
		h.closeRelayed(id)
		return
	}
	// The side that opened the connection opens it anew; the other one then
	// begins to punch.
	conns := h.host.Network().ConnsToPeer(id)
	if len(conns) == 0 || conns[0].Stat().Direction != network.DirOutbound || !h.canPunch(id) {
		return
	}
	through := conns[0].RemoteMultiaddr()
	h.closeRelayed(id)
	_ = h.connectRelayed(ctx, peer.AddrInfo{ID: id, Addrs: []ma.Multiaddr{through}})
}

// canPunch reports whether both sides know a public address of their own.
func (h *Host) canPunch(id peer.ID) bool {
	theirs, err := h.host.Peerstore().SupportsProtocols(id, holepunch.Protocol)
	return err == nil && len(theirs) > 0 && slices.Contains(h.host.Mux().Protocols(), holepunch.Protocol)
}

// closeRelayed closes the connections to a peer that go through a relay, so that
// nothing keeps using them.
func (h *Host) closeRelayed(id peer.ID) {
	for _, c := range h.host.Network().ConnsToPeer(id) {
		if relayed(c.RemoteMultiaddr()) {
			h.host.Peerstore().AddAddr(id, c.RemoteMultiaddr(), peerstore.RecentlyConnectedAddrTTL)
			_ = c.Close()
		}
	}
}
