package bench

import (
	"context"
	"errors"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/numax-mesh/numax/node"
	"github.com/numax-mesh/numax/node/api"
)

// chaos is a load on all nodes while one of them, the follower, is a process
// that is killed with SIGKILL and started again and again. The others are
// nodes of this process, whose guests increment a counter each; the follower
// increments one of its own through its API, where an answer means that the op
// is on disk.
func chaos(ctx context.Context, dir string, p Params) (Result, error) {
	var r Result
	err := withNodes(ctx, dir, p.Nodes-1, func(nodes []*node.Node) error {
		f := &follower{data: filepath.Join(dir, "follower"), nodes: nodes}
		if err := f.start(ctx); err != nil {
			return err
		}
		defer func() { _ = f.p.kill() }()

		at := paced(p.Rate, p.Duration)
		load, stop := context.WithTimeout(ctx, p.Duration)
		var wg sync.WaitGroup
		defer wg.Wait()
		defer stop()
		began := time.Now()
		calls, failed := make([]timed, len(nodes)), make([]error, len(nodes))
		for i, n := range nodes {
			wg.Go(func() { calls[i], failed[i] = runGuest(ctx, n, incrementer(loadKey(i), at)) })
		}
		wg.Go(func() { f.write(load, p.Rate) })
		for k := 1; time.Duration(k)*p.Every < p.Duration; k++ {
			if err := pause(ctx, time.Until(began.Add(time.Duration(k)*p.Every))); err != nil {
				return err
			}
			if err := f.crash(ctx); err != nil {
				return err
			}
		}
		wg.Wait()
		ended := time.Now()
		if err := errors.Join(failed...); err != nil {
			return err
		}
		if err := soon(ctx, func() (bool, error) { return f.sameLogs(ctx) }); err != nil {
			return err
		}
		converged := time.Since(ended)
		lost, twice, err := f.audit(at.ops())
		if err != nil {
			return err
		}
		acked, tried := f.counts()
		r.work(len(nodes)*at.ops()+acked, ended.Sub(began))
		r.count("kills", len(f.ready))
		r.count("acknowledged ops of the follower", acked)
		r.count("tried ops of the follower", tried)
		r.count("acknowledged ops lost", lost)
		r.count("ops counted that nobody tried", twice)
		r.latency("restart until ready", f.ready)
		r.latency("restart until equal", f.equal)
		r.time("all equal after the last op", converged)
		r.latency("guest call", joined(calls, "crdt_gcounter_inc"))
		r.latency("durable op through the follower's API", f.took)
		if rss := f.p.residentBytes(); rss > 0 {
			r.bytes("RSS of the follower", rss)
		}
		r.used(ctx, nodes...)
		empty, err := startStop(ctx, filepath.Join(dir, "empty"))
		if err != nil {
			return err
		}
		if len(f.equal) > 0 {
			r.above("ready, with no data", empty.ready, percentile(f.equal, .5))
		}
		return nil
	})
	return r, err
}

// loadKey is the counter of a node of this process.
func loadKey(i int) string { return "chaos:" + itoa(i) }

const followerKey = "chaos:follower"

// follower is the process that is killed.
type follower struct {
	data  string
	nodes []*node.Node
	p     *process

	ready, equal []time.Duration // of each restart, from exec

	mu           sync.Mutex  // guards the fields below
	client       *api.Client // nil while it is down
	acked, tried int
	took         []time.Duration
}

func (f *follower) start(ctx context.Context) error {
	var args []string
	for _, n := range f.nodes {
		for _, a := range n.Addrs() {
			args = append(args, "--bootstrap", a)
		}
	}
	p, err := startProcess(ctx, f.data, args...)
	if err != nil {
		return err
	}
	f.p = p
	c, err := api.Dial(f.data)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.client = c
	return err
}

// write increments the follower's counter at a rate, when it is up.
func (f *follower) write(ctx context.Context, rate int) {
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	inc := api.Change{Dataset: datasetName, Family: "gcounter", Key: followerKey, Verb: "inc"}
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		f.mu.Lock()
		c := f.client
		if c != nil {
			f.tried++
		}
		f.mu.Unlock()
		if c == nil {
			continue
		}
		began := time.Now()
		if _, err := c.Change(ctx, inc); err == nil {
			f.mu.Lock()
			f.acked++
			f.took = append(f.took, time.Since(began))
			f.mu.Unlock()
		}
	}
}

func (f *follower) counts() (acked, tried int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.acked, f.tried
}

// crash kills the follower, starts it again and waits until it has what the
// others had when it was back, and they have what it had acknowledged.
func (f *follower) crash(ctx context.Context) error {
	f.mu.Lock()
	c := f.client
	f.client = nil
	f.mu.Unlock()
	if err := f.p.kill(); err != nil {
		return err
	}
	c.Close()
	acked, _ := f.counts()
	if err := f.start(ctx); err != nil {
		return err
	}
	f.ready = append(f.ready, f.p.ready)
	var had []int
	for i, n := range f.nodes {
		v, err := count(n.Get(datasetName, "gcounter", loadKey(i)))
		if err != nil {
			return err
		}
		had = append(had, v)
	}
	err := soon(ctx, func() (bool, error) { return f.caughtUp(ctx, had, acked) })
	f.equal = append(f.equal, time.Since(f.p.began))
	return err
}

func (f *follower) caughtUp(ctx context.Context, had []int, acked int) (bool, error) {
	for i, want := range had {
		if v, err := count(f.client.Get(ctx, datasetName, "gcounter", loadKey(i))); err != nil || v < want {
			return false, err
		}
	}
	for _, n := range f.nodes {
		if v, err := count(n.Get(datasetName, "gcounter", followerKey)); err != nil || v < acked {
			return false, err
		}
	}
	return true, nil
}

func count(v api.Value, err error) (int, error) {
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(v.Count)
}

func (f *follower) sameLogs(ctx context.Context) (bool, error) {
	s, err := f.client.Status(ctx)
	if err != nil || len(s.Datasets) == 0 {
		return false, err
	}
	return sameLogs(f.nodes) && s.Datasets[0].Digest == f.nodes[0].Status().Datasets[0].Digest, nil
}

// audit compares what all nodes hold with what was acknowledged and tried;
// each guest made ops.
func (f *follower) audit(ops int) (lost, twice int, err error) {
	for i, n := range f.nodes {
		v, err := count(n.Get(datasetName, "gcounter", loadKey(i)))
		if err != nil {
			return 0, 0, err
		}
		lost += max(0, ops-v)
		twice += max(0, v-ops)
	}
	v, err := count(f.nodes[0].Get(datasetName, "gcounter", followerKey))
	acked, tried := f.counts()
	return lost + max(0, acked-v), twice + max(0, v-tried), err
}
