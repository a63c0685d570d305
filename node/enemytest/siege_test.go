package enemytest

import (
	"fmt"
	"testing"
	"time"

	"github.com/numax-mesh/numax/crdt/replica"
)

const calmTime = 900 * time.Millisecond // before a siege

// TestEnemy: three nodes of an open network, and a peer that says everything to each of them.
func TestEnemy(t *testing.T) {
	for _, seed := range seeds(2) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			replay(t, seed)
			m := openMesh(t, "enemytest")
			e := newEnemy(t, seed, replica.OpenNetwork("enemytest"), m.nodes)
			m.withstand(e, *siegeTime)
			for _, what := range []string{
				"gossip valid", "gossip with a wrong field", "gossip absurd", "message valid", "message mutated", "rpc item valid",
				"blob requests", "sync entry", "sync want", "sync state that nobody wants", "sync proof", "sync half a frame", "streams held in silence",
			} {
				if !testing.Short() && e.lore.count(what) == 0 {
					t.Errorf("the enemy never said: %s", what)
				}
			}
		})
	}
}

// withstand lives through a siege, and holds the nodes to the laws.
func (m *mesh) withstand(e *enemy, total time.Duration) {
	t := m.t
	if testing.Short() {
		total /= 2
	}
	calm := m.begin(e.seed, "calm")
	time.Sleep(calmTime)
	before, _ := calm.end()

	siege := m.begin(e.seed, "siege")
	e.attack()
	time.Sleep(total / 3)
	third := heap()
	for began := time.Now(); time.Since(began) < total*2/3; time.Sleep(min(time.Second, total/6)) {
		e.leaving.Store(time.Since(began) > total/3)
		if h := heap(); h > maxHeap {
			t.Errorf("the heap holds %d MiB, want at most %d", h>>20, maxHeap>>20)
			break
		}
	}
	last := heap()
	e.retreat()
	during, asks := siege.end()
	t.Logf("seed %d: writes before: %v; in the siege: %v; status: %v; heap %d MiB after a third, %d MiB in the end; the enemy said:%v",
		e.seed, before, during, asks, third>>20, last>>20, e.lore)
	checkUsual(t, before, during)
	if last > maxHeap || last > third+maxGrowth {
		t.Errorf("the heap grew from %d MiB to %d, want at most %d more and %d in all", third>>20, last>>20, maxGrowth>>20, maxHeap>>20)
	}
	m.settle("the siege")
	var rejected uint64
	for _, x := range m.nodes {
		s := x.Status()
		rejected += s.Rejected
		d := s.Datasets[0]
		if !e.closed && d.Authors <= len(m.nodes)+1 {
			t.Errorf("%s has %d authors: none of the enemy's entries was taken", x.name, d.Authors)
		}
		if e.closed && d.Authors != len(m.nodes) {
			t.Errorf("%s has %d authors, want the %d that may write", x.name, d.Authors, len(m.nodes))
		}
	}
	if rejected == 0 && (!e.closed || e.key != nil) {
		t.Error("nothing was rejected: the enemy was not heard")
	}

	again := m.nodes[int(e.seed)%len(m.nodes)]
	again.stop()
	m.start(again)
	m.settle("the restart of " + again.name)
	after := m.begin(e.seed, "after")
	time.Sleep(calmTime / 3)
	after.end()
	m.settle("what was written after a siege")
	for _, x := range m.nodes {
		x.stop()
	}
}
