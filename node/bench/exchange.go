package bench

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/crdt/replica"
	"github.com/numax-mesh/numax/node"
	"github.com/numax-mesh/numax/node/api"
)

func itoa(n int) string { return strconv.Itoa(n) }

// pair opens two replicas that do not know each other yet.
func pair(dir string) (l *link, a, b *bare, done func(), err error) {
	l = &link{to: make(map[string]*replica.Replica)}
	if a, err = openReplica(filepath.Join(dir, "a"), "a", l); err != nil {
		return nil, nil, nil, nil, err
	}
	if b, err = openReplica(filepath.Join(dir, "b"), "b", l); err != nil {
		a.close()
		return nil, nil, nil, nil, err
	}
	return l, a, b, func() { b.close(); a.close() }, nil
}

// syncMissing measures what an exchange costs on the wire: of two equal
// replicas, and of two of which one lacks a few ops.
func syncMissing(ctx context.Context, dir string, p Params) (Result, error) {
	p = p.or(Params{Ops: 200_000, Missing: 100})
	r := Result{Scenario: "sync", Nodes: 2, Ops: p.Missing}
	l, a, b, done, err := pair(dir)
	if err != nil {
		return r, err
	}
	defer done()
	if err := a.write(ctx, p.Ops, 1024, 1000); err != nil {
		return r, err
	}
	if _, err := l.meet(ctx, a, b); err != nil {
		return r, err
	}
	l.part()
	if err := settleSessions(ctx, a, b); err != nil {
		return r, err
	}
	sent := func() int64 { return int64(a.Stats().SyncOut.Load() + b.Stats().SyncOut.Load()) }
	before := sent()
	if _, err := l.meet(ctx, a, b); err != nil {
		return r, err
	}
	if err := untilSettled(ctx, a, b); err != nil {
		return r, err
	}
	equal := sent() - before
	// The stream stays open; now one of them writes, and gossip is lost.
	entries := a.Stats().EntryBytes.Load()
	before = sent()
	began := time.Now()
	if err := a.write(ctx, p.Missing, p.Missing, 1000); err != nil {
		return r, err
	}
	err = until(ctx, func() (bool, error) { return a.data.Digest() == b.data.Digest(), nil })
	r.Elapsed = time.Since(began)
	if err = errors.Join(err, untilSettled(ctx, a, b)); err != nil {
		return r, err
	}
	r.NetBytes = sent() - before
	r.Limits = map[string]float64{
		"bytes to connect two equal replicas": float64(equal),
		"bytes of the missing entries":        float64(a.Stats().EntryBytes.Load() - entries),
		"bytes on the wire for them":          float64(r.NetBytes),
	}
	return r, nil
}

func untilSettled(ctx context.Context, a, b *bare) error {
	ctx, cancel := context.WithTimeout(ctx, convergeTime)
	defer cancel()
	return until(ctx, func() (bool, error) {
		return len(a.Peers()) == 1 && len(b.Peers()) == 1 && a.Settled() && b.Settled(), nil
	})
}

func settleSessions(ctx context.Context, a, b *bare) error {
	ctx, cancel := context.WithTimeout(ctx, convergeTime)
	defer cancel()
	return until(ctx, func() (bool, error) { return len(a.Peers()) == 0 && len(b.Peers()) == 0, nil })
}

// heal measures two replicas that both wrote while they were apart.
func heal(ctx context.Context, dir string, p Params) (Result, error) {
	p = p.or(Params{Ops: 100_000, Keys: 100_000})
	r := Result{Scenario: "heal", Nodes: 2, Ops: 2 * p.Ops}
	l, a, b, done, err := pair(dir)
	if err != nil {
		return r, err
	}
	defer done()
	for _, x := range []*bare{a, b} {
		if err := x.write(ctx, p.Ops, 64, p.Keys); err != nil {
			return r, err
		}
	}
	r.Elapsed, err = l.meet(ctx, a, b)
	r.OpsPerSec = float64(r.Ops) / r.Elapsed.Seconds()
	r.NetBytes = int64(a.Stats().SyncOut.Load() + b.Stats().SyncOut.Load())
	return r, err
}

// latency measures from the update on one node until a watcher on another
// node is told: gossip, validation, apply, fsync.
func latency(ctx context.Context, dir string, p Params) (Result, error) {
	p = p.or(Params{Ops: 500, Nodes: 3})
	r := Result{Scenario: "latency", Nodes: p.Nodes, Ops: p.Ops}
	err := withNodes(ctx, dir, p.Nodes, false, func(nodes []*node.Node) error {
		ctx, stop := context.WithCancel(ctx)
		var wg sync.WaitGroup
		defer wg.Wait()
		defer stop()
		seen := make(chan string, p.Ops+1)
		wg.Go(func() {
			_ = nodes[len(nodes)-1].Watch(ctx, "default", "gcounter", counterKey, func(v api.Value) error {
				seen <- v.Count
				return nil
			})
		})
		<-seen
		var took []time.Duration
		began := time.Now()
		for i := range p.Ops {
			at := time.Now()
			c := api.Change{Dataset: "default", Family: "gcounter", Key: counterKey, Verb: "inc"}
			if err := nodes[0].Apply(ctx, c); err != nil {
				return err
			}
			for got := ""; got != itoa(i+1); {
				select {
				case got = <-seen:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			took = append(took, time.Since(at))
		}
		r.Elapsed = time.Since(began)
		slices.Sort(took)
		r.Visible = took[len(took)/2]
		r.VisibleP99 = took[len(took)*99/100]
		return nil
	})
	return r, err
}

// text replays an editing trace on one replica and merges it on another.
func text(ctx context.Context, dir string, p Params) (Result, error) {
	r := Result{Scenario: "text", Nodes: 2}
	edits, end, err := readTrace(p.File)
	if err != nil {
		return r, err
	}
	l, a, b, done, err := pair(dir)
	if err != nil {
		return r, err
	}
	defer done()
	began := time.Now()
	for _, e := range edits {
		for _, make := range e.updates() {
			if _, err := a.data.Update(ctx, crdt.Sequence, "text", make); err != nil {
				return r, err
			}
			r.Ops++
		}
	}
	replay := time.Since(began)
	if err := a.Sync(ctx); err != nil {
		return r, err
	}
	r.Elapsed, err = l.meet(ctx, a, b)
	if err != nil {
		return r, err
	}
	r.OpsPerSec = float64(r.Ops) / replay.Seconds()
	r.DiskBytes = int64(a.Stats().EntryBytes.Load())
	r.Limits = map[string]float64{
		"ms to replay through Update": float64(replay.Microseconds()) / 1000,
		"ms to merge on a peer":       float64(r.Elapsed.Microseconds()) / 1000,
		"bytes of history":            float64(r.DiskBytes),
	}
	for _, x := range []*bare{a, b} {
		if err := showsText(x, end); err != nil {
			return r, err
		}
	}
	return r, nil
}
