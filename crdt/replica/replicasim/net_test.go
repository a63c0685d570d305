package replicasim

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/zeebo/blake3"

	"github.com/numax-mesh/numax/crdt/replica"
)

// Times of a stalled link.
const (
	stallTimeout = 20 * time.Second // after which a transport gives a stream up
	openTimeout  = 10 * time.Second // of opening a stream
	inboxSize    = 4096             // gossip messages that wait at a node; more are lost
	rateFull     = 4 << 20          // bytes a second over a stream
	againShare   = 0.05             // of duplicates that get past the relay's memory
	maxSeen      = 1 << 14          // messages that a relay remembers
)

// network is the simulated mesh. Gossip is relayed by whoever accepts it, as
// GossipSub does; streams run between neighbours.
type network struct {
	mu        sync.Mutex // guards the fields below
	names     []string   // of all nodes
	running   map[string]*incarnation
	links     map[way]*link
	announced [][]byte // every message published
	bytes     int      // written to gossip, relayed copies too
}

// way is a direction between two nodes.
type way struct{ from, to string }

func (w way) back() way { return way{w.to, w.from} }

// link is one direction between two nodes. Faults overlap, so they count.
type link struct {
	rng     *rand.Rand
	latency time.Duration
	loss    float64 // share of gossip lost
	twice   float64 // share of gossip doubled
	down    int     // not a neighbour: both ways are always down together
	stalled int     // sends into the void
	slow    int     // bytes a second; 0 = rateFull
	stalls  int     // how often it stalled
	streams []pair
}

// pair is a stream as a link sees it: its own direction, and the other.
type pair struct{ to, from *half }

func newNetwork(w *world, names []string) *network {
	n := &network{names: names, running: make(map[string]*incarnation), links: make(map[way]*link)}
	rng := w.rng("links")
	loss, twice := rng.Float64()*0.3, rng.Float64()*0.2
	for _, a := range names {
		for _, b := range names {
			if a != b {
				n.links[way{a, b}] = &link{
					rng: w.rng("link " + a + " " + b), loss: loss, twice: twice,
					latency: time.Duration(1+rng.IntN(120)) * time.Millisecond,
				}
			}
		}
	}
	return n
}

// change changes some links and applies it to their streams.
func (n *network) change(ways []way, f func(*link)) {
	n.mu.Lock()
	for _, w := range ways {
		l := n.links[w]
		stalled := l.stalled > 0
		f(l)
		if l.down > 0 {
			n.tear(w)
		}
		for _, s := range l.streams {
			s.to.set(func(h *half) { h.stalled, h.rate = l.stalled > 0 && !h.torn, l.rate() })
		}
		if l.stalled > 0 && !stalled {
			l.stalls++
			n.giveUp(w, l.stalls)
		}
	}
	n.mu.Unlock()
	n.peersChanged()
}

func (l *link) rate() int {
	if l.slow > 0 {
		return l.slow
	}
	return rateFull
}

// giveUp tears the streams of a link that is still stalled after a while.
func (n *network) giveUp(w way, stall int) {
	time.AfterFunc(stallTimeout, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		if l := n.links[w]; l.stalled > 0 && l.stalls == stall {
			n.tear(w)
		}
	})
}

// tear cuts the streams between two nodes in mid-frame. The lock is held.
func (n *network) tear(w way) {
	l := n.links[w]
	for _, s := range l.streams {
		s.to.tear(l.rng)
		s.from.tear(l.rng)
	}
	l.streams, n.links[w.back()].streams = nil, nil
}

func (n *network) peersChanged() {
	n.mu.Lock()
	var all []*incarnation
	for _, x := range n.running {
		all = append(all, x)
	}
	n.mu.Unlock()
	for _, x := range all {
		x.replica.PeersChanged()
	}
}

func (n *network) join(x *incarnation) {
	n.mu.Lock()
	n.running[x.node.name] = x
	n.mu.Unlock()
	n.peersChanged()
}

// leave takes a node off the mesh.
func (n *network) leave(x *incarnation) {
	n.mu.Lock()
	delete(n.running, x.node.name)
	for _, other := range n.names {
		if w := (way{x.node.name, other}); n.links[w] != nil {
			n.tear(w)
		}
	}
	n.mu.Unlock()
	n.peersChanged()
}

