package api_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/numax-mesh/numax/node/api"
)

// deadline bounds every wait of these tests.
const deadline = 10 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memoryNode is a node of one dataset, "default", and one family, orset, that
// keeps its objects in memory.
type memoryNode struct {
	mu       sync.Mutex // guards the fields below
	objects  map[string][]string
	watchers map[chan string]bool // told of a key that changed
	broken   error                // what every call fails with
	acts     []string             // on modules
}

func newNode() *memoryNode {
	return &memoryNode{objects: make(map[string][]string), watchers: make(map[chan string]bool)}
}

func (n *memoryNode) Status() api.Status {
	return api.Status{PeerID: "me", Network: "net", Addrs: []string{"/here"}, Datasets: []api.Dataset{{Name: "default", Ops: 7}}}
}

func (n *memoryNode) Peers() []api.Peer { return nil }

func (n *memoryNode) check(dataset, family string) error {
	switch {
	case n.broken != nil:
		return n.broken
	case family != "orset":
		return fmt.Errorf("%w: family %q", api.ErrUsage, family)
	case dataset != "default":
		return fmt.Errorf("dataset %q: %w", dataset, api.ErrNotFound)
	}
	return nil
}

func (n *memoryNode) Get(dataset, family, key string) (api.Value, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.check(dataset, family); err != nil {
		return api.Value{}, err
	}
	return api.Value{Family: family, Key: key, List: slices.Clone(n.objects[key])}, nil
}

func (n *memoryNode) Change(_ context.Context, c api.Change) (api.Value, error) {
	n.mu.Lock()
	if err := n.check(c.Dataset, c.Family); err != nil {
		n.mu.Unlock()
		return api.Value{}, err
	}
	n.objects[c.Key] = append(n.objects[c.Key], c.Args...)
	for w := range n.watchers {
		select {
		case w <- c.Key:
		default:
		}
	}
	n.mu.Unlock()
	return n.Get(c.Dataset, c.Family, c.Key)
}

func (n *memoryNode) Watch(ctx context.Context, dataset, family, key string, changed func(api.Value) error) error {
	news := make(chan string, 64)
	n.mu.Lock()
	n.watchers[news] = true
	n.mu.Unlock()
	defer func() {
		n.mu.Lock()
		delete(n.watchers, news)
		n.mu.Unlock()
	}()
	for {
		v, err := n.Get(dataset, family, key)
		if err == nil {
			err = changed(v)
		}
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-news:
		}
	}
}

func (n *memoryNode) watching() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.watchers)
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for began := time.Now(); !holds(); time.Sleep(time.Millisecond) {
		if time.Since(began) > deadline {
			t.Fatalf("after %v: still not: %s", deadline, what)
		}
	}
}
