package replicasim

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

const (
	fiftyNodes     = 50
	fiftyLoss      = 0.10
	fiftyPartition = 60 * time.Second
	fiftyWithin    = 5 * time.Second
)

// Fifty nodes, of which each has about eight neighbours and loses a tenth of the
// gossip, are halved for a minute while all write; soon after the halves meet
// again all hold the same, which is what the oracle says.
func TestFifty(t *testing.T) {
	warmUp(t)
	synctest.Test(t, func(t *testing.T) {
		w := bareWorld(50)
		w.datasets, w.public = []string{"set 0"}, make([]public, 1)
		var names []string
		for k := range fiftyNodes {
			names = append(names, fmt.Sprintf("n%02d", k))
			w.nodes = append(w.nodes, newNode(w, names[k], names[k]))
		}
		w.net = newNetwork(w, names)
		w.net.thin(w, 4)
		for _, l := range w.net.links {
			l.loss, l.twice = fiftyLoss, 0
		}
		for _, x := range w.nodes {
			x.now = time.Now
			x.start()
		}
		var across []way
		for at := range w.net.links {
			if (at.from < names[fiftyNodes/2]) != (at.to < names[fiftyNodes/2]) {
				across = append(across, at)
			}
		}

		const before = 10 * time.Second
		end := w.began.Add(before + fiftyPartition)
		var wg sync.WaitGroup
		for _, x := range w.nodes {
			k := &worker{w: w, x: x, rng: w.rng("worker " + x.name), j: x.journals[0], large: maxLargeOps, pause: 10 * time.Second}
			wg.Go(func() { k.run(end) })
		}
		time.Sleep(before)
		w.net.change(across, func(l *link) { l.down++ })
		time.Sleep(fiftyPartition)
		w.net.change(across, func(l *link) { l.down-- })
		healed := time.Now()
		err := w.equal()
		for ; err != nil && time.Since(healed) < convergeWithin; err = w.equal() {
			time.Sleep(pollEvery)
		}
		took := time.Since(healed)
		wg.Wait() // of writes just under way, too: what they make is waited for below
		switch {
		case err != nil:
			t.Errorf("not equal %v after healing: %v", took, err)
		case took > fiftyWithin:
			t.Errorf("equal %v after healing, want within %v", took, fiftyWithin)
		}
		w.converge("the last write")
		w.checkAll()
		for _, x := range w.nodes {
			x.stop()
		}
		if w.failed() {
			t.Error(w.story())
		}
		t.Logf("%d nodes, %.0f %% of gossip lost, %v of partition: equal %v after healing; %d ops in %d entries",
			fiftyNodes, 100*fiftyLoss, fiftyPartition, took, w.report.ops, w.report.entries)
		time.Sleep(storeLinger)
	})
}

// thin leaves every node its neighbours in a ring and some others, about twice
// as many as each chooses.
func (n *network) thin(w *world, chosen int) {
	rng := w.rng("neighbours")
	keep := make(map[way]bool)
	for k, a := range n.names {
		for i := range chosen {
			b := n.names[(k+1)%len(n.names)]
			if i > 0 {
				b = n.names[rng.IntN(len(n.names))]
			}
			keep[way{a, b}], keep[way{b, a}] = true, true
		}
	}
	for at := range n.links {
		if !keep[at] {
			delete(n.links, at)
		}
	}
}
