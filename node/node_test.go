package node_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/numax-mesh/numax/node"
	"github.com/numax-mesh/numax/node/api"
)

// deadline bounds every wait of these tests.
const deadline = 30 * time.Second

// running is a node under test.
type running struct {
	*node.Node
	stop func()
}

// start runs a node on loopback that looks for nobody but its bootstrap peers.
func start(t *testing.T, cfg node.Config) *running {
	t.Helper()
	if cfg.Data == "" {
		cfg.Data = filepath.Join(t.TempDir(), "data")
	}
	cfg.Network = "test-" + t.Name()
	if len(cfg.Datasets) == 0 {
		cfg.Datasets = []string{"default"}
	}
	cfg.API = "off"
	cfg.Version = "test"
	if len(cfg.Listen) == 0 {
		cfg.Listen = []string{"127.0.0.1:0"}
	}
	n, err := node.Open(cfg, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	r := &running{n, sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("node: %v", err)
		}
	})}
	t.Cleanup(r.stop)
	return r
}

// fill writes n increments of one op each to the counter k.
func (r *running) fill(t *testing.T, n int) {
	t.Helper()
	for range n {
		change := api.Change{Dataset: "default", Family: "gcounter", Key: "k", Verb: "inc"}
		if err := r.Apply(context.Background(), change); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Sync(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// wait waits until a node holds k = want.
func (r *running) wait(t *testing.T, want int) time.Duration {
	t.Helper()
	began := time.Now()
	var got api.Value
	for time.Since(began) < deadline {
		var err error
		if got, err = r.Get("default", "gcounter", "k"); err != nil {
			t.Fatal(err)
		}
		if got.Count == strconv.Itoa(want) {
			return time.Since(began)
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("after %v: k = %s, want %d; peers %+v", deadline, got.Count, want, r.Peers())
	return 0
}

// TestOffline: a node that was away for 20,000 ops has them soon after it
// comes back; so has one that comes back when the writer has restarted, and
// one that only ever meets the node in the middle.
func TestOffline(t *testing.T) {
	const ops = 20_000
	dir := t.TempDir()
	config := func(name string, bootstrap ...string) node.Config {
		return node.Config{Data: filepath.Join(dir, name), Bootstrap: bootstrap}
	}
	a := start(t, config("a"))
	b := start(t, config("b", a.Addrs()...))
	a.fill(t, 1)
	b.wait(t, 1)
	b.stop()

	a.fill(t, ops)
	b = start(t, config("b", a.Addrs()...))
	t.Logf("equal %v after B came back", b.wait(t, 1+ops))
	b.stop()

	a.fill(t, ops)
	a.stop()
	a = start(t, config("a"))
	b = start(t, config("b", a.Addrs()...))
	t.Logf("equal %v after B came back to a restarted A", b.wait(t, 1+2*ops))
	a.stop()

	c := start(t, config("c", b.Addrs()...))
	t.Logf("equal %v after C met B alone", c.wait(t, 1+2*ops))
}

// TestPartition: two nodes write all six families while cut off from each
// other; joined, both show the same.
func TestPartition(t *testing.T) {
	dir := t.TempDir()
	changes := func(who string) []api.Change {
		return []api.Change{
			{Family: "gcounter", Key: "x", Verb: "inc", Args: []string{"2"}},
			{Family: "pncounter", Key: "x", Verb: "inc", Args: []string{"-3"}},
			{Family: "lww-register", Key: "x", Verb: "set", Args: []string{who}},
			{Family: "lww-map", Key: "x", Verb: "set", Args: []string{who, "1"}},
			{Family: "lww-map", Key: "x", Verb: "set", Args: []string{"both", who}},
			{Family: "orset", Key: "x", Verb: "add", Args: []string{who}},
			{Family: "orset", Key: "x", Verb: "add", Args: []string{"both"}},
			{Family: "orset", Key: "x", Verb: "remove", Args: []string{"shared"}},
			{Family: "rga", Key: "x", Verb: "add", Args: []string{who + "1"}},
			{Family: "rga", Key: "x", Verb: "add", Args: []string{who + "2"}},
		}
	}
	apply := func(n *running, who string) {
		for _, c := range changes(who) {
			c.Dataset = "default"
			if _, err := n.Change(context.Background(), c); err != nil {
				t.Fatal(err)
			}
		}
	}
	a := start(t, node.Config{Data: filepath.Join(dir, "a")})
	b := start(t, node.Config{Data: filepath.Join(dir, "b"), Bootstrap: a.Addrs()})
	if _, err := a.Change(context.Background(), api.Change{Dataset: "default", Family: "orset", Key: "x", Verb: "add", Args: []string{"shared"}}); err != nil {
		t.Fatal(err)
	}
	waitSame(t, a, b)
	b.stop()
	apply(a, "a")
	a.stop()
	b = start(t, node.Config{Data: filepath.Join(dir, "b"), Offline: true})
	apply(b, "b")
	b.stop()
	a = start(t, node.Config{Data: filepath.Join(dir, "a")})
	b = start(t, node.Config{Data: filepath.Join(dir, "b"), Bootstrap: a.Addrs()})
	got := waitSame(t, a, b)
	for _, want := range []string{"x = 4", "x = -6", "x = [a, b, both]"} {
		if !strings.Contains(got, want) {
			t.Errorf("both show\n%s\nwant %q among it", got, want)
		}
	}
}

func show(t *testing.T, n *running) string {
	t.Helper()
	var all string
	for _, f := range []string{"gcounter", "pncounter", "lww-register", "lww-map", "orset", "rga"} {
		v, err := n.Get("default", f, "x")
		if err != nil {
			t.Fatal(err)
		}
		all += fmt.Sprintln(v)
	}
	return all + n.Status().Datasets[0].Digest
}

func waitSame(t *testing.T, a, b *running) string {
	t.Helper()
	began := time.Now()
	for {
		x, y := show(t, a), show(t, b)
		if x == y && a.Status().Datasets[0].Ops > 0 {
			return x
		}
		if time.Since(began) > deadline {
			t.Fatalf("a shows\n%s\nb shows\n%s", x, y)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// TestAddressInUse: an address that was asked for and is taken is an error,
// and the data directory is free again.
func TestAddressInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	cfg := node.Config{
		Data: t.TempDir(), Datasets: []string{"default"}, API: "off", Listen: []string{taken.Addr().String()},
	}
	if _, err := node.Open(cfg, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "another program has this port") {
		t.Errorf("open: got %v, want an error that names the port", err)
	}
	cfg.Listen = []string{"127.0.0.1:0"}
	start(t, cfg)
}
