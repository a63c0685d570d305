package p2p

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// A host whose Config has Admitted is of a closed network. Whoever knows the
// address may connect: a certificate is shown over a connection. But
//
//	                        stranger               member
//	identify, ping, …       yes                    yes
//	HandleAny               yes, strangerStreams   yes
//	Handle, gossip, DHT     reset at once          yes
//	Open                    HandleAny's alone      yes
//	a place at our relay    no                     yes
//	in the book of peers    no                     yes
//	kept                    strangerTime           until removed
//
// Gossip and the DHT see the host through a view without strangers (view.go).
// A bootstrap peer and a relay that holds a place for us stay connected,
// members or not.
const (
	strangerTime    = 30 * time.Second // to become a member
	maxStrangers    = 16               // connected at a time; beyond, the one that came first goes
	strangerStreams = 4                // of one stranger at a time; beyond, they are reset
	admitEvery      = time.Second      // certificates expire without a word

	memberTag    = "numax/member" // of the connection to a member: strangers are trimmed first
	memberWeight = 50
)

// ErrNotMember is why nothing is opened to a connected peer that Config.Admitted
// does not let in.
var ErrNotMember = errors.New("not a member of this network")

// admission keeps strangers apart from members.
type admission struct {
	h *Host

	mu      sync.Mutex // guards the fields below
	peers   map[peer.ID]standing
	streams map[peer.ID]int      // that strangers opened
	anyone  map[protocol.ID]bool // protocols of HandleAny
}

// standing is what a connected peer was when we last asked.
type standing struct {
	member bool
	since  time.Time
}

func newAdmission(h *Host) *admission {
	return &admission{
		h: h, peers: make(map[peer.ID]standing), streams: make(map[peer.ID]int), anyone: make(map[protocol.ID]bool),
	}
}

// closed reports whether there is anybody to keep out.
func (h *Host) closed() bool { return h.cfg.Admitted != nil }

// admitted reports whether a peer is a member; in an open network all are.
func (h *Host) admitted(id peer.ID) bool { return !h.closed() || h.cfg.Admitted(id.String()) }

// members are the connected peers that are admitted.
func (h *Host) members() []peer.ID {
	return slices.DeleteFunc(h.host.Network().Peers(), func(id peer.ID) bool { return !h.admitted(id) })
}

// Readmit asks Config.Admitted anew about every connected peer, for when its
// answers changed. Those that are members no more are disconnected, which resets
// their streams; those that became members take part from now on.
func (h *Host) Readmit() {
	if h.closed() && h.begin() {
		defer h.wg.Done()
		h.admission.look(time.Now())
	}
}

func (a *admission) run(ctx context.Context) {
	if !a.h.closed() {
		return
	}
	tick := time.NewTicker(admitEvery)
	defer tick.Stop()
	for {
		a.look(time.Now())
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// connected notes what a peer is before its first stream is served.
func (a *admission) connected(_ network.Network, c network.Conn) {
	if !a.h.closed() {
		return
	}
	id := c.RemotePeer()
	member := a.h.admitted(id)
	a.note(id, member, time.Now())
	if member {
		a.h.host.ConnManager().TagPeer(id, memberTag, memberWeight)
		return
	}
	if !a.h.begin() {
		return
	}
	go func() { // closing a connection reports to whoever is told of this one
		defer a.h.wg.Done()
		a.thin()
	}()
}

// note notes what a connected peer is, unless it was known.
func (a *admission) note(id peer.ID, member bool, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.peers[id]; !ok {
		a.peers[id] = standing{member, now}
	}
}

// look compares what the connected peers are with what they were.
func (a *admission) look(now time.Time) {
	peers := a.h.host.Network().Peers()
	members := make(map[peer.ID]bool, len(peers))
	for _, id := range peers {
		members[id] = a.h.admitted(id)
	}
	var joined, left []peer.ID
	a.mu.Lock()
	for id := range a.peers {
		if _, ok := members[id]; !ok {
			delete(a.peers, id)
		}
	}
	for id, member := range members {
		was, known := a.peers[id]
		switch {
		case !known || member != was.member:
			a.peers[id] = standing{member, now}
			if member {
				joined = append(joined, id)
			} else if known {
				left = append(left, id)
			}
		case !member && now.Sub(was.since) > strangerTime && !a.h.anchor(id):
			left = append(left, id)
		}
	}
	a.mu.Unlock()

	for _, id := range left {
		a.h.log.Debug("a peer is no member; closing its connections", "peer", id)
		a.h.known.forget(id)
		a.h.host.ConnManager().UntagPeer(id, memberTag)
		_ = a.h.host.Network().ClosePeer(id)
	}
	for _, id := range joined {
		a.h.host.ConnManager().TagPeer(id, memberTag, memberWeight)
		a.h.known.met(id)
		a.h.retell(id)
	}
	a.thin()
	if len(left)+len(joined) > 0 {
		a.h.peersChanged()
	}
}

// thin closes the connections of the strangers that are too many.
func (a *admission) thin() {
	type stranger struct {
		id    peer.ID
		since time.Time
	}
	var all []stranger
	a.mu.Lock()
	for id, s := range a.peers {
		if !s.member {
			all = append(all, stranger{id, s.since})
		}
	}
	a.mu.Unlock()
	all = slices.DeleteFunc(all, func(s stranger) bool { return a.h.anchor(s.id) || !a.h.isConnected(s.id) })
	if len(all) <= maxStrangers {
		return
	}
	slices.SortFunc(all, func(x, y stranger) int { return x.since.Compare(y.since) })
	for _, s := range all[:len(all)-maxStrangers] {
		_ = a.h.host.Network().ClosePeer(s.id)
	}
}

// anchor reports whether this node needs the peer to be found or to find others.
func (h *Host) anchor(id peer.ID) bool { return h.bootstrap.names(id) || h.relays.holds(id) }

// retell has those who look at a peer's protocols look again: they turned away
// when it was a stranger, or it turned them away when we were one to it.
func (h *Host) retell(id peer.ID) {
	protocols, err := h.host.Peerstore().GetProtocols(id)
	if err != nil || len(protocols) == 0 {
		return // identify tells of it
	}
	emit, err := h.host.EventBus().Emitter(new(event.EvtPeerProtocolsUpdated))
	if err == nil {
		err = errors.Join(emit.Emit(event.EvtPeerProtocolsUpdated{Peer: id, Added: protocols}), emit.Close())
	}
	if err != nil {
		h.log.Error("cannot tell of a new member", "peer", id, "err", err)
	}
}

// open allows a protocol to everybody.
func (a *admission) open(p protocol.ID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.anyone[p] = true
}

// forAnyone reports whether a protocol is open to everybody.
func (a *admission) forAnyone(p protocol.ID) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.anyone[p]
}

// enter notes a stream of a stranger, until done; false: it has its share.
func (a *admission) enter(id peer.ID) (done func(), ok bool) {
	if a.h.admitted(id) {
		return func() {}, true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.streams[id] >= strangerStreams {
		return nil, false
	}
	a.streams[id]++
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.streams[id]--; a.streams[id] == 0 {
			delete(a.streams, id)
		}
	}, true
}
