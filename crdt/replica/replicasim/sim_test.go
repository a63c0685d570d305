package replicasim

import (
	"flag"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/crdt/replica"
	"github.com/numax-mesh/numax/crdt/replica/replicatest"
	"github.com/numax-mesh/numax/datastore"
)

var (
	seeds = flag.Int("sim.seeds", 6, "how many seeds to run")
	seed  = flag.Uint64("sim.seed", 0, "run this seed only, with its plan; 0: the first seeds")
	times = flag.Int("sim.times", 1, "how often to run a seed")

	strangers = flag.Bool("sim.strangers", false, "let nodes write to maps before anybody has heard of them")
)

// soakEvery is how many seeds pass between two lines about the process.
const soakEvery = 50

// TestSim runs the seeds. See doc.go for what a world is and must hold.
func TestSim(t *testing.T) {
	warmUp(t)
	first, last := uint64(1), uint64(*seeds)
	if testing.Short() {
		last = min(last, 3) // an enemy is in the second world; more take minutes under the race detector
	}
	if *seed != 0 {
		first, last = *seed, *seed
	}
	var total totals
	t.Cleanup(func() { t.Log(total.String()) })
	for s := first; s <= last; s++ {
		for range *times {
			t.Run(fmt.Sprint("seed ", s), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) { runSeed(t, s, &total) })
			})
		}
	}
}

func runSeed(t *testing.T, s uint64, total *totals) {
	w := newWorld(s)
	w.run()
	if w.failed() {
		t.Errorf("%s\nreplay with: make sim SEED=%d", w.story(), s)
	} else if *seed != 0 {
		t.Log(w.story())
	}
	total.add(t, w.report)
}

// warmUp makes what the process shares, such as the compressor's channels,
// outside every bubble: a bubble may not touch another's.
func warmUp(t *testing.T) {
	n := replicatest.New(t, 1)
	a, b := n.StartOver("a", "", datastore.Options{}), n.StartOver("b", "", datastore.Options{})
	a.Set("k", make([]byte, 4<<10)) // worth compressing
	a.Sync()
	a.Do(crdt.Sequence, "k", func(o crdt.Object, _ replica.Now) crdt.Op { // texts are compressed otherwise
		return o.(*crdt.SequenceState).InsertAt(0, slices.Repeat([][]byte{[]byte("text")}, 1<<10))
	})
	a.Sync()
	n.Wait("the warm-up", func() bool {
		return replicatest.Same(a, b) && a.Show(crdt.Sequence, "k") == b.Show(crdt.Sequence, "k") &&
			a.Show(crdt.LWWRegister, "k") == b.Show(crdt.LWWRegister, "k")
	})
	a.Crash()
	b.Crash()
}

// totals sums the reports up.
type totals struct {
	mu    sync.Mutex // guards the fields below
	seeds int
	sum   report
	slow  time.Duration
}

func (s *totals) add(t *testing.T, r report) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seeds++
	s.sum.nodes += r.nodes
	s.sum.faults += r.faults
	s.sum.ops += r.ops
	s.sum.entries += r.entries
	s.sum.states += r.states
	s.sum.cutting += r.cutting
	s.sum.forking += r.forking
	s.sum.late += r.late
	s.sum.enemies += r.enemies
	s.sum.virtual += r.virtual
	s.slow = max(s.slow, r.converged)
	if s.seeds%soakEvery == 0 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		fmt.Printf("sim: %d seeds, heap %d MiB, %d goroutines\n", s.seeds, m.HeapAlloc>>20, runtime.NumGoroutine())
	}
}

func (s *totals) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprintf("%d seeds, %d with logs cut, %d with a fork, %d with an enemy: %d nodes (%d came late), %d faults, %d ops in %d entries, "+
		"%d states joined, %v of virtual time, equal within %v",
		s.seeds, s.sum.cutting, s.sum.forking, s.sum.enemies, s.sum.nodes, s.sum.late, s.sum.faults, s.sum.ops, s.sum.entries,
		s.sum.states, s.sum.virtual.Round(time.Minute), s.slow)
}
