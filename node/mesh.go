package node

import (
	"context"
	"encoding/base32"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/zeebo/blake3"

	"github.com/numax-mesh/numax/crdt/replica"
	"github.com/numax-mesh/numax/p2p"
)

// protoSync is the stream protocol of replica's repair.
const protoSync = "/numax/sync/1"

// topicName is what a dataset's gossip topic is called. It tells those who do
// not know the network and the name nothing.
func topicName(network replica.NetworkID, dataset string) string {
	h, err := blake3.NewKeyed(network[:])
	if err != nil {
		panic(err) // the key has the right size
	}
	_, _ = h.WriteString(dataset)
	return "/numax/1/" + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(h.Sum(nil)))
}

// networkTag is what nodes of a network look for each other by.
func networkTag(network replica.NetworkID) string {
	sum := blake3.Sum256(network[:])
	return hex.EncodeToString(sum[:6])
}

// mesh adapts a p2p host to what a replica needs of the network.
type mesh struct {
	host *p2p.Host // nil without a network; set before the replica runs

	mu     sync.RWMutex // guards topics
	topics map[replica.DatasetID]*p2p.Topic
}

func newMesh() *mesh { return &mesh{topics: make(map[replica.DatasetID]*p2p.Topic)} }

func (m *mesh) Self() string {
	if m.host == nil {
		return ""
	}
	return m.host.ID()
}

func (m *mesh) Peers() []string {
	if m.host == nil {
		return nil
	}
	return m.host.PeersOf(protoSync)
}

func (m *mesh) Publish(d replica.DatasetID, message []byte) error {
	m.mu.RLock()
	t := m.topics[d]
	m.mu.RUnlock()
	if t == nil {
		return nil // no network: repair brings it to others one day
	}
	return t.Publish(message)
}

func (m *mesh) Open(ctx context.Context, peer string) (io.ReadWriteCloser, error) {
	return m.host.Open(ctx, peer, protoSync)
}

// start connects the host to the replica: streams, then a topic per dataset.
func (m *mesh) start(network replica.NetworkID, r *replica.Replica) error {
	m.host.Handle(protoSync, func(ctx context.Context, peer string, s io.ReadWriteCloser) {
		_ = r.Serve(ctx, peer, s) // logged there
	}, r.PeersChanged)
	for _, d := range r.Datasets() {
		if err := m.join(network, r, d); err != nil {
			return fmt.Errorf("join the topic of dataset %q: %w", d.Name(), err)
		}
	}
	return nil
}

func (m *mesh) join(network replica.NetworkID, r *replica.Replica, d *replica.Dataset) error {
	id := d.ID()
	t, err := m.host.Join(topicName(network, d.Name()), func(from string, data []byte) (p2p.Verdict, any) {
		switch v, token := r.Validate(from, id, data); v {
		case replica.Accept:
			return p2p.Accept, token
		case replica.Ignore:
			return p2p.Ignore, nil
		default:
			return p2p.Reject, nil
		}
	}, r.Receive)
	if err != nil {
		return err
	}
	m.mu.Lock()
	m.topics[id] = t
	m.mu.Unlock()
	return nil
}
