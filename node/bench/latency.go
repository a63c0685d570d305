package bench

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/node"
	"github.com/numax-mesh/numax/node/api"
)

// latency measures from the update on one node until the watchers on all other
// nodes are told: gossip, validation, apply, fsync. The next update waits for
// them, so a message that is lost is not missed by the next that comes, and
// only the beacon tells of it: the worst case.
func latency(ctx context.Context, dir string, p Params) (Result, error) {
	if p.Loss > 0 {
		return lossyLatency(ctx, dir, p)
	}
	var r Result
	err := withNodes(ctx, dir, p.Nodes, func(nodes []*node.Node) error {
		w := newWatchers(ctx, p.Nodes-1)
		defer w.stop()
		for i, n := range nodes[1:] {
			w.wg.Go(func() {
				_ = n.Watch(w.ctx, datasetName, "gcounter", counterKey, func(v api.Value) error {
					count, err := strconv.Atoi(v.Count)
					w.saw(i, count)
					return err
				})
			})
		}
		inc := api.Change{Dataset: datasetName, Family: "gcounter", Key: counterKey, Verb: "inc"}
		if err := w.measure(&r, p.Ops, func() error { return nodes[0].Apply(ctx, inc) }); err != nil {
			return err
		}
		r.used(ctx, nodes...)
		return w.floor(ctx, dir, &r)
	})
	return r, err
}

// lossyLatency is the same over replicas on hosts of their own, since a node
// has no switch for losing messages.
func lossyLatency(ctx context.Context, dir string, p Params) (Result, error) {
	var all []*wired
	var addrs []string
	defer func() {
		for _, x := range all {
			x.shut()
		}
	}()
	for i := range p.Nodes {
		x, err := openWired(filepath.Join(dir, itoa(i)), p.Loss)
		if err != nil {
			return nil, err
		}
		all = append(all, x)
		if err := x.attach(addrs...); err != nil {
			return nil, err
		}
		addrs = append(addrs, x.addrs()...)
	}
	err := soon(ctx, func() (bool, error) {
		for _, x := range all {
			if len(x.Peers()) < p.Nodes-1 || !x.Settled() {
				return false, nil
			}
		}
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	w := newWatchers(ctx, p.Nodes-1)
	defer w.stop()
	for i, x := range all[1:] {
		w.wg.Go(func() { x.watchCounter(w.ctx, func(count int) { w.saw(i, count) }) })
	}
	var r Result
	if err := w.measure(&r, p.Ops, func() error { return all[0].inc(ctx, counterKey) }); err != nil {
		return nil, err
	}
	_ = pause(ctx, meterTime)
	var disk, wire int64
	lost, missing := 0, 0
	for _, x := range all {
		disk += x.store.Size()
		_, sent := x.mesh.up().host.Traffic()
		wire += sent
		x.mesh.mu.Lock()
		lost += x.mesh.lost
		x.mesh.mu.Unlock()
		v, err := x.value(counterKey)
		if err != nil {
			return nil, err
		}
		missing += p.Ops - int(v)
	}
	r.count("gossip messages lost", lost)
	r.count("ops missing in the end", missing)
	r.bytes("on the wire", wire)
	r.bytes("on disk", disk)
	r.resident(ownResidentBytes())
	err = w.floor(ctx, dir, &r)
	return r, err
}

// watchCounter tells of the counter's value now and after each change, until
// ctx ends.
func (b *bare) watchCounter(ctx context.Context, saw func(int)) {
	w := b.data.Watch(counterKey)
	defer w.Close()
	for {
		var n uint64
		_ = b.data.View(crdt.GCounter, counterKey, func(o crdt.Object) { n = o.(*crdt.GCounterState).Value() })
		saw(int(n))
		if _, _, err := w.Next(ctx); err != nil {
			return
		}
	}
}

// watchers wait for a counter on several nodes.
type watchers struct {
	ctx  context.Context // ends with stop
	end  context.CancelFunc
	wg   sync.WaitGroup
	told chan sighting
	n    int
	took []time.Duration
}

type sighting struct {
	watcher, count int
	at             time.Time
}

func newWatchers(ctx context.Context, n int) *watchers {
	ctx, end := context.WithCancel(ctx)
	return &watchers{ctx: ctx, end: end, told: make(chan sighting), n: n}
}

func (w *watchers) saw(watcher, count int) {
	select {
	case w.told <- sighting{watcher, count, time.Now()}:
	case <-w.ctx.Done():
	}
}

// measure makes ops updates, each when the one before it was seen everywhere.
func (w *watchers) measure(r *Result, ops int, update func() error) error {
	if err := w.untilAll(0, time.Time{}); err != nil { // they watch
		return err
	}
	began := time.Now()
	for i := range ops {
		at := time.Now()
		if err := update(); err != nil {
			return err
		}
		if err := w.untilAll(i+1, at); err != nil {
			return err
		}
	}
	r.work(ops, time.Since(began))
	r.count("updates watched for", len(w.took))
	r.latency("visible elsewhere", w.took)
	return nil
}

// untilAll waits until every watcher saw a count and notes how long after a
// time that was.
func (w *watchers) untilAll(count int, since time.Time) error {
	giveUp := time.NewTimer(convergeTime)
	defer giveUp.Stop()
	for seen := make(map[int]bool); len(seen) < w.n; {
		select {
		case s := <-w.told:
			if s.count == count && !seen[s.watcher] {
				seen[s.watcher] = true
				if count > 0 {
					w.took = append(w.took, s.at.Sub(since))
				}
			}
		case <-giveUp.C:
			return fmt.Errorf("update %d: seen on %d of %d nodes within %v", count, len(seen), w.n, convergeTime)
		case <-w.ctx.Done():
			return w.ctx.Err()
		}
	}
	return nil
}

// floor adds what no update can do without: its fsync, the way, and the
// other's fsync.
func (w *watchers) floor(ctx context.Context, dir string, r *Result) error {
	fsync, err := fsyncedRows(dir, 1, rowValue)
	if err != nil {
		return err
	}
	trip, err := tcpRoundTrip(ctx)
	if err != nil {
		return err
	}
	limit := time.Duration(2/fsync*float64(time.Second)) + trip/2
	r.above("two fsyncs and half a TCP round trip, by the median", limit, percentile(w.took, .5))
	return nil
}

func (w *watchers) stop() {
	w.end()
	w.wg.Wait()
}
