package replicasim

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/crdt/replica"
	"github.com/numax-mesh/numax/datastore"
)

var hours = flag.Int("sim.hours", 2, "virtual hours of the soak")

// The soak: what is written and deleted is in balance.
const (
	soakNodes  = 4
	soakPause  = 15 * time.Second // mean, between two writes of a node
	soakFields = 50
	soakLength = 100 // of a sequence
	soakCrash  = 12 * time.Minute
	soakAway   = 8 * time.Minute // at most
	soakSample = 30 * time.Minute
)

var soakRetention = replica.Retention{Age: 15 * time.Minute, Spare: 64 << 10, Every: time.Minute}

// sample is what may not grow.
type sample struct {
	heap, disk, log              int64 // bytes; disk and log of all nodes
	goroutines, entries, objects int
	tombstones                   int
}

func (s sample) String() string {
	return fmt.Sprintf("heap %5.1f MiB, %3d goroutines, disk %6.1f KiB, log %5.1f KiB in %4d entries, %4d object rows, %d with tombstones",
		float64(s.heap)/(1<<20), s.goroutines, float64(s.disk)/(1<<10), float64(s.log)/(1<<10), s.entries, s.objects, s.tombstones)
}

// TestSoak lives through hours of constant churn in virtual time: a low rate of
// writes, deletions in balance with what is inserted, members that crash and
// return. Nothing may grow but with what is visible.
func TestSoak(t *testing.T) {
	warmUp(t)
	began := time.Now()
	synctest.Test(t, func(t *testing.T) { soak(t, time.Duration(*hours)*time.Hour) })
	t.Logf("%d virtual hours took %v", *hours, time.Since(began).Round(time.Second))
}

func soak(t *testing.T, length time.Duration) {
	w := bareWorld(24)
	w.datasets, w.forgetful, w.retention = []string{"set 0"}, true, soakRetention
	var names []string
	for k := range soakNodes {
		names = append(names, string(rune('a'+k)))
		w.nodes = append(w.nodes, newNode(w, names[k], names[k]))
	}
	w.net = newNetwork(w, names)
	for _, x := range w.nodes {
		x.start()
	}
	end := w.began.Add(length)
	var wg sync.WaitGroup
	for _, x := range w.nodes {
		rng := w.rng("churn " + x.name)
		wg.Go(func() {
			for time.Now().Before(end) {
				if i := x.current(); i != nil {
					_ = churn(i, rng) // what a crash cuts off is no matter here
				}
				time.Sleep(time.Duration(rng.ExpFloat64() * float64(soakPause)))
			}
		})
	}
	wg.Go(func() {
		rng := w.rng("crashes")
		for time.Until(end) > soakCrash {
			time.Sleep(soakCrash)
			x := w.nodes[rng.IntN(len(w.nodes))]
			x.crash()
			time.Sleep(time.Duration(rng.Int64N(int64(soakAway))))
			x.start()
		}
	})
	var first, later sample
	settled := max(length/4, time.Hour) // then the logs are as long as they get
	for n := 1; time.Until(end) >= soakSample; n++ {
		time.Sleep(soakSample)
		s := w.sample()
		if s.entries == 0 {
			t.Error("nobody was there to be looked at")
		}
		if n == 1 || n%2 == 0 {
			t.Logf("%5.1f h: %v", time.Since(w.began).Hours(), s)
		}
		switch {
		case time.Since(w.began) <= settled:
			first = first.max(s)
		default:
			later = later.max(s)
		}
	}
	wg.Wait()
	if !later.within(first) {
		t.Errorf("something grows:\nat first: %v\nlater:    %v", first, later)
	}
	w.converge("the end of the churn")
	for _, x := range w.nodes {
		x.stop()
	}
	if w.failed() {
		t.Error(w.story())
	}
	time.Sleep(storeLinger)
}

// churn changes one object, and keeps it at its size.
func churn(i *incarnation, rng *rand.Rand) error {
	name := object{crdt.Family(1 + rng.IntN(6)), fmt.Sprintf("key %d", rng.IntN(keysAFamily))}
	field, value := fmt.Appendf(nil, "f%d", rng.IntN(soakFields)), fmt.Appendf(nil, "%x", rng.Uint64())
	away, where := rng.IntN(2) == 0, rng.Float64()
	_, err := i.sets[0].Update(i.ctx, name.family, name.key, func(o crdt.Object, now replica.Now) (op crdt.Op, ok bool) {
		switch o := o.(type) {
		case *crdt.GCounterState:
			return o.Inc(now.Author, 1), true
		case *crdt.PNCounterState:
			return o.Dec(now.Author, 1), true
		case *crdt.RegisterState:
			return o.Set(now.Time, value), true
		case *crdt.MapState:
			if away {
				return o.Remove(now.Time, field), true
			}
			return o.Set(now.Time, field, value), true
		case *crdt.SetState:
			if away {
				return o.Remove(field)
			}
			return o.Add(field), true
		case *crdt.SequenceState:
			at := int(where * float64(o.Len()))
			if o.Len() >= soakLength || away && o.Len() > 0 {
				return o.DeleteRange(at, 1), true
			}
			return o.InsertAt(at, [][]byte{value}), true
		}
		return op, false
	})
	return err
}

// sample looks at the nodes that are up; those that are not count as the
// largest of these.
func (w *world) sample() (s sample) {
	up := 0
	for _, x := range w.nodes {
		i := x.current()
		if i == nil {
			continue
		}
		up++
		s.disk += x.disk.size()
		id := i.sets[0].ID()
		_ = datastore.ScanPrefix(i.store, datastore.EntryPrefix(id, nil), func(_, v []byte) bool {
			s.entries++
			s.log += int64(len(v))
			return true
		})
		_ = i.store.Scan([]byte("o"), []byte("p"), func(k, v []byte) bool {
			s.objects++
			if f, _, slot, ok := datastore.SplitObjectKey(k); ok && crdt.RowHasTombstone(crdt.Family(f), slot, v) {
				s.tombstones++
			}
			return true
		})
	}
	if up > 0 {
		s.entries, s.objects, s.tombstones = s.entries*soakNodes/up, s.objects*soakNodes/up, s.tombstones*soakNodes/up
		s.log, s.disk = s.log*soakNodes/int64(up), s.disk*soakNodes/int64(up)
	}
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what the first one finalized
	runtime.ReadMemStats(&m)
	s.heap, s.goroutines = int64(m.HeapAlloc), runtime.NumGoroutine()
	return s
}

func (s sample) max(x sample) sample {
	return sample{
		max(s.heap, x.heap), max(s.disk, x.disk), max(s.log, x.log),
		max(s.goroutines, x.goroutines), max(s.entries, x.entries), max(s.objects, x.objects), max(s.tombstones, x.tombstones),
	}
}

// within reports whether a later sample is about what the first ones were. Logs
// and tombstones go in bursts: when LevelDB has written them to a table, and when
// whoever was away is back.
func (s sample) within(first sample) bool {
	fits := func(now, was, slack int64) bool { return now <= was+was/2+slack }
	return fits(s.heap, first.heap, 8<<20) && fits(s.disk, first.disk, 2<<20) && fits(s.log, first.log, 1<<20) &&
		fits(int64(s.goroutines), int64(first.goroutines), 20) && fits(int64(s.entries), int64(first.entries), 2000) &&
		fits(int64(s.objects), int64(first.objects), 1000) && fits(int64(s.tombstones), int64(first.tombstones), 500)
}
