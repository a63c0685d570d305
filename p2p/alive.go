package p2p

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
)

// A peer that vanished without a word (its power, our network) stays connected
// for half a minute over QUIC and for many over TCP. Bootstrap peers and relays,
// through which others are found again, are asked every aliveEvery; the others
// when the network changed.
const (
	aliveEvery = 4 * time.Second
	aliveTime  = 3 * time.Second
	maxAlive   = 4 // peers asked each time
)

func (h *Host) runAlive(ctx context.Context) {
	tick := time.NewTicker(aliveEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		anchors := h.relays.relays()
		for _, id := range h.bootstrap.ids() {
			if !slices.Contains(anchors, id) {
				anchors = append(anchors, id)
			}
		}
		anchors = slices.DeleteFunc(anchors, func(id peer.ID) bool { return !h.direct(id) })
		h.dropDead(ctx, anchors[:min(len(anchors), maxAlive)])
	}
}

// dropDead closes the connections to those of the peers that do not answer.
func (h *Host) dropDead(ctx context.Context, peers []peer.ID) {
	var wg sync.WaitGroup
	for _, id := range peers {
		wg.Go(func() {
			if err := h.ping(ctx, id); err != nil && ctx.Err() == nil {
				h.log.Debug("a peer does not answer; connecting anew", "peer", id, "err", err)
				_ = h.host.Network().ClosePeer(id)
				h.known.soon(id)
			}
		})
	}
	wg.Wait()
}

// ping waits until the peer answers.
func (h *Host) ping(ctx context.Context, id peer.ID) error {
	ctx, cancel := context.WithTimeout(ctx, aliveTime)
	defer cancel()
	select {
	case got, ok := <-ping.Ping(ctx, h.host, id):
		if !ok {
			return ctx.Err()
		}
		return got.Error
	case <-ctx.Done():
		return ctx.Err()
	}
}
