package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/numax-mesh/numax/node"
)

// Result is what one scenario measured. Zero fields do not apply.
type Result struct {
	Scenario  string        `json:"scenario"`
	Nodes     int           `json:"nodes"`
	Ops       int           `json:"ops"`
	Elapsed   time.Duration `json:"elapsed_ns"`
	OpsPerSec float64       `json:"ops_per_s"`
	CallP50   time.Duration `json:"call_p50_ns"`
	CallP95   time.Duration `json:"call_p95_ns"`
	CallP99   time.Duration `json:"call_p99_ns"`
	CallMax   time.Duration `json:"call_max_ns"`
	Converged time.Duration `json:"converged_ns"` // after the last guest ended, until all values are equal
	DiskBytes int64         `json:"disk_bytes"`
	NetBytes  int64         `json:"network_bytes"`  // sent by all nodes
	RSS       int64         `json:"rss_bytes"`      // of the process measured
	IdleRSS   int64         `json:"idle_rss_bytes"` // of one with no data

	Visible    time.Duration `json:"visible_p50_ns"` // from an update until another node's watcher has it
	VisibleP99 time.Duration `json:"visible_p99_ns"`

	Limits map[string]float64 `json:"figures,omitempty"` // by name and unit
}

// Params are what a scenario can be told; zero values mean its defaults.
type Params struct {
	Nodes    int
	Rate     int // ops a second on each node
	Duration time.Duration
	Ops      int
	Keys     int
	Missing  int
	File     string
}

func (p Params) or(d Params) Params {
	set := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	set(&p.Nodes, d.Nodes)
	set(&p.Rate, d.Rate)
	set(&p.Ops, d.Ops)
	set(&p.Keys, d.Keys)
	set(&p.Missing, d.Missing)
	if p.Duration == 0 {
		p.Duration = d.Duration
	}
	return p
}

// Scenario is something to measure; it keeps its data below dir.
type Scenario struct {
	Name string
	Help string
	// ByName scenarios run only when they are named.
	ByName bool
	Run    func(ctx context.Context, dir string, p Params) (Result, error)
}

// Scenarios are all there are.
var Scenarios = []Scenario{
	{"limits", "this machine: Ed25519, BLAKE3, fsynced batches; ratios of the others refer to these", false, limits},
	{"local", "one guest loops over --ops increments and commits at the end; every entry is fsynced", false, local},
	{"restart", "start this program on a directory with --keys objects: time until ready, and memory", false, restart},
	{"remote", "another node's --ops ops on --keys keys, 64 to an entry: verify, apply, fsync", false, catchUp("remote", 64, Params{Ops: 500_000, Keys: 500_000})},
	{"remote-hot", "the same on 100 keys", false, catchUp("remote-hot", 64, Params{Ops: 500_000, Keys: 100})},
	{"remote-1", "another node's --ops ops, one to an entry", false, catchUp("remote-1", 1, Params{Ops: 20_000, Keys: 20_000})},
	{"sync", "two replicas with --ops ops, one lacks --missing: bytes on the wire and time of the exchange", false, syncMissing},
	{"heal", "two replicas that wrote --ops ops each while apart: time until equal", false, heal},
	{"replicate", "--nodes nodes, --rate increments a second on each for --duration, until all are equal", false, replicate},
	{"burst", "--nodes nodes increment without a limit, --ops each, until all are equal", false, burst},
	{"latency", "from an update on one node until another node shows it, --ops times", false, latency},
	{"text", "replay the editing trace --file on one replica, and merge it on another", true, text},
	{"bootstrap", "a new replica fetches --keys keys", true, catchUp("bootstrap", 64, Params{Ops: 1_000_000, Keys: 1_000_000})},
}

const counterKey = "bench:ops"

func local(ctx context.Context, dir string, p Params) (Result, error) {
	const perRound = 100
	rounds := p.or(Params{Ops: 200_000}).Ops / perRound
	r := Result{Scenario: "local", Nodes: 1, Ops: rounds * perRound}
	err := withNodes(ctx, dir, 1, true, func(nodes []*node.Node) error {
		began := time.Now()
		calls, err := runGuest(ctx, nodes[0], incrementer(counterKey, rounds, perRound, 0))
		r.Elapsed = time.Since(began)
		r.measure(calls)
		r.DiskBytes = nodes[0].Status().Store
		return err
	})
	return r, err
}

func replicate(ctx context.Context, dir string, p Params) (Result, error) {
	p = p.or(Params{Nodes: 3, Rate: 1000, Duration: 10 * time.Second})
	// A guest sleeps between rounds, and a sleep takes longer than asked for;
	// the rate that came of it is reported.
	perRound := max(1, p.Rate/200)
	pause := time.Duration(perRound) * time.Second / time.Duration(p.Rate) * 8 / 10
	rounds := int(p.Duration.Seconds()*float64(p.Rate)) / perRound
	return increments(ctx, dir, "replicate", p.Nodes, rounds, perRound, pause)
}

