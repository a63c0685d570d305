package bus

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/numax-mesh/numax/datastore"
)

// lab is buses on a network in memory.
type lab struct {
	t *testing.T

	mu    sync.Mutex // guards the rest
	buses map[string]*Bus
	cut   map[string]bool // nodes without streams
	deaf  map[string]bool // nodes without gossip
	pipes map[string][]io.Closer

	serve  map[string]func(io.ReadWriteCloser) // of streams to nodes that are no buses, or hide it
	opened map[string]int                      // streams, by who opened them
	said   map[string]int                      // frames of gossip, by who said them
}

func newLab(t *testing.T) *lab {
	return &lab{
		t: t, buses: map[string]*Bus{}, cut: map[string]bool{}, deaf: map[string]bool{}, pipes: map[string][]io.Closer{},
		serve: map[string]func(io.ReadWriteCloser){}, opened: map[string]int{}, said: map[string]int{},
	}
}

func testKey(who string) ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	copy(seed, who)
	return ed25519.NewKeyFromSeed(seed)
}

func public(who string) Key { return Key(testKey(who).Public().(ed25519.PublicKey)) }

func nodeName(k Key) string { return hex.EncodeToString(k[:]) }

func findNode(name string) (k Key, err error) {
	b, err := hex.DecodeString(name)
	if err == nil && len(b) != len(k) {
		err = errors.New("not a key")
	}
	if err != nil {
		return k, err
	}
	return Key(b), nil
}

func memory(t *testing.T) *datastore.Store {
	t.Helper()
	store, err := datastore.Open("", datastore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

// bubble runs a test under a clock of its own, which goes on at the end until LevelDB has let go of its last goroutine.
func bubble(t *testing.T, test func(*testing.T)) {
	synctest.Test(t, func(t *testing.T) {
		t.Cleanup(func() { time.Sleep(time.Minute) })
		test(t)
	})
}

// open opens a bus on its store and runs it until stop.
func (l *lab) open(who string, store *datastore.Store) (b *Bus, stop func()) {
	l.t.Helper()
	b, err := Open(Options{
		Store: store, Key: testKey(who), Network: [32]byte{1}, Name: nodeName, Find: findNode, Net: labNet{l, nodeName(public(who))},
	})
	if err != nil {
		l.t.Fatal(err)
	}
	id := nodeName(public(who))
	l.mu.Lock()
	l.buses[id] = b
	l.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = b.Run(ctx)
	}()
	l.changed()
	stop = sync.OnceFunc(func() {
		l.mu.Lock()
		if l.buses[id] == b {
			delete(l.buses, id)
		}
		l.mu.Unlock()
		l.hangUp(id)
		cancel()
		<-done
	})
	l.t.Cleanup(stop)
	return b, stop
}

func (l *lab) changed() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range l.buses {
		b.PeersChanged()
	}
}

func (l *lab) hangUp(id string) {
	l.mu.Lock()
	pipes := l.pipes[id]
	l.pipes[id] = nil
	l.mu.Unlock()
	for _, p := range pipes {
		_ = p.Close()
	}
	l.changed()
}

// setCut takes a node's streams away, or gives them back.
func (l *lab) setCut(who string, cut bool) {
	id := nodeName(public(who))
	l.mu.Lock()
	l.cut[id] = cut
	l.mu.Unlock()
	l.hangUp(id)
}

// labNet is the network as one node sees it.
type labNet struct {
	l  *lab
	id string
}

func (n labNet) Peers() (ids []string) {
	n.l.mu.Lock()
	defer n.l.mu.Unlock()
	for id := range n.l.buses {
		if id != n.id && !n.l.cut[id] && !n.l.cut[n.id] {
			ids = append(ids, id)
		}
	}
	return ids
}

func (n labNet) Open(_ context.Context, peer string) (io.ReadWriteCloser, error) {
	n.l.mu.Lock()
	defer n.l.mu.Unlock()
	b, raw := n.l.buses[peer], n.l.serve[peer]
	if b == nil && raw == nil || n.l.cut[peer] || n.l.cut[n.id] {
		return nil, errors.New("not connected")
	}
	here, there := net.Pipe()
	n.l.pipes[peer] = append(n.l.pipes[peer], there)
	n.l.pipes[n.id] = append(n.l.pipes[n.id], here)
	n.l.opened[n.id]++
	if raw != nil {
		go raw(there)
	} else {
		go b.Serve(context.Background(), n.id, there)
	}
	return here, nil
}

func (n labNet) Publish(raw []byte) error {
	n.l.mu.Lock()
	n.l.said[n.id]++
	var others []*Bus
	for id, b := range n.l.buses {
		if id != n.id && !n.l.deaf[id] && !n.l.deaf[n.id] {
			others = append(others, b)
		}
	}
	n.l.mu.Unlock()
	for _, b := range others {
		if v, token := b.Validate(n.id, raw); v == Accept {
			b.Receive(context.Background(), n.id, token)
		}
	}
	return nil
}

// listen collects what a bus tells of a subject.
func listen(t *testing.T, b *Bus, subject string, deliver func(Message) error) (detach func()) {
	detach = sync.OnceFunc(b.Attach(func(s string) bool { return s == subject }, deliver))
	t.Cleanup(detach)
	return detach
}

// taken is a subscriber that takes all.
type taken struct {
	mu  sync.Mutex // guards got
	got map[string]int
}

func (c *taken) deliver(m Message) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.got == nil {
		c.got = make(map[string]int)
	}
	c.got[string(m.Payload)]++
	if m.Done != nil {
		m.Done(nil)
	}
	return nil
}

func (c *taken) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.got)
}

const patience = 20 * time.Second
