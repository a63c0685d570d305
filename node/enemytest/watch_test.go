package enemytest

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Limits of what the enemy may do to the honest.
const (
	writeWithin  = 2 * time.Second // a local write, on disk
	statusWithin = 2 * time.Second
	usualTimes   = 20 // the median write takes so many times the usual one, or
	usualWithin  = 20 * time.Millisecond
	maxHeap      = 400 << 20 // three nodes and the enemy
	maxGrowth    = 96 << 20  // from the first third of a siege to its end

	writePause = 20 * time.Millisecond
	askPause   = 250 * time.Millisecond
)

// watch lets the honest work and holds them to the laws while they do.
type watch struct {
	m      *mesh
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu     sync.Mutex // guards the fields below
	writes []time.Duration
	asks   []time.Duration

	failures atomic.Int64
}

// maxFailures of one kind are enough to read.
const maxFailures = 10

// begin starts writers and watchers; seed and part name what they draw.
func (m *mesh) begin(seed uint64, part string) *watch {
	ctx, cancel := context.WithCancel(context.Background())
	w := &watch{m: m, cancel: cancel}
	for _, x := range m.nodes {
		rng := source(seed, part, x.name)
		w.wg.Go(func() {
			for every(ctx, writePause) {
				began := time.Now()
				within, done := context.WithTimeout(context.Background(), deadline)
				err := x.own.write(within, x.Node, rng)
				done()
				took := time.Since(began)
				if err != nil {
					w.errorf("%s cannot write: %v", x.name, err)
					return
				}
				if took > writeWithin {
					w.errorf("a write of %s took %v, want at most %v", x.name, took, writeWithin)
				}
				w.mu.Lock()
				w.writes = append(w.writes, took)
				w.mu.Unlock()
				if got, err := x.own.read(x.Node); err != nil || got != x.own.show() {
					w.errorf("%s shows of its own (%v)\n%s\nwant\n%s", x.name, err, got, x.own.show())
				}
			}
		})
		w.wg.Go(func() {
			for every(ctx, askPause) {
				w.ask(x)
				w.overtaken(x)
			}
		})
	}
	return w
}

// every pauses; false means that ctx ended.
func every(ctx context.Context, pause time.Duration) bool {
	select {
	case <-time.After(pause):
		return true
	case <-ctx.Done():
		return false
	}
}

// ask asks a node for its status, as the command does.
func (w *watch) ask(x *honest) {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	began := time.Now()
	s, err := x.client.Status(ctx)
	took := time.Since(began)
	switch {
	case err != nil:
		w.errorf("%s: status: %v", x.name, err)
	case took > statusWithin:
		w.errorf("status of %s took %v, want at most %v", x.name, took, statusWithin)
	case s.Failure != "":
		w.errorf("%s: %s", x.name, s.Failure)
	}
	w.mu.Lock()
	w.asks = append(w.asks, took)
	w.mu.Unlock()
}

// overtaken checks that a node does not show more than was written.
func (w *watch) overtaken(x *honest) {
	for _, writer := range w.m.nodes {
		v, err := x.Get(dataset, "gcounter", writer.own.key)
		if err != nil {
			w.errorf("%s: %v", x.name, err)
			continue
		}
		if n, err := strconv.Atoi(v.Count); err != nil || n > writer.own.counted() {
			w.errorf("%s shows that %s counted %s, it counted %d", x.name, writer.name, v.Count, writer.own.counted())
		}
	}
}

func (w *watch) errorf(format string, args ...any) {
	if w.failures.Add(1) <= maxFailures {
		w.m.t.Errorf(format, args...)
	}
}

// end stops the work, and returns how long writes took.
func (w *watch) end() (writes, asks latency) {
	w.cancel()
	w.wg.Wait()
	return measured(w.writes), measured(w.asks)
}

// latency is how long something took.
type latency struct {
	n             int
	p50, p99, max time.Duration
}

func measured(all []time.Duration) latency {
	if len(all) == 0 {
		return latency{}
	}
	slices.Sort(all)
	return latency{len(all), all[len(all)/2], all[len(all)*99/100], all[len(all)-1]}
}

func (l latency) String() string {
	return fmt.Sprintf("%d, p50 %v, p99 %v, longest %v", l.n, l.p50.Round(time.Microsecond), l.p99.Round(time.Microsecond), l.max.Round(time.Microsecond))
}

// checkUsual compares the writes of a siege with those before.
func checkUsual(t *testing.T, before, during latency) {
	t.Helper()
	if limit := max(usualTimes*before.p50, usualWithin); during.p50 > limit {
		t.Errorf("the median write took %v, want at most %v: before it took %v", during.p50, limit, before.p50)
	}
}

// heap is what the process holds, after a collection.
func heap() uint64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}