// spread gossips a message to the neighbours of a node, but not back.
func (n *network) spread(from, back string, id replica.DatasetID, message []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, to := range n.names {
		if to == from || to == back {
			continue
		}
		l := n.links[way{from, to}]
		if l == nil {
			continue
		}
		copies := 1
		if l.rng.Float64() < l.twice {
			copies = 2
		}
		for range copies {
			lost := l.rng.Float64() < l.loss
			delay := l.latency + time.Duration(l.rng.ExpFloat64()*float64(l.latency))
			if l.rng.IntN(50) == 0 {
				delay += time.Duration(l.rng.IntN(5000)) * time.Millisecond
			}
			if lost || l.down > 0 || l.stalled > 0 {
				continue
			}
			n.bytes += len(message)
			time.AfterFunc(delay, func() { n.deliver(gossip{from, id, message}, to) })
		}
	}
}

type gossip struct {
	from    string
	dataset replica.DatasetID
	message []byte
}

func (n *network) deliver(g gossip, to string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if x := n.running[to]; x != nil && n.links[way{g.from, to}].down == 0 {
		select {
		case x.inbox <- g:
		default:
		}
	}
}

// listen takes gossip in and relays what is accepted.
func (x *incarnation) listen() {
	seen := make(map[[32]byte]bool)
	rng := x.node.w.rng("relay " + x.node.name)
	for {
		select {
		case g := <-x.inbox:
			id := blake3.Sum256(g.message)
			if seen[id] && rng.Float64() >= againShare {
				continue
			}
			verdict, token := x.replica.Validate(g.from, g.dataset, g.message)
			if g.from == evilName && verdict == replica.Accept {
				x.node.w.taken.Add(1)
			}
			if verdict != replica.Accept {
				if g.from == evilName {
					x.node.w.refused.Add(1)
				}
				if g.from == evilName || x.node.w.enemy && verdict == replica.Ignore { // a fork of its, that not all know of
					continue
				}
				x.node.w.failf("%s: gossip by an honest peer: verdict %v", x.node.name, verdict)
				continue
			}
			if !seen[id] {
				if len(seen) == maxSeen {
					clear(seen)
				}
				seen[id] = true
				x.node.w.net.spread(x.node.name, g.from, g.dataset, g.message)
			}
			x.replica.Receive(x.ctx, g.from, token)
		case <-x.ctx.Done():
			return
		}
	}
}

// Self, Peers, Publish and Open make an incarnation a replica.Mesh.
func (x *incarnation) Self() string { return x.node.name }

func (x *incarnation) Peers() []string {
	n := x.node.w.net
	n.mu.Lock()
	defer n.mu.Unlock()
	var peers []string
	for name := range n.running {
		if l := n.links[way{x.node.name, name}]; l != nil && l.down == 0 {
			peers = append(peers, name)
		}
	}
	slices.Sort(peers)
	return peers
}

func (x *incarnation) Publish(id replica.DatasetID, message []byte) error {
	n := x.node.w.net
	n.mu.Lock()
	if !x.node.w.forgetful {
		n.announced = append(n.announced, message)
	}
	n.mu.Unlock()
	n.spread(x.node.name, "", id, message)
	return nil
}

var errNoRoute = errors.New("no route")

func (x *incarnation) Open(ctx context.Context, peer string) (io.ReadWriteCloser, error) {
	n := x.node.w.net
	there := way{x.node.name, peer}
	n.mu.Lock()
	wait := n.links[there].latency + n.links[there.back()].latency
	if n.links[there].stalled+n.links[there.back()].stalled > 0 {
		wait = openTimeout
	}
	n.mu.Unlock()
	select {
	case <-time.After(wait):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	to, back := n.links[there], n.links[there.back()]
	p := n.running[peer]
	if p == nil || n.running[x.node.name] != x || to.down+to.stalled+back.stalled > 0 {
		return nil, errNoRoute
	}
	out, in := newHalf(to.latency, to.rate()), newHalf(back.latency, back.rate())
	to.streams = append(to.streams, pair{out, in})
	back.streams = append(back.streams, pair{in, out})
	p.serving.Go(func() { _ = p.replica.Serve(p.ctx, x.node.name, conn{out, in}) })
	return conn{in, out}, nil
}
