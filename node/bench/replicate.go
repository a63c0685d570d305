package bench

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/numax-mesh/numax/node"
)

const counterKey = "bench:ops"

// local is one guest on one node.
func local(ctx context.Context, dir string, p Params) (Result, error) {
	const perRound = 100
	rounds := max(1, p.Ops/perRound)
	var r Result
	err := alone(ctx, dir, func(n *node.Node) error {
		began := time.Now()
		calls, err := runGuest(ctx, n, incrementer(counterKey, pace{rounds: rounds, perRound: perRound}))
		if err != nil {
			return err
		}
		perSecond := r.work(rounds*perRound, time.Since(began))
		r.latency("guest call", calls["crdt_gcounter_inc"])
		r.latency("durable commit", calls["commit"])
		r.used(ctx, n)
		limit, err := fsyncedRows(dir, batchRows, rowValue)
		if err != nil {
			return err
		}
		r.of("fsynced rows in batches of "+itoa(batchRows), PerSecond, limit, perSecond)
		return nil
	})
	return r, err
}

// replicate is a steady load on every node, and what it looks like elsewhere
// while it goes on.
func replicate(ctx context.Context, dir string, p Params) (Result, error) {
	return increments(ctx, dir, p.Nodes, paced(p.Rate, p.Duration))
}

// burst is as much load as the nodes take.
func burst(ctx context.Context, dir string, p Params) (Result, error) {
	const perRound = 100
	return increments(ctx, dir, p.Nodes, pace{rounds: max(1, p.Ops/perRound), perRound: perRound})
}

// increments runs a guest on each of a number of nodes and waits until all
// hold the sum. Under a paced load, probes measure when updates are visible;
// their ops are not counted.
func increments(ctx context.Context, dir string, count int, at pace) (Result, error) {
	var r Result
	ops := count * at.ops()
	err := withNodes(ctx, dir, count, func(nodes []*node.Node) error {
		var probe *probes
		if at.every > 0 {
			probe = startProbes(ctx, nodes)
			defer probe.stop()
		}
		code := incrementer(counterKey, at)
		all := make([]timed, count)
		failed := make([]error, count)
		var wg sync.WaitGroup
		began := time.Now()
		for i, n := range nodes {
			wg.Go(func() { all[i], failed[i] = runGuest(ctx, n, code) })
		}
		wg.Wait()
		ended := time.Now()
		if err := errors.Join(failed...); err != nil {
			return err
		}
		if probe != nil {
			probe.pause()
		}
		if err := allHold(ctx, nodes, map[string]int{counterKey: ops}); err != nil {
			return err
		}
		converged := time.Since(ended)
		perSecond := r.work(ops, time.Since(began))
		r.time("all equal after the last op", converged)
		r.latency("guest call", joined(all, "crdt_gcounter_inc"))
		if probe != nil {
			if err := probe.report(ctx, &r); err != nil {
				return err
			}
		}
		r.used(ctx, nodes...)
		if err := r.behind(nodes); err != nil {
			return err
		}
		// Every node verifies and stores what each of the others wrote.
		return r.ofVerified(dir, 64, perSecond*float64(count))
	})
	return r, err
}

func joined(all []timed, call string) (took []time.Duration) {
	for _, t := range all {
		took = append(took, t[call]...)
	}
	return took
}
