package node_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/numax-mesh/numax/node"
	"github.com/numax-mesh/numax/node/api"
)

var hostSeed = flag.Uint64("hosts.seed", 0, "run TestHosts with this seed only")

// TestHosts runs worlds of four whole nodes, with sockets on loopback, drawn
// from seeds: random changes to all families, nodes that stop and come back,
// each knowing but one or two of the others. In the end all hold the same, and
// of the counters every change once. The order in which sockets deliver is not
// the seed's, so a failure may need several runs to come back; replicasim has
// the worlds that can be drawn exactly.
func TestHosts(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 20 s")
	}
	first, last := uint64(1), uint64(10)
	if *hostSeed != 0 {
		first, last = *hostSeed, *hostSeed
	}
	for seed := first; seed <= last; seed++ {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			w := newHosts(t, seed)
			defer func() {
				if t.Failed() {
					t.Logf("once more: go test ./node -run TestHosts -hosts.seed %d", seed)
				}
			}()
			for range 40 {
				w.step()
			}
			w.settle()
		})
	}
}

// hosts is a world of nodes.
type hosts struct {
	t      *testing.T
	rng    *rand.Rand
	nodes  []*running // nil: stopped
	config []node.Config
	counts map[string]int
}

const hostCount = 4

func newHosts(t *testing.T, seed uint64) *hosts {
	w := &hosts{t: t, rng: rand.New(rand.NewPCG(seed, 1)), counts: make(map[string]int)}
	dir := t.TempDir()
	for i := range hostCount {
		c := node.Config{Data: filepath.Join(dir, strconv.Itoa(i))}
		if i > 0 { // somebody who was there before
			c.Bootstrap = w.nodes[w.rng.IntN(i)].Addrs()
		}
		n := start(t, c)
		for _, a := range n.Addrs() { // who comes back is where it was
			listen, _, _ := strings.Cut(a, "/p2p/")
			c.Listen = append(c.Listen, listen)
		}
		w.config = append(w.config, c)
		w.nodes = append(w.nodes, n)
	}
	return w
}

func (w *hosts) step() {
	i := w.rng.IntN(hostCount)
	n := w.nodes[i]
	switch {
	case n == nil:
		w.nodes[i] = start(w.t, w.config[i])
	case w.rng.IntN(12) == 0:
		n.stop()
		w.nodes[i] = nil
	default:
		for range 1 + w.rng.IntN(30) {
			w.change(n)
		}
	}
}

func (w *hosts) change(n *running) {
	key, what := strconv.Itoa(w.rng.IntN(3)), strconv.Itoa(w.rng.IntN(20))
	c := api.Change{Dataset: "default", Key: key, Verb: "set", Args: []string{what}}
	switch w.rng.IntN(8) {
	case 0, 1:
		c.Family, c.Verb, c.Args = "gcounter", "inc", []string{"1"}
		w.counts[key]++
	case 2:
		c.Family = "lww-register"
	case 3:
		c.Family, c.Args = "lww-map", []string{what, key}
	case 4:
		c.Family, c.Verb = "lww-map", "remove"
	case 5:
		c.Family, c.Verb = "orset", "add"
	case 6:
		c.Family, c.Verb = "orset", "remove"
	case 7:
		c.Family, c.Verb = "rga", "add"
	}
	if err := n.Apply(context.Background(), c); err != nil {
		w.t.Fatalf("%+v: %v", c, err)
	}
}

// settle starts who is stopped and waits until all hold the same.
func (w *hosts) settle() {
	for i, n := range w.nodes {
		if n == nil {
			w.nodes[i] = start(w.t, w.config[i])
		}
	}
	for _, n := range w.nodes {
		if err := n.Sync(context.Background()); err != nil {
			w.t.Fatal(err)
		}
	}
	began := time.Now()
	for !w.equal() {
		if time.Since(began) > deadline {
			for _, n := range w.nodes {
				w.t.Logf("%+v, peers %+v", n.Status().Datasets, n.Peers())
			}
			w.t.Fatalf("not equal within %v", deadline)
		}
		time.Sleep(5 * time.Millisecond) // a poll with a deadline
	}
	for _, family := range []string{"gcounter", "lww-register", "lww-map", "orset", "rga"} {
		for k := range 3 {
			key := strconv.Itoa(k)
			want := w.show(0, family, key)
			for i := range w.nodes {
				if got := w.show(i, family, key); got != want {
					w.t.Errorf("equal logs, and %s is %s on node 0, %s on node %d", family, want, got, i)
				}
			}
			if family == "gcounter" && want != fmt.Sprintf("%s = %d", key, w.counts[key]) {
				w.t.Errorf("%s after %d increments", want, w.counts[key])
			}
		}
	}
}

func (w *hosts) equal() bool {
	first := w.nodes[0].Status().Datasets[0].Digest
	for _, n := range w.nodes {
		if n.Status().Datasets[0].Digest != first {
			return false
		}
	}
	return true
}

func (w *hosts) show(i int, family, key string) string {
	v, err := w.nodes[i].Get("default", family, key)
	if err != nil {
		w.t.Fatal(err)
	}
	return v.String()
}
