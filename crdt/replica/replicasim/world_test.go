package replicasim

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/crdt/replica"
	"github.com/numax-mesh/numax/datastore/datastoretest"
)

// Limits of what a world may take, in virtual time.
const (
	convergeWithin = 45 * time.Second // of the last fault's end: the longest redial, and some
	pollEvery      = 50 * time.Millisecond
	idleTime       = 10 * time.Minute
	// idleBytes is what two equal neighbours may say to each other in the idle
	// time: a beacon in each interval of at most 30 s, both ways.
	idleBytes   = 2 * 40 * int(idleTime/(30*time.Second)+10)
	storeLinger = 5 * time.Second // for LevelDB's goroutines to end after Close
	maxFailures = 10
)

// world is the run of one seed. Its methods are called in a synctest bubble.
type world struct {
	seed     uint64
	began    time.Time
	active   time.Duration
	network  replica.NetworkID
	datasets []string
	net      *network
	nodes    []*node
	plan     []fault
	public   []public
	report   report

	// What the seed has of its own, besides faults.
	retention replica.Retention
	forgetful bool   // keeps nothing that grows with the time it runs
	forked    string // whose disk is copied; "" for nobody's
	enemy     bool   // is among the peers

	taken, refused atomic.Uint64 // of the enemy's gossip

	joined     atomic.Uint64 // states, by incarnations that ended
	reconciled bool          // after the resyncs that a fork asks for

	mu       sync.Mutex // guards the fields below
	failures []string
	lines    []string // of the log
	doubts   []doubt
}

// doubt is a deletion that failed and may have happened.
type doubt struct {
	k    int
	name object
	elem crdt.Dot
}

// report is what a seed did.
type report struct {
	nodes, faults, ops, entries int
	states                      int // joined
	cutting, forking, late      int // worlds with it; nodes that came late
	enemies                     int // worlds with one
	converged, virtual          time.Duration
}

// bareWorld is a world without nodes, datasets or faults.
func bareWorld(seed uint64) *world {
	return &world{seed: seed, began: time.Now(), network: replica.OpenNetwork("replicasim")}
}

func newWorld(seed uint64) *world {
	w := bareWorld(seed)
	rng := w.rng("world")
	var names []string
	for k := range 3 + rng.IntN(4) {
		names = append(names, string(rune('a'+k)))
	}
	for k := range 1 + rng.IntN(2) {
		w.datasets = append(w.datasets, fmt.Sprintf("set %d", k))
	}
	w.public = make([]public, len(w.datasets))
	w.active = 20*time.Second + time.Duration(rng.Int64N(int64(2*time.Minute)))
	w.plan = drawPlan(w.rng("plan"), names, w.active)
	for _, name := range names {
		w.nodes = append(w.nodes, newNode(w, name, name))
	}
	w.report = report{nodes: len(names), faults: len(w.plan)}
	w.drawRetention()
	w.drawLate()
	w.drawFork()
	w.drawEnemy()
	names = nil
	for _, x := range w.nodes {
		names = append(names, x.name)
	}
	w.net = newNetwork(w, names)
	slices.SortStableFunc(w.plan, func(a, b fault) int { return int(a.at - b.at) })
	return w
}

// rng is the source of randomness of one part of the world.
func (w *world) rng(part string) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(part))
	return rand.New(rand.NewPCG(w.seed, h.Sum64()))
}

func (w *world) elapsed() time.Duration { return time.Since(w.began) }

func (w *world) failf(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.failures) < maxFailures {
		w.failures = append(w.failures, fmt.Sprintf("%8.3fs ", w.elapsed().Seconds())+fmt.Sprintf(format, args...))
	}
}

func (w *world) failed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.failures) > 0
}

func (w *world) unsure(k int, name object, elem crdt.Dot) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.doubts = append(w.doubts, doubt{k, name, elem})
}

// story is the plan, the log's end and what went wrong.
func (w *world) story() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d nodes, datasets %q, active for %v, retention %+v\n", len(w.nodes), w.datasets, w.active, w.retention)
	if w.enemy {
		fmt.Fprintln(&b, "an enemy is among the peers")
	}
	for _, x := range w.nodes {
		if x.late > 0 {
			fmt.Fprintf(&b, "%s is new after %v\n", x.name, x.late)
		}
	}
	fmt.Fprintln(&b, "plan:")
	for _, f := range w.plan {
		fmt.Fprintln(&b, f)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	fmt.Fprintf(&b, "log:\n%s\nfailures:\n%s\n", strings.Join(w.lines, "\n"), strings.Join(w.failures, "\n"))
	return b.String()
}

// run lives through the world and returns when all of it has ended.
func (w *world) run() {
	for _, x := range w.nodes {
		if x.late == 0 {
			x.start()
		}
	}
	w.live()
	w.checkHeard()
	w.heal()
	if w.converge("the faults' end") && w.reconcile() {
		w.checkAll()
		w.checkIdle()
		w.restart()
		if w.converge("a restart") {
			w.checkAll()
		}
	}
	for _, x := range w.nodes {
		x.stop()
	}
	w.report.states = int(w.joined.Load())
	w.report.virtual = w.elapsed()
	time.Sleep(storeLinger)
}

// live is the active time: workers work, keepers and the network break things.
func (w *world) live() {
	var wg sync.WaitGroup
	defer wg.Wait()
	end := w.began.Add(w.active)
	if w.enemy {
		wg.Go(func() {
			ctx, cancel := context.WithDeadline(context.Background(), end)
			defer cancel()
			w.besiege(ctx)
		})
	}
	for k, x := range w.nodes {
		wg.Go(func() {
			if x.late > 0 && x.copyOf == nil {
				time.Sleep(x.late)
				x.start()
			}
			for _, f := range w.plan {
				if f.node == k && f.at >= x.late {
					time.Sleep(f.at - w.elapsed())
					f.begin(w)
				}
			}
		})
		for n := range w.datasets {
			work := &worker{w: w, x: x, k: n, rng: w.rng(fmt.Sprint("worker ", x.name, n)), j: x.journals[n]}
			wg.Go(func() { work.run(end) })
		}
	}
	for _, f := range w.plan {
		if f.node < 0 {
			wg.Go(func() {
				time.Sleep(f.at)
				f.begin(w)
				time.Sleep(f.for_)
				f.end(w)
			})
		}
	}
}

// heal makes all links and disks work. Gossip may still lose what it likes.
func (w *world) heal() {
	var ways []way
	for at := range w.net.links {
		ways = append(ways, at)
	}
	w.net.change(ways, func(l *link) { l.down, l.stalled, l.slow = 0, 0, 0 })
	for _, x := range w.nodes {
		x.disk.Fail(datastoretest.NoFault, 0)
	}
}

// restart crashes some nodes and stops the others, all at once.
func (w *world) restart() {
	rng := w.rng("restart")
	var wg sync.WaitGroup
	for _, x := range w.nodes {
		stop := (*node).stop
		if rng.IntN(2) == 0 {
			stop = (*node).crash
		}
		wg.Go(func() { stop(x); x.start() })
	}
	wg.Wait()
}

// converge waits until all nodes hold equal logs and see the same.
func (w *world) converge(since string) bool {
	began := time.Now()
	for time.Since(began) < convergeWithin {
		if w.failed() {
			return false
		}
		if w.equal() == nil {
			w.report.converged = max(w.report.converged, time.Since(began))
			return true
		}
		time.Sleep(pollEvery)
	}
	w.failf("not equal %v after %s: %v", convergeWithin, since, w.equal())
	w.checkAnnounced() // may say why
	return false
}
