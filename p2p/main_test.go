package p2p

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	ds "github.com/ipfs/go-datastore"
	"github.com/libp2p/go-libp2p/core/peer"
	"go.uber.org/goleak"
)

// deadline bounds every wait of these tests.
const deadline = 15 * time.Second

// TestMain holds every test to the law that Close and the end of Run leave
// nothing behind.
func TestMain(m *testing.M) {
	RouteLibraryLogs(slog.New(slog.DiscardHandler))
	goleak.VerifyTestMain(m,
		// One for the process, which counts the traffic of all hosts.
		goleak.IgnoreAnyFunction("github.com/libp2p/go-flow-metrics.(*sweeper).run"))
}

// testKey is the same for the same name.
func testKey(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

// open makes a host on loopback that looks for nobody, closed with the test.
func open(t *testing.T, name string, cfg Config) *Host {
	t.Helper()
	cfg.Key = testKey(t.Name() + name)
	if cfg.Tag == "" {
		cfg.Tag = "test"
	}
	if cfg.Listen == nil {
		cfg.Listen = []string{"/ip4/127.0.0.1/tcp/0"}
	}
	h, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

// run runs h until the test or the returned function ends it.
func run(t *testing.T, h *Host) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// connect connects a to b.
func connect(t *testing.T, a, b *Host) {
	t.Helper()
	if err := a.Connect(t.Context(), b.Addrs()[0]); err != nil {
		t.Fatal(err)
	}
}

func connected(a, b *Host) bool {
	return slices.ContainsFunc(a.Connected(), func(p Peer) bool { return p.ID == b.ID() })
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for began := time.Now(); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Since(began) > deadline {
			t.Fatalf("after %v: still not: %s", deadline, what)
		}
	}
}

// freePort is a port of 127.0.0.1 that was free a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// peerOf is a host's name in libp2p.
func peerOf(t *testing.T, h *Host) peer.ID {
	t.Helper()
	id, err := peer.Decode(h.ID())
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// memoryBook is a Book in memory.
func memoryBook() Book { return book{ds.NewMapDatastore(), new(sync.Mutex)} }

type book struct {
	rows *ds.MapDatastore
	mu   *sync.Mutex
}

func (b book) Get(ctx context.Context, key ds.Key) ([]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.rows.Get(ctx, key)
}

func (b book) Put(ctx context.Context, key ds.Key, value []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.rows.Put(ctx, key, value)
}

// peerInfo is where a host is.
func peerInfo(t *testing.T, h *Host) peer.AddrInfo {
	t.Helper()
	info, err := ParsePeer(h.Addrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	return info
}
