package bench

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/crdt/replica"
	"github.com/numax-mesh/numax/datastore"
)

// datasetName is the dataset of every scenario.
const datasetName = "default"

// bare is a replica without a node.
type bare struct {
	*replica.Replica
	name  string // on its link
	store *datastore.Store
	data  *replica.Dataset
	close func()
}

// openBare opens a replica with a new identity, and runs it.
func openBare(dir, name string, mesh replica.Mesh) (*bare, error) {
	return openKeeping(dir, name, mesh, replica.Retention{})
}

// openKeeping is openBare with its own idea of how long logs are kept.
func openKeeping(dir, name string, mesh replica.Mesh, keep replica.Retention) (*bare, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	store, err := datastore.Open(dir, datastore.Options{})
	if err != nil {
		return nil, err
	}
	r, err := replica.Open(replica.Options{
		Store: store, Key: key, Network: replica.OpenNetwork("bench"), Mesh: mesh, Retention: keep,
	})
	var d *replica.Dataset
	if err == nil {
		d, err = r.Dataset(datasetName)
	}
	if err != nil {
		_ = store.Close()
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = r.Run(ctx) })
	return &bare{r, name, store, d, sync.OnceFunc(func() {
		cancel()
		wg.Wait()
		_ = store.Close()
	})}, nil
}

// inc adds 1 to a counter.
func (b *bare) inc(ctx context.Context, key string) error {
	_, err := b.data.Update(ctx, crdt.GCounter, key, func(o crdt.Object, now replica.Now) (crdt.Op, bool) {
		return o.(*crdt.GCounterState).Inc(now.Author, 1), true
	})
	return err
}

func (b *bare) value(key string) (n uint64, err error) {
	err = b.data.View(crdt.GCounter, key, func(o crdt.Object) { n = o.(*crdt.GCounterState).Value() })
	return n, err
}

// write makes entries of perEntry increments, going round keys.
func (b *bare) write(ctx context.Context, ops, perEntry, keys int) error {
	for i := range ops {
		err := b.inc(ctx, "key:"+strconv.Itoa(i%keys))
		if err == nil && (i+1)%perEntry == 0 {
			err = b.Sync(ctx)
		}
		if err != nil {
			return err
		}
	}
	return b.Sync(ctx)
}

// pair opens two replicas that do not know each other yet.
func pair(dir string) (l *link, a, b *bare, done func(), err error) {
	l = newLink()
	if a, err = openBare(filepath.Join(dir, "a"), "a", l.end("a")); err != nil {
		return nil, nil, nil, nil, err
	}
	if b, err = openBare(filepath.Join(dir, "b"), "b", l.end("b")); err != nil {
		a.close()
		return nil, nil, nil, nil, err
	}
	return l, a, b, func() { b.close(); a.close() }, nil
}

// meet joins two replicas and returns how long it took until both held the
// same, on disk.
func (l *link) meet(ctx context.Context, a, b *bare) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*convergeTime)
	defer cancel()
	began := time.Now()
	l.join(a, b)
	err := until(ctx, func() (bool, error) { return same(a, b), nil })
	if err == nil {
		err = errors.Join(a.Sync(ctx), b.Sync(ctx))
	}
	return time.Since(began), err
}

func same(a, b *bare) bool { return a.data.Digest() == b.data.Digest() }

// untilSettled waits until each has said that it holds what the other holds.
func untilSettled(ctx context.Context, a, b *bare) error {
	return soon(ctx, func() (bool, error) {
		return len(a.Peers()) == 1 && len(b.Peers()) == 1 && a.Settled() && b.Settled(), nil
	})
}

// untilApart waits until the end of the streams is noticed.
func untilApart(ctx context.Context, a, b *bare) error {
	return soon(ctx, func() (bool, error) { return len(a.Peers()) == 0 && len(b.Peers()) == 0, nil })
}
