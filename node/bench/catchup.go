package bench

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/crdt/replica"
	"github.com/numax-mesh/numax/datastore"
)

// catchUp measures what a replica does with entries of another: verify, apply,
// make durable. The entries come over a sync stream in memory, so that the
// network has no part in it.
func catchUp(name string, perEntry int, defaults Params) func(context.Context, string, Params) (Result, error) {
	return func(ctx context.Context, dir string, p Params) (Result, error) {
		p = p.or(defaults)
		r := Result{Scenario: name, Nodes: 2, Ops: p.Ops}
		l := &link{to: make(map[string]*replica.Replica)}
		writer, err := openReplica(filepath.Join(dir, "a"), "a", l)
		if err != nil {
			return r, err
		}
		defer writer.close()
		if err := writer.write(ctx, p.Ops, perEntry, p.Keys); err != nil {
			return r, err
		}
		reader, err := openReplica(filepath.Join(dir, "b"), "b", l)
		if err != nil {
			return r, err
		}
		defer reader.close()
		r.Elapsed, err = l.meet(ctx, writer, reader)
		r.OpsPerSec = float64(r.Ops) / r.Elapsed.Seconds()
		r.DiskBytes = reader.store.Size()
		r.NetBytes = int64(writer.Stats().SyncOut.Load())
		r.RSS = residentBytes(os.Getpid())
		return r, err
	}
}

// bare is a replica without a node.
type bare struct {
	*replica.Replica
	store *datastore.Store
	data  *replica.Dataset
	close func()
}

func openReplica(dir, name string, l *link) (*bare, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	store, err := datastore.Open(dir, datastore.Options{})
	if err != nil {
		return nil, err
	}
	r, err := replica.Open(replica.Options{
		Store: store, Key: key, Network: replica.OpenNetwork("bench"), Mesh: linkMesh{l, name},
	})
	var d *replica.Dataset
	if err == nil {
		d, err = r.Dataset("default")
	}
	if err != nil {
		_ = store.Close()
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = r.Run(ctx) })
	return &bare{r, store, d, func() {
		cancel()
		wg.Wait()
		_ = store.Close()
	}}, nil
}

// write makes entries of perEntry increments, going round keys.
func (b *bare) write(ctx context.Context, ops, perEntry, keys int) error {
	for i := range ops {
		_, err := b.data.Update(ctx, crdt.GCounter, "key:"+strconv.Itoa(i%keys), func(o crdt.Object, now replica.Now) (crdt.Op, bool) {
			return o.(*crdt.GCounterState).Inc(now.Author, 1), true
		})
		if err == nil && (i+1)%perEntry == 0 {
			err = b.Sync(ctx)
		}
		if err != nil {
			return err
		}
	}
	return b.Sync(ctx)
}

// meet joins two replicas and returns how long it took until both held the
// same, on disk.
func (l *link) meet(ctx context.Context, a, b *bare) (time.Duration, error) {
	wait, cancel := context.WithTimeout(ctx, 2*convergeTime)
	defer cancel()
	began := time.Now()
	l.join(a.Replica, b.Replica)
	err := until(wait, func() (bool, error) { return a.data.Digest() == b.data.Digest(), nil })
	if err == nil {
		err = errors.Join(a.Sync(wait), b.Sync(wait))
	}
	return time.Since(began), err
}

// link joins two replicas by streams in memory. Gossip goes nowhere.
type link struct {
	mu      sync.Mutex // guards the fields below
	to      map[string]*replica.Replica
	streams []net.Conn
}

func (l *link) join(a, b *replica.Replica) {
	l.mu.Lock()
	l.to["a"], l.to["b"] = a, b
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

type linkMesh struct {
	l    *link
	self string
}

func (m linkMesh) Self() string                            { return m.self }
func (m linkMesh) Publish(replica.DatasetID, []byte) error { return nil }

func (m linkMesh) Peers() []string {
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

func (m linkMesh) Open(ctx context.Context, peer string) (io.ReadWriteCloser, error) {
	m.l.mu.Lock()
	defer m.l.mu.Unlock()
	to := m.l.to[peer]
	if to == nil {
		return nil, errors.New("not linked")
	}
	ours, theirs := net.Pipe()
	m.l.streams = append(m.l.streams, ours)
	go func() { _ = to.Serve(ctx, m.self, theirs) }() // ends with the stream
	return ours, nil
}
