package p2p

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/pb"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/proto"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// A node that is not public keeps a place at up to maxRelays of the relays it is
// connected to, and tells its peers the addresses that go through them. Unlike
// libp2p's autorelay it does not wait to be sure that it is behind a NAT, goes
// back within seconds to a relay that was gone, and takes a relay at a private
// address, between two LANs, for what it is.
const (
	maxRelays      = 2
	maxRelayAddrs  = 8 // of one relay
	reserveEvery   = time.Second
	reserveTime    = 5 * time.Second
	reservePause   = 5 * time.Second // after a refusal
	reserveRenewal = relayTTL / 2
	relayWeight    = "numax/relay" // of the connection to a relay
)

type reservations struct {
	h *Host

	mu   sync.Mutex // guards held
	held map[peer.ID]reservation

	// Of run alone.
	paused map[peer.ID]time.Time
	warned map[peer.ID]bool
	told   []ma.Multiaddr
}

type reservation struct {
	addrs []ma.Multiaddr // …/p2p/<relay>/p2p-circuit
	conns []string       // ids; the relay forgets us when the last of them ends
	renew time.Time
}

func newReservations(h *Host) *reservations {
	return &reservations{
		h: h, held: make(map[peer.ID]reservation),
		paused: make(map[peer.ID]time.Time), warned: make(map[peer.ID]bool),
	}
}

func (r *reservations) run(ctx context.Context) {
	emit, err := r.h.host.EventBus().Emitter(new(event.EvtAutoRelayAddrsUpdated), eventbus.Stateful)
	if err != nil {
		r.h.log.Error("cannot use relays", "err", err)
		return
	}
	defer emit.Close()
	tick := time.NewTicker(reserveEvery)
	defer tick.Stop()
	for {
		r.keep(ctx)
		if addrs := r.addrs(); !slices.EqualFunc(addrs, r.told, ma.Multiaddr.Equal) {
			r.told = addrs
			if err := emit.Emit(event.EvtAutoRelayAddrsUpdated{RelayAddrs: addrs}); err != nil {
				r.h.log.Debug("cannot tell the addresses through relays", "err", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// keep drops what ended and makes up for it.
func (r *reservations) keep(ctx context.Context) {
	now := time.Now()
	public := r.h.Public()
	var due []peer.ID
	r.mu.Lock()
	for id, x := range r.held {
		switch {
		case public || !r.h.anyOpen(id, x.conns):
			delete(r.held, id)
			r.h.host.ConnManager().Unprotect(id, relayWeight)
		case now.After(x.renew):
			due = append(due, id)
		}
	}
	missing := maxRelays - len(r.held)
	r.mu.Unlock()
	maps.DeleteFunc(r.paused, func(_ peer.ID, until time.Time) bool { return now.After(until) })
	if !public && missing > 0 {
		more := r.candidates()
		due = append(due, more[:min(missing, len(more))]...)
	}
	for _, id := range due {
		r.reserve(ctx, id)
	}
}

// candidates are the connected relays that hold no place for us, in any order.
func (r *reservations) candidates() []peer.ID {
	var found []peer.ID
	for _, id := range r.known() {
		if _, ok := r.paused[id]; !ok && !r.holds(id) {
			found = append(found, id)
		}
	}
	rand.Shuffle(len(found), func(i, j int) { found[i], found[j] = found[j], found[i] })
	return found
}

// known are the connected peers that serve as relays, whether they hold a place
// for us or not.
func (r *reservations) known() []peer.ID {
	return slices.DeleteFunc(r.h.host.Network().Peers(), func(id peer.ID) bool {
		got, err := r.h.host.Peerstore().SupportsProtocols(id, proto.ProtoIDv2Hop)
		return err != nil || len(got) == 0 || !r.h.direct(id)
	})
}

func (r *reservations) holds(id peer.ID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.held[id]
	return ok
}

func (r *reservations) reserve(ctx context.Context, id peer.ID) {
	ctx, cancel := context.WithTimeout(network.WithNoDial(ctx, "a connected relay"), reserveTime)
	defer cancel()
	got, err := client.Reserve(ctx, r.h.host, peer.AddrInfo{ID: id})
	if err != nil {
		r.paused[id] = time.Now().Add(reservePause)
		if refused := (client.ReservationError{}); errors.As(err, &refused) && !r.warned[id] {
			switch refused.Status {
			case pb.Status_RESERVATION_REFUSED, pb.Status_RESOURCE_LIMIT_EXCEEDED:
				r.warned[id] = true
				r.h.log.Warn("the relay is full; nodes that cannot connect to this one directly do not reach it through this relay", "relay", id)
			case pb.Status_PERMISSION_DENIED:
				r.h.log.Debug("the relay does not serve this network", "relay", id)
			}
		}
		return
	}
	delete(r.warned, id)
	renew := time.Now().Add(reserveRenewal)
	if half := time.Now().Add(time.Until(got.Expiration) / 2); half.Before(renew) {
		renew = half
	}
	r.h.host.ConnManager().Protect(id, relayWeight)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held[id] = reservation{r.through(id, got.Addrs), r.h.directConns(id), renew}
}

// through are addresses that lead to this node through a relay: where we reach
// it first, then where it says it is.
func (r *reservations) through(id peer.ID, said []ma.Multiaddr) []ma.Multiaddr {
	circuit := ma.StringCast("/p2p/" + id.String() + "/p2p-circuit")
	var addrs []ma.Multiaddr
	note := func(a ma.Multiaddr) {
		if len(a) == 0 || relayed(a) || len(addrs) >= maxRelayAddrs || !r.h.loopback && manet.IsIPLoopback(a) {
			return
		}
		if a = a.Encapsulate(circuit); !slices.ContainsFunc(addrs, a.Equal) {
			addrs = append(addrs, a)
		}
	}
	for _, c := range r.h.host.Network().ConnsToPeer(id) {
		if c.Stat().Direction == network.DirOutbound {
			note(c.RemoteMultiaddr())
		}
	}
	for _, a := range said {
		if base, _ := peer.SplitAddr(a); base != nil {
			note(base)
		}
	}
	return addrs
}

// addrs are all addresses through relays, in order.
func (r *reservations) addrs() []ma.Multiaddr {
	r.mu.Lock()
	defer r.mu.Unlock()
	var addrs []ma.Multiaddr
	for _, x := range r.held {
		addrs = append(addrs, x.addrs...)
	}
	slices.SortFunc(addrs, ma.Multiaddr.Compare)
	return addrs
}

// relays are the relays that hold a place for us.
func (r *reservations) relays() []peer.ID {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(maps.Keys(r.held))
}
