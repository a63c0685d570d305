package bench

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"

	"github.com/numax-mesh/numax/crdt/replica"
)

// link joins two replicas by a stream in memory, so that the network has no
// part in what is measured. Gossip goes nowhere.
type link struct {
	mu      sync.Mutex // guards the fields below
	to      map[string]*replica.Replica
	streams []net.Conn
	last    string         // who wrote last
	turns   map[string]int // how often each began to write after the other had
}

func newLink() *link {
	return &link{to: make(map[string]*replica.Replica), turns: make(map[string]int)}
}

func (l *link) join(a, b *bare) {
	l.mu.Lock()
	l.to[a.name], l.to[b.name] = a.Replica, b.Replica
	l.mu.Unlock()
	a.PeersChanged()
}

// part cuts the streams and keeps the replicas from opening others.
func (l *link) part() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.to)
	for _, s := range l.streams {
		_ = s.Close()
	}
	l.streams = nil
}

// listen begins to count turns anew.
func (l *link) listen() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.turns)
	l.last = ""
}

func (l *link) turnsOf(name string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.turns[name]
}

func (l *link) wrote(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last != name {
		l.turns[name]++
	}
	l.last = name
}

// end is what the replica called name sees of the link.
func (l *link) end(name string) replica.Mesh { return linkEnd{l, name} }

type linkEnd struct {
	l    *link
	self string
}

func (m linkEnd) Self() string                            { return m.self }
func (m linkEnd) Publish(replica.DatasetID, []byte) error { return nil }

func (m linkEnd) Peers() []string {
	m.l.mu.Lock()
	defer m.l.mu.Unlock()
	var peers []string
	for name := range m.l.to {
		if name != m.self {
			peers = append(peers, name)
		}
	}
	return peers
}

func (m linkEnd) Open(ctx context.Context, peer string) (io.ReadWriteCloser, error) {
	m.l.mu.Lock()
	defer m.l.mu.Unlock()
	to := m.l.to[peer]
	if to == nil {
		return nil, errors.New("not linked")
	}
	ours, theirs := net.Pipe()
	m.l.streams = append(m.l.streams, ours)
	go func() { _ = to.Serve(ctx, m.self, countedEnd{theirs, m.l, peer}) }() // ends with the stream
	return countedEnd{ours, m.l, m.self}, nil
}

// countedEnd notes who writes.
type countedEnd struct {
	net.Conn
	l    *link
	name string
}

func (c countedEnd) Write(p []byte) (int, error) {
	c.l.wrote(c.name)
	return c.Conn.Write(p)
}
