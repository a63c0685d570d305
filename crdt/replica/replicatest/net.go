// Package replicatest runs several replicas in one process, over a mesh in
// memory that loses gossip, cuts links and crashes nodes on demand. It is for
// tests only, and opens no sockets.
package replicatest

import (
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/zeebo/blake3"

	"github.com/numax-mesh/numax/crdt/replica"
)

// NetworkName is the open network that all nodes are in.
const NetworkName = "replicatest"

// inboxSize is how many gossip messages wait at a node; more are lost, as on a
// real subscription.
const inboxSize = 4096

// Net is a mesh in memory. Links between all nodes are up at first.
type Net struct {
	// Retention is that of the nodes that are started from now on.
	Retention replica.Retention
	// Change is what else is special about them; nil: nothing.
	Change func(name string, o *replica.Options)

	t testing.TB

	mu    sync.Mutex // guards the fields below
	rng   *rand.Rand
	nodes map[string]*Node
	cut   map[link]bool
	live  map[link][]io.Closer // open streams
	loss  func() bool          // whether to lose the next delivery
	twice bool
}

type link [2]string

func between(a, b string) link {
	if a > b {
		a, b = b, a
	}
	return link{a, b}
}

// New returns a mesh without nodes.
func New(t testing.TB, seed uint64) *Net {
	return &Net{
		t: t, rng: rand.New(rand.NewPCG(seed, 1)),
		nodes: make(map[string]*Node), cut: make(map[link]bool), live: make(map[link][]io.Closer),
		loss: func() bool { return false },
	}
}

// LoseGossip makes lose decide about each delivery of a gossip message. It is
// called with the mesh locked.
func (n *Net) LoseGossip(lose func() bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.loss = lose
}

// LoseShare loses a share of the gossip deliveries, 1 all of them.
func (n *Net) LoseShare(share float64) {
	n.LoseGossip(func() bool { return n.rng.Float64() < share })
}

// Twice delivers every gossip message twice.
func (n *Net) Twice(on bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.twice = on
}

// Cut takes the link between two nodes down, and the streams over it.
func (n *Net) Cut(a, b string) { n.setCut(a, b, true) }

// Heal brings a link up again.
func (n *Net) Heal(a, b string) { n.setCut(a, b, false) }

func (n *Net) setCut(a, b string, cut bool) {
	n.mu.Lock()
	l := between(a, b)
	n.cut[l] = cut
	var streams []io.Closer
	if cut {
		streams = n.live[l]
		delete(n.live, l)
	}
	n.mu.Unlock()
	for _, s := range streams {
		_ = s.Close()
	}
	n.peersChanged()
}

func (n *Net) peersChanged() {
	n.mu.Lock()
	var running []*replica.Replica
	for _, x := range n.nodes {
		if x.running {
			running = append(running, x.Replica)
		}
	}
	n.mu.Unlock()
	for _, r := range running {
		r.PeersChanged()
	}
}

// Wait polls until cond holds, and fails the test after ten seconds.
func (n *Net) Wait(what string, cond func() bool) {
	n.t.Helper()
	n.WaitFor(10*time.Second, what, cond)
}

// WaitFor is Wait with a time of its own.
func (n *Net) WaitFor(limit time.Duration, what string, cond func() bool) {
	n.t.Helper()
	for end := time.Now().Add(limit); !cond(); time.Sleep(3 * time.Millisecond) {
		if time.Now().After(end) {
			n.t.Fatalf("not within %v: %s", limit, what)
		}
	}
}

// Key is a node's identity: always the same for a name.
func Key(name string) ed25519.PrivateKey {
	seed := blake3.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

// end is what one run of a node sees of the mesh. It implements replica.Mesh.
type end struct {
	net  *Net
	node *Node
}

func (e end) Self() string { return e.node.Name }

func (e end) Peers() []string {
	e.net.mu.Lock()
	defer e.net.mu.Unlock()
	return e.net.reachable(e.node.Name)
}

// reachable lists the running neighbours. Net.mu is held.
func (n *Net) reachable(from string) []string {
	var names []string
	for name, x := range n.nodes {
		if name != from && x.running && !n.cut[between(from, name)] {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (e end) Publish(id replica.DatasetID, message []byte) error {
	e.net.Gossip(e.node.Name, id, message)
	return nil
}

// Gossip delivers a message to the neighbours of a node, as if it had sent it.
func (n *Net) Gossip(from string, id replica.DatasetID, message []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, name := range n.reachable(from) {
		copies := 1
		if n.twice {
			copies = 2
		}
		for range copies {
			if n.loss() {
				continue
			}
			select {
			case n.nodes[name].inbox <- gossip{from, id, slices.Clone(message)}:
			default:
			}
		}
	}
}

func (e end) Open(ctx context.Context, peer string) (io.ReadWriteCloser, error) {
	e.net.mu.Lock()
	defer e.net.mu.Unlock()
	if ctx.Err() != nil || !slices.Contains(e.net.reachable(e.node.Name), peer) {
		return nil, errors.New("replicatest: no route")
	}
	near, far := net.Pipe()
	l := between(e.node.Name, peer)
	e.net.live[l] = append(e.net.live[l], near, far)
	p := e.net.nodes[peer]
	p.serving.Go(func() { _ = p.Replica.Serve(p.ctx, e.node.Name, far) })
	return near, nil
}

// Dial opens a sync stream to a node by hand, for a peer that is no replica.
func (n *Net) Dial(from, to string) (stream net.Conn, ended <-chan error) {
	near, far := net.Pipe()
	done := make(chan error, 1)
	n.mu.Lock()
	p := n.nodes[to]
	p.serving.Go(func() { done <- p.Replica.Serve(p.ctx, from, far) })
	n.mu.Unlock()
	return near, done
}