func burst(ctx context.Context, dir string, p Params) (Result, error) {
	const perRound = 100
	p = p.or(Params{Nodes: 3, Ops: 100_000})
	return increments(ctx, dir, "burst", p.Nodes, p.Ops/perRound, perRound, 0)
}

// increments runs a guest on each of a number of nodes and waits until all
// hold the sum.
func increments(ctx context.Context, dir, name string, count, rounds, perRound int, pause time.Duration) (Result, error) {
	r := Result{Scenario: name, Nodes: count, Ops: count * rounds * perRound}
	err := withNodes(ctx, dir, count, false, func(nodes []*node.Node) error {
		code := incrementer(counterKey, rounds, perRound, pause)
		var mu sync.Mutex // guards the two below
		var calls []time.Duration
		var failed error
		var wg sync.WaitGroup
		began := time.Now()
		for _, n := range nodes {
			wg.Go(func() {
				c, err := runGuest(ctx, n, code)
				mu.Lock()
				defer mu.Unlock()
				calls = append(calls, c...)
				failed = errors.Join(failed, err)
			})
		}
		wg.Wait()
		ended := time.Now()
		if failed != nil {
			return failed
		}
		if err := untilEqual(ctx, nodes, r.Ops); err != nil {
			return err
		}
		r.Converged = time.Since(ended)
		r.Elapsed = time.Since(began)
		r.measure(calls)
		for _, n := range nodes {
			r.DiskBytes += n.Status().Store
			_, sent := n.Traffic()
			r.NetBytes += sent
		}
		r.RSS = residentBytes(os.Getpid())
		return nil
	})
	return r, err
}

// runGuest runs a guest and returns how long each of its increments took.
func runGuest(ctx context.Context, n *node.Node, code []byte) ([]time.Duration, error) {
	var calls []time.Duration
	err := n.RunModule(ctx, code, node.Guest{
		File: "bench", Stdout: io.Discard, Stderr: io.Discard,
		Observe: func(call string, took time.Duration) {
			if call == "crdt_gcounter_inc" {
				calls = append(calls, took)
			}
		},
	})
	return calls, err
}

func (r *Result) measure(calls []time.Duration) {
	r.OpsPerSec = float64(r.Ops) / r.Elapsed.Seconds()
	if len(calls) == 0 {
		return
	}
	slices.Sort(calls)
	at := func(p float64) time.Duration { return calls[int(p*float64(len(calls)-1))] }
	r.CallP50, r.CallP95, r.CallP99, r.CallMax = at(.5), at(.95), at(.99), calls[len(calls)-1]
}

// convergeTime is when a scenario gives up waiting.
const convergeTime = time.Minute

func untilEqual(ctx context.Context, nodes []*node.Node, want int) error {
	ctx, cancel := context.WithTimeout(ctx, convergeTime)
	defer cancel()
	return until(ctx, func() (bool, error) {
		for _, n := range nodes {
			v, err := n.Get("default", "gcounter", counterKey)
			if err != nil || v.Count != strconv.Itoa(want) {
				return false, err
			}
		}
		return true, nil
	})
}

func until(ctx context.Context, done func() (bool, error)) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("bench: gave up: %w", ctx.Err())
		}
	}
}

// withNodes runs act on count running nodes of a network of their own, all
// connected.
func withNodes(ctx context.Context, dir string, count int, offline bool, act func([]*node.Node) error) (err error) {
	ctx, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	network := "bench-" + strconv.Itoa(os.Getpid())
	var nodes []*node.Node
	for i := range count {
		cfg := node.Config{
			Data: filepath.Join(dir, strconv.Itoa(i)), Network: network, Datasets: []string{"default"}, API: "off",
			Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Offline: offline, Version: "bench",
		}
		for _, n := range nodes {
			cfg.Bootstrap = append(cfg.Bootstrap, n.Addrs()...)
		}
		n, err := node.Open(cfg, log)
		if err != nil {
			return err
		}
		nodes = append(nodes, n)
		wg.Go(func() {
			if rerr := n.Run(ctx); rerr != nil && err == nil {
				err = rerr
			}
		})
	}
	connected := func() (bool, error) {
		for _, n := range nodes {
			ready := 0
			for _, p := range n.Peers() {
				if p.Equal {
					ready++
				}
			}
			if ready < count-1 && !offline {
				return false, nil
			}
		}
		return true, nil
	}
	wait, cancel := context.WithTimeout(ctx, convergeTime)
	defer cancel()
	if err := until(wait, connected); err != nil {
		return err
	}
	return act(nodes)
}
