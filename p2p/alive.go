package p2p

import (
	"context"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	"github.com/multiformats/go-multistream"
)

// A peer that vanished without a word (its power, our network) stays connected
// for half a minute over QUIC and for many over TCP. Bootstrap peers and relays,
// through which others are found again, are asked every aliveEvery; the others
// when the network changed.
const (
	aliveEvery = 4 * time.Second
	aliveTime  = 3 * time.Second
	maxAlive   = 4 // peers asked each time

	rttEvery = time.Minute // how often the round-trip time to every peer is measured
	maxRTT   = 8           // peers at a time
)

func (h *Host) runAlive(ctx context.Context) {
	tick := time.NewTicker(aliveEvery)
	defer tick.Stop()
	measured := make(map[peer.ID]time.Time)
	h.measure(ctx, measured)
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
		h.measure(ctx, measured)
	}
}

// measure pings those of the connected peers that are due, for the sake of the
// round-trip time alone: one that does not answer may be busy.
func (h *Host) measure(ctx context.Context, measured map[peer.ID]time.Time) {
	peers := h.host.Network().Peers()
	maps.DeleteFunc(measured, func(id peer.ID, _ time.Time) bool { return !slices.Contains(peers, id) })
	now := time.Now()
	due := slices.DeleteFunc(peers, func(id peer.ID) bool { return now.Sub(measured[id]) < rttEvery })
	var wg sync.WaitGroup
	for _, id := range due[:min(len(due), maxRTT)] {
		measured[id] = now
		wg.Go(func() { _, _ = h.ping(ctx, id) })
	}
	wg.Wait()
}

// supersededAfter is how long after a connection another one from the same peer
// is not the other half of a simultaneous dial.
const supersededAfter = time.Second

// dropSuperseded closes what a peer left open that connects again: it only does
// so when it has no connection, so it crashed, or lost its network, and the old
// ones are dead. Else a few restarts in a row would use up its share of ours. What
// may be the other half of a simultaneous dial, and what we opened, is asked: one
// side would go on talking to a dead one for half a minute, and not to the peer.
func (h *Host) dropSuperseded(_ network.Network, c network.Conn) {
	if c.Stat().Direction != network.DirInbound || relayed(c.RemoteMultiaddr()) || !h.begin() {
		return
	}
	go func() { // closing one reports to whoever is told of this one
		defer h.wg.Done()
		var asked sync.WaitGroup
		defer asked.Wait()
		for _, old := range h.host.Network().ConnsToPeer(c.RemotePeer()) {
			later := c.Stat().Opened.Sub(old.Stat().Opened)
			switch {
			case old == c:
			case old.Stat().Direction == network.DirInbound && later > supersededAfter:
				_ = old.Close()
			case !relayed(old.RemoteMultiaddr()):
				asked.Go(func() {
					if isAlive(old) != nil {
						_ = old.Close()
					}
				})
			}
		}
	}()
}

// answersTime is how long a connection that may be dead has to show that it is not.
const answersTime = 2 * time.Second

// isAlive pings over one connection.
func isAlive(c network.Conn) error {
	ctx, cancel := context.WithTimeout(context.Background(), answersTime)
	defer cancel()
	s, err := c.NewStream(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = s.Reset() }()
	if err := s.SetDeadline(time.Now().Add(answersTime)); err != nil {
		return err
	}
	if err := multistream.SelectProtoOrFail(ping.ID, s); err != nil {
		return err
	}
	sent := make([]byte, ping.PingSize)
	if _, err := s.Write(sent); err != nil {
		return err
	}
	_, err = io.ReadFull(s, sent)
	return err
}

// dropDead closes the connections to those of the peers that do not answer.
func (h *Host) dropDead(ctx context.Context, peers []peer.ID) {
	var wg sync.WaitGroup
	for _, id := range peers {
		wg.Go(func() {
			if _, err := h.ping(ctx, id); err != nil && ctx.Err() == nil {
				h.log.Debug("a peer does not answer; connecting anew", "peer", id, "err", err)
				_ = h.host.Network().ClosePeer(id)
				h.known.soon(id)
			}
		})
	}
	wg.Wait()
}
