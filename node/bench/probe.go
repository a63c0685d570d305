package bench

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/numax-mesh/numax/node"
	"github.com/numax-mesh/numax/node/api"
)

// probes measure end-to-end visibility under load. Each node counts up a field
// of its own in one map, a few times a second; a watcher on each node notes
// when it first sees each count of the others. Watches coalesce, so a count
// also shows all below it.
type probes struct {
	nodes []*node.Node
	wg    sync.WaitGroup
	end   context.CancelFunc // of the watchers
	halt  context.CancelFunc // of the updates
	sends sync.WaitGroup

	mu     sync.Mutex // guards the fields below
	sent   [][]time.Time
	seen   [][]int // [watcher][writer] counts seen
	took   []time.Duration
	failed error
}

const (
	probeKey   = "bench:probe"
	probeEvery = 200 * time.Millisecond
)

func startProbes(ctx context.Context, nodes []*node.Node) *probes {
	p := &probes{nodes: nodes, sent: make([][]time.Time, len(nodes)), seen: make([][]int, len(nodes))}
	watch, end := context.WithCancel(ctx)
	send, halt := context.WithCancel(watch)
	p.end, p.halt = end, halt
	for i, n := range nodes {
		p.seen[i] = make([]int, len(nodes))
		p.wg.Go(func() {
			_ = n.Watch(watch, datasetName, "lww-map", probeKey, func(v api.Value) error { p.saw(i, v.Fields); return nil })
		})
		// Out of step, so that the probes of one node do not meet another's.
		first := probeEvery * time.Duration(i) / time.Duration(len(nodes))
		p.sends.Go(func() { p.update(send, i, n, first) })
	}
	return p
}

func (p *probes) update(ctx context.Context, writer int, n *node.Node, first time.Duration) {
	timer := time.NewTimer(first)
	defer timer.Stop()
	for count := 1; ; count++ {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		timer.Reset(probeEvery)
		p.mu.Lock()
		p.sent[writer] = append(p.sent[writer], time.Now())
		p.mu.Unlock()
		err := n.Apply(ctx, api.Change{
			Dataset: datasetName, Family: "lww-map", Key: probeKey, Verb: "set", Args: []string{itoa(writer), itoa(count)},
		})
		if err != nil {
			p.mu.Lock()
			p.sent[writer] = p.sent[writer][:count-1] // it was not made
			if ctx.Err() == nil {
				p.failed = errors.Join(p.failed, err)
			}
			p.mu.Unlock()
			return
		}
	}
}

func (p *probes) saw(watcher int, fields map[string]string) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	for field, text := range fields {
		writer, err1 := strconv.Atoi(field)
		count, err2 := strconv.Atoi(text)
		if err := errors.Join(err1, err2); err != nil {
			p.failed = errors.Join(p.failed, err)
			continue
		}
		for c := p.seen[watcher][writer]; c < count; c++ {
			if watcher != writer {
				p.took = append(p.took, now.Sub(p.sent[writer][c]))
			}
			p.seen[watcher][writer] = c + 1
		}
	}
}

// pause ends the updates.
func (p *probes) pause() {
	p.halt()
	p.sends.Wait()
}

// report waits until every update was seen everywhere; call it after pause.
func (p *probes) report(ctx context.Context, r *Result) error {
	err := soon(ctx, func() (bool, error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, seen := range p.seen {
			for writer, count := range seen {
				if count < len(p.sent[writer]) {
					return false, p.failed
				}
			}
		}
		return true, p.failed
	})
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	r.count("updates watched for", len(p.took))
	r.latency("visible elsewhere", p.took)
	return nil
}

func (p *probes) stop() {
	p.pause()
	p.end()
	p.wg.Wait()
}
