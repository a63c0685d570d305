package bench

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/numax-mesh/numax/node"
)

func itoa(n int) string { return strconv.Itoa(n) }

// networkName is that of this process.
func networkName() string { return "bench-" + itoa(os.Getpid()) }

// alone runs act on one node without a network.
func alone(ctx context.Context, dir string, act func(*node.Node) error) error {
	return runNodes(ctx, dir, 1, true, func(nodes []*node.Node) error { return act(nodes[0]) })
}

// withNodes runs act on count running nodes of a network of their own, all
// connected and equal.
func withNodes(ctx context.Context, dir string, count int, act func([]*node.Node) error) error {
	return runNodes(ctx, dir, count, false, act)
}

func runNodes(ctx context.Context, dir string, count int, offline bool, act func([]*node.Node) error) (err error) {
	ctx, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	ran := make([]error, count)
	defer func() {
		stop()
		wg.Wait()
		err = errors.Join(append(ran, err)...)
	}()
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	var nodes []*node.Node
	for i := range count {
		cfg := node.Config{
			Data: filepath.Join(dir, itoa(i)), Network: networkName(), Datasets: []string{datasetName}, API: "off",
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
		wg.Go(func() { ran[i] = n.Run(ctx) })
	}
	err = soon(ctx, func() (bool, error) {
		for _, n := range nodes {
			ready := 0
			for _, p := range n.Peers() {
				if p.Equal {
					ready++
				}
			}
			if ready < count-1 {
				return false, nil
			}
		}
		return true, nil
	})
	if err != nil {
		return err
	}
	return act(nodes)
}

// allHold waits until every node shows the values of the counters and their
// logs are equal.
func allHold(ctx context.Context, nodes []*node.Node, want map[string]int) error {
	return soon(ctx, func() (bool, error) {
		for _, n := range nodes {
			for key, count := range want {
				v, err := n.Get(datasetName, "gcounter", key)
				if err != nil || v.Count != itoa(count) {
					return false, err
				}
			}
		}
		return sameLogs(nodes), nil
	})
}

func sameLogs(nodes []*node.Node) bool {
	for _, n := range nodes {
		if n.Status().Datasets[0].Digest != nodes[0].Status().Datasets[0].Digest {
			return false
		}
	}
	return true
}

// meterTime is how long libp2p may take to count what was sent.
const meterTime = 1100 * time.Millisecond

// used adds the bytes that nodes sent and stored, and this process's memory.
func (r *Result) used(ctx context.Context, nodes ...*node.Node) {
	resident := ownResidentBytes()
	if len(nodes) > 1 {
		_ = pause(ctx, meterTime)
	}
	var disk, wire int64
	for _, n := range nodes {
		disk += n.Status().Store
		_, sent := n.Traffic()
		wire += sent
	}
	if wire > 0 {
		r.bytes("on the wire", wire)
	}
	r.bytes("on disk", disk)
	r.resident(resident)
}
