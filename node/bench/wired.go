package bench

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	mrand "math/rand/v2"
	"sync"

	"github.com/numax-mesh/numax/crdt/replica"
	"github.com/numax-mesh/numax/p2p"
)

// wired is a replica on the network, put together as a node is, but with a
// network that can be taken away and that loses gossip on demand.
//
//	p2p topic ──► lose? ──► Replica.Validate ──► Replica.Receive
//
// A message is lost before the replica sees it, and GossipSub never brings it
// again: to it the message was seen.
type wired struct {
	*bare
	mesh *wire
}

// Of the one topic and the one stream protocol.
const (
	wireTopic = "/numax/bench/default"
	wireSync  = "/numax/bench/sync/1"
)

func openWired(dir string, loss float64) (*wired, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	m := &wire{key: key, loss: loss}
	if m.self, err = p2p.PeerID(key); err != nil {
		return nil, err
	}
	b, err := openBare(dir, m.self, m)
	if err != nil {
		return nil, err
	}
	return &wired{b, m}, nil
}

// attach opens the network: a host with the same identity each time, and a
// port of its own.
func (w *wired) attach(bootstrap ...string) error {
	return w.mesh.attach(w.bare, bootstrap)
}

// detach takes the network away.
func (w *wired) detach() { w.mesh.detach(); w.PeersChanged() }

func (w *wired) shut() {
	w.detach()
	w.close()
}

// addrs are as --bootstrap takes them.
func (w *wired) addrs() []string { return w.mesh.up().host.Addrs() }

// wire is the network of a wired replica.
type wire struct {
	key  ed25519.PrivateKey
	self string
	loss float64

	mu   sync.Mutex // guards the fields below
	now  *attached  // nil while there is no network
	lost int        // gossip messages
}

type attached struct {
	host  *p2p.Host
	topic *p2p.Topic
	stop  func()
}

func (m *wire) attach(b *bare, bootstrap []string) error {
	host, err := newHost(p2p.Config{Key: m.key, Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Bootstrap: bootstrap})
	if err != nil {
		return err
	}
	host.Handle(wireSync, func(ctx context.Context, peer string, s io.ReadWriteCloser) {
		_ = b.Serve(ctx, peer, s)
	}, b.PeersChanged)
	topic, err := host.Join(wireTopic, func(from string, data []byte) (p2p.Verdict, any) {
		if m.lose() {
			return p2p.Ignore, nil
		}
		switch v, token := b.Validate(from, b.data.ID(), data); v {
		case replica.Accept:
			return p2p.Accept, token
		case replica.Ignore:
			return p2p.Ignore, nil
		default:
			return p2p.Reject, nil
		}
	}, b.Receive)
	if err != nil {
		return errors.Join(err, host.Close())
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = host.Run(ctx) })
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now = &attached{host, topic, func() {
		cancel()
		wg.Wait()
		_ = host.Close()
	}}
	return nil
}

func (m *wire) detach() {
	m.mu.Lock()
	now := m.now
	m.now = nil
	m.mu.Unlock()
	if now != nil {
		now.stop()
	}
}

func (m *wire) lose() bool {
	if m.loss == 0 || mrand.Float64() >= m.loss {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lost++
	return true
}

func (m *wire) up() *attached {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now
}

// The methods of replica.Mesh.

func (m *wire) Self() string { return m.self }

func (m *wire) Peers() []string {
	if now := m.up(); now != nil {
		return now.host.PeersOf(wireSync)
	}
	return nil
}

func (m *wire) Publish(_ replica.DatasetID, message []byte) error {
	if now := m.up(); now != nil {
		return now.topic.Publish(message)
	}
	return nil
}

func (m *wire) Open(ctx context.Context, peer string) (io.ReadWriteCloser, error) {
	if now := m.up(); now != nil {
		return now.host.Open(ctx, peer, wireSync)
	}
	return nil, errors.New("no network")
}
