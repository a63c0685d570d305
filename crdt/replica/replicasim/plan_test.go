package replicasim

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/numax-mesh/numax/datastore/datastoretest"
)

// fault is one thing that goes wrong, and is right again after a while.
type fault struct {
	at, for_ time.Duration
	what     string
	node     int          // whose keeper does it; -1: the network's
	begin    func(*world) // of a node's fault, all of it
	end      func(*world)
}

func (f fault) String() string {
	return fmt.Sprintf("%8.3fs for %7.3fs  %s", f.at.Seconds(), f.for_.Seconds(), f.what)
}

// drawPlan draws the faults of the active time.
func drawPlan(rng *rand.Rand, names []string, active time.Duration) []fault {
	var plan []fault
	for range 2 + rng.IntN(10) {
		plan = append(plan, linkFault(rng, names, active))
	}
	for k, name := range names {
		at := time.Duration(0)
		for rng.IntN(4) > 0 {
			at += time.Duration(rng.Int64N(int64(active) / 2))
			f := nodeFault(rng, k, name)
			if f.at = at; at+f.for_ > active {
				break
			}
			plan = append(plan, f)
			at += 2*f.for_ + time.Second
		}
	}
	return plan
}

func linkFault(rng *rand.Rand, names []string, active time.Duration) fault {
	f := fault{node: -1, at: time.Duration(rng.Int64N(int64(active)))}
	f.for_ = time.Duration(rng.Int64N(int64(active-f.at))) / 2
	order := rng.Perm(len(names))
	a, b := names[order[0]], names[order[1]]
	ways := []way{{a, b}}
	var change func(l *link, on int)
	switch kind := rng.IntN(7); kind {
	case 0, 6:
		cut := 1 + rng.IntN(len(names)-1)
		if kind == 6 { // long enough for the others to cut what it misses
			cut, f.for_ = 1, (active-f.at)*9/10
		}
		ways = nil
		var groups [2][]string
		for k, at := range order {
			side := 0
			if k >= cut {
				side = 1
			}
			groups[side] = append(groups[side], names[at])
		}
		for _, x := range groups[0] {
			for _, y := range groups[1] {
				ways = append(ways, way{x, y}, way{y, x})
			}
		}
		f.what = fmt.Sprintf("partition %s | %s", strings.Join(groups[0], " "), strings.Join(groups[1], " "))
		change = func(l *link, on int) { l.down += on }
		if rng.IntN(2) == 0 {
			f.what += " (silent)"
			change = func(l *link, on int) { l.stalled += on }
		}
	case 1:
		f.what = fmt.Sprintf("nothing gets from %s to %s", a, b)
		change = func(l *link, on int) { l.stalled += on }
	case 2:
		f.what = fmt.Sprintf("the streams of %s and %s are cut", a, b)
		ways = append(ways, way{b, a})
		f.for_ = time.Duration(1+rng.IntN(50)) * time.Millisecond
		change = func(l *link, on int) { l.down += on }
	case 3:
		share := rng.Float64()
		f.what = fmt.Sprintf("%.0f %% more of the gossip of all is lost", 100*share)
		ways = nil
		for _, x := range names {
			for _, y := range names {
				if x != y {
					ways = append(ways, way{x, y})
				}
			}
		}
		change = func(l *link, on int) { l.loss += float64(on) * share }
	default:
		rate := 8<<10 + rng.IntN(100<<10)
		f.what = fmt.Sprintf("%s is slow: %d B/s", a, rate)
		ways = nil
		for _, y := range names {
			if y != a {
				ways = append(ways, way{a, y}, way{y, a})
			}
		}
		change = func(l *link, on int) {
			if l.slow = 0; on > 0 {
				l.slow = rate
			}
		}
	}
	f.begin = func(w *world) { w.net.change(ways, func(l *link) { change(l, 1) }) }
	f.end = func(w *world) { w.net.change(ways, func(l *link) { change(l, -1) }) }
	return f
}

func nodeFault(rng *rand.Rand, k int, name string) fault {
	f := fault{node: k, for_: time.Duration(rng.ExpFloat64() * float64(10*time.Second))}
	for_ := f.for_
	clock := rng.IntN(2) == 0
	switch kind := rng.IntN(5); kind {
	case 4:
		f.for_ = time.Duration(rng.Int64N(int64(time.Minute)))
		for_ = f.for_
		fallthrough
	case 0, 1:
		f.what = name + " crashes"
		stop := (*node).crash
		if kind != 0 {
			f.what = name + " is stopped"
			stop = (*node).stop
		}
		f.begin = func(w *world) {
			x := w.nodes[k]
			stop(x)
			time.Sleep(for_)
			if clock {
				x.setClock()
			}
			x.start()
		}
	default:
		fault := datastoretest.Fault(1 + rng.IntN(3))
		after, crash := rng.IntN(20), rng.IntN(3) == 0
		f.what = fmt.Sprintf("%s: disk fault %d after %d writes", name, fault, after)
		if crash {
			f.what += ", then it crashes"
		}
		f.begin = func(w *world) { w.nodes[k].failDisk(fault, after, for_, crash) }
	}
	return f
}
