package replicasim

import (
	"fmt"
	"time"

	"github.com/numax-mesh/numax/crdt/replica"
)

// What a seed has of its own, besides faults: how long logs are kept, nodes that
// come late, a disk that is copied.

// drawRetention makes half of the worlds cut their logs and drop their
// tombstones while they are at it.
func (w *world) drawRetention() {
	rng := w.rng("retention")
	if rng.IntN(2) == 0 {
		return
	}
	w.retention = replica.Retention{
		Age:   time.Second + time.Duration(rng.ExpFloat64()*float64(8*time.Second)),
		Spare: -1,
		Every: 500*time.Millisecond + time.Duration(rng.Int64N(int64(8*time.Second))),
	}
	w.report.cutting = 1
}

func (w *world) cuts() bool { return w.retention.Spare < 0 }

// drawLate adds nodes that begin with an empty disk when the others have long
// been at work; half of them see nobody for a while.
func (w *world) drawLate() {
	rng := w.rng("late")
	for range rng.IntN(4) - 1 {
		x := newNode(w, string(rune('a'+len(w.nodes))), string(rune('a'+len(w.nodes))))
		x.late = w.active/4 + time.Duration(rng.Int64N(int64(w.active/2)))
		if rng.IntN(2) == 0 {
			var ways []way
			for _, y := range w.nodes {
				ways = append(ways, way{x.name, y.name}, way{y.name, x.name})
			}
			for_ := time.Duration(rng.Int64N(int64(w.active - x.late)))
			w.plan = append(w.plan, fault{
				node: -1, at: x.late - time.Millisecond, for_: for_,
				what:  fmt.Sprintf("%s is new, and sees nobody", x.name),
				begin: func(w *world) { w.net.change(ways, func(l *link) { l.down++ }) },
				end:   func(w *world) { w.net.change(ways, func(l *link) { l.down-- }) },
			})
		}
		w.nodes = append(w.nodes, x)
		w.report.nodes++
		w.report.late++
	}
}

// drawFork makes part of the worlds copy a disk: a backup is restored, or two
// nodes live on with one identity.
func (w *world) drawFork() {
	rng := w.rng("fork")
	if rng.IntN(6) > 0 {
		return
	}
	k := rng.IntN(len(w.nodes))
	x := w.nodes[k]
	if x.late > 0 {
		return
	}
	x.suspect, w.forked, w.report.forking = true, x.name, 1
	at := time.Duration(rng.Int64N(int64(w.active / 2)))
	for_ := time.Duration(rng.Int64N(int64(w.active / 2)))
	f := fault{node: k, at: at, for_: for_, what: x.name + " is set back to a backup"}
	f.begin = func(w *world) {
		backup := x.backup()
		time.Sleep(for_)
		x.crash()
		x.disk = backup
		x.start()
	}
	if rng.IntN(2) == 0 {
		y := newNode(w, x.name+"'", x.name)
		y.copyOf, y.late, y.suspect = x, at, true
		w.nodes = append(w.nodes, y)
		f.what, f.for_ = x.name+" is cloned", 0
		f.begin = func(*world) {
			y.disk = x.backup()
			y.start()
		}
	}
	w.plan = append(w.plan, f)
}

// backup copies the disk of a node while it is stopped.
func (x *node) backup() *disk {
	for i := x.current(); i != nil && i.replica.Ready() != nil; {
		time.Sleep(pollEvery) // its disk was broken until now
	}
	x.stop()
	copied, err := x.disk.afterPowerCut(x.rng)
	if err != nil {
		x.w.failf("%s: backup: %v", x.name, err)
	}
	x.start()
	return copied
}
