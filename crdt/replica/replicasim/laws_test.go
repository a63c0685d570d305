package replicasim

import (
	"fmt"
	"maps"
	"time"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/crdt/replica"
)

// forkedKey is the key of what nodes write whose log forks: what is left of it
// is not for an oracle to say.
const forkedKey = "forked"

// objects are all that the workload can have written to a dataset, but for what
// is of forkedKey.
func objects() (all []object) {
	for f := crdt.GCounter; f <= crdt.Sequence; f++ {
		for k := range keysAFamily {
			all = append(all, object{f, fmt.Sprintf("key %d", k)})
		}
	}
	return all
}

// equal says how replicas differ, in log or state. The halves of a log that
// forked may differ, and so may what they did, until a resync.
func (w *world) equal() error {
	first := w.nodes[0].current()
	for k, name := range w.datasets {
		for _, x := range w.nodes[1:] {
			a, b := first.sets[k], x.current().sets[k]
			if v, u := a.Version(), b.Version(); w.forked == "" && !w.enemy && !maps.Equal(positive(v), positive(u)) {
				return fmt.Errorf("%s: %s has %v, %s has %v", name, first.node.name, v, x.name, u)
			}
			if a.Digest() != b.Digest() {
				return fmt.Errorf("%s: logs of %s and %s have unequal heads", name, first.node.name, x.name)
			}
		}
	}
	all := objects()
	if w.reconciled {
		for f := crdt.GCounter; f <= crdt.Sequence; f++ {
			all = append(all, object{f, forkedKey})
		}
	}
	for k, name := range w.datasets {
		for _, o := range all {
			want, err := look(first.sets[k], o)
			for _, x := range w.nodes[1:] {
				got, err2 := look(x.current().sets[k], o)
				if err != nil || err2 != nil || got.text != want.text {
					return fmt.Errorf("%s, equal logs: %v %q is %.300q on %s and %.300q on %s (%v, %v)",
						name, o.family, o.key, want.text, first.node.name, got.text, x.name, err, err2)
				}
			}
		}
	}
	return nil
}

// positive leaves out authors without entries.
func positive(v crdt.Version) crdt.Version {
	maps.DeleteFunc(v, func(_ crdt.Author, seq uint64) bool { return seq == 0 })
	return v
}

// checkAll holds equal replicas to the laws and the oracle.
func (w *world) checkAll() {
	w.report.ops, w.report.entries = 0, 0
	for k := range w.datasets {
		w.checkOracle(k)
		w.checkLogs(k)
	}
	w.checkAnnounced()
	if w.forked != "" || w.enemy {
		return
	}
	for _, x := range w.nodes {
		s := x.current().replica.Stats()
		if n := s.Rejected.Load() + s.Ignored.Load() + s.Forks.Load(); n != 0 {
			w.failf("%s: %d rejected, %d ignored, %d forks among honest peers",
				x.name, s.Rejected.Load(), s.Ignored.Load(), s.Forks.Load())
		}
	}
}

func (w *world) checkOracle(k int) {
	o := newOracle()
	for _, x := range w.nodes {
		if x.suspect {
			continue
		}
		ops, sure, maybe := x.journals[k].settle(w, x.name)
		author := x.current().author()
		for _, r := range ops {
			o.op(author, r)
		}
		for _, r := range sure {
			put(o.taken, r.name, r.elem, true)
		}
		for _, r := range maybe {
			put(o.maybe, r.name, r.elem, true)
		}
		w.report.ops += len(ops)
	}
	w.mu.Lock()
	for _, d := range w.doubts {
		if d.k == k {
			put(o.maybe, d.name, d.elem, true)
		}
	}
	w.mu.Unlock()
	d := w.nodes[0].current().sets[k]
	for _, name := range objects() {
		got, err := look(d, name)
		if err == nil {
			err = o.check(name, got)
		}
		if err != nil {
			w.failf("%s: %v", w.datasets[k], err)
		}
	}
}

// checkIdle watches equal replicas for a while.
func (w *world) checkIdle() {
	time.Sleep(15 * time.Minute) // the last beacons that bring good news, and the acks of what was deleted
	var before []uint64
	w.net.mu.Lock()
	gossip := w.net.bytes
	w.net.mu.Unlock()
	for _, x := range w.nodes {
		before = append(before, spoken(x.current().replica))
	}
	time.Sleep(idleTime)
	for k, x := range w.nodes {
		limit := uint64(idleBytes * (len(w.nodes) - 1))
		if w.enemy {
			limit *= 4 // for what it said waits for nobody, and peers are asked about it
		}
		if n := spoken(x.current().replica) - before[k]; n > limit {
			w.failf("%s sent %d bytes in %v to peers that are equal, more than %d", x.name, n, idleTime, limit)
		}
	}
	w.net.mu.Lock()
	defer w.net.mu.Unlock()
	if n := w.net.bytes - gossip; n > 0 {
		w.failf("%d bytes of gossip without a write", n)
	}
}

func spoken(r *replica.Replica) uint64 { return r.Stats().SyncOut.Load() }
