package enemytest

import (
	"fmt"
	"testing"
	"time"

	"github.com/numax-mesh/numax/crdt/replica"
)

const calmTime = 1500 * time.Millisecond // before a siege

// TestEnemy: three nodes of an open network, and a peer that says everything to each of them.
func TestEnemy(t *testing.T) {
	for _, seed := range seeds(2) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			replay(t, seed)
			m := openMesh(t, "enemytest")
			e := newEnemy(t, seed, replica.OpenNetwork("enemytest"), m.nodes)
			m.withstand(e)
			for _, what := range []string{
				"gossip valid", "gossip with a wrong field", "gossip absurd", "message valid", "message mutated", "rpc item valid",
				"blob requests", "sync entry", "sync want", "sync state that nobody wants", "sync proof", "sync half a frame", "streams held in silence",
			} {
				if e.lore.count(what) == 0 {
					t.Errorf("the enemy never said: %s", what)
				}
			}
			s := m.nodes[0].Status()
			if s.Rejected == 0 {
				t.Error("nothing was rejected: the enemy was not heard")
			}
			if d := s.Datasets[0]; d.Authors <= len(m.nodes)+1 {
				t.Errorf("%d authors: none of the enemy's entries was taken", d.Authors)
			}
		})
	}
}

// withstand lives through a siege, and holds the nodes to the laws.
func (m *mesh) withstand(e *enemy) {
	t, total := m.t, *siegeTime
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
	began := time.Now()
	until(t, "all show what the honest wrote, and have equal logs", m.equal)
	t.Logf("equal %v after the siege", time.Since(began).Round(time.Millisecond))

	again := m.nodes[int(e.seed)%len(m.nodes)]
	again.stop()
	began = time.Now()
	m.start(again)
	until(t, again.name+" is as the others after a restart", m.equal)
	t.Logf("%s equal %v after its restart began", again.name, time.Since(began).Round(time.Millisecond))
	after := m.begin(e.seed, "after")
	time.Sleep(calmTime / 3)
	after.end()
	until(t, "what is written after a siege arrives", m.equal)
	for _, x := range m.nodes {
		x.stop()
	}
}
