package replica

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/datastore"
)

// From any version that was applied, also one that another run kept, exactly
// the objects that changed behind it are named.
func TestChangedSince(t *testing.T) {
	dir := t.TempDir()
	random := rand.New(rand.NewPCG(1, 2))
	type moment struct {
		version crdt.Version
		counts  map[string]int
	}
	counts := map[string]int{}
	note := func(l *lone) moment {
		now := moment{l.d.Cursor(), map[string]int{}}
		for k, n := range counts {
			now.counts[k] = n
		}
		return now
	}
	var moments []moment
	for run := range 3 {
		l := open(t, dir, datastore.Options{})
		moments = append(moments, note(l))
		for range 40 {
			key := fmt.Sprint(random.IntN(20), run)
			if err := l.inc(key); err != nil {
				t.Fatal(err)
			}
			counts[key]++
			if random.IntN(8) == 0 {
				l.sync(t)
				moments = append(moments, note(l))
			}
		}
		for i, m := range moments {
			want := map[string]bool{}
			for k, n := range counts {
				if n > m.counts[k] {
					want[k] = true
				}
			}
			got := map[string]bool{}
			complete, err := l.d.ChangedSince(ctx, m.version, func(c Change) {
				if c.Remote || c.Family != crdt.GCounter {
					t.Errorf("visited %v", c)
				}
				got[c.Key] = true
			})
			if err != nil || !complete || fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("run %d, since moment %d: %v %v %v, want %v", run, i, got, complete, err, want)
			}
		}
		l.close(t)
	}
	l := open(t, dir, datastore.Options{})
	from := moments[0].version
	if err := l.d.cutTo(ctx, l.d.Applied(), l.d.durableLogs()); err != nil {
		t.Fatal(err)
	}
	if complete, err := l.d.ChangedSince(ctx, from, func(Change) {}); complete || err != nil {
		t.Errorf("since a version that was cut: %v %v, want incomplete", complete, err)
	}
	if complete, err := l.d.ChangedSince(ctx, l.d.Cursor(), func(c Change) { t.Errorf("visited %v", c) }); !complete || err != nil {
		t.Errorf("since now: %v %v", complete, err)
	}
}

func (d *Dataset) durableLogs() map[crdt.Author]logState {
	d.mu.Lock()
	defer d.mu.Unlock()
	logs := make(map[crdt.Author]logState)
	for a, l := range d.durable {
		logs[a] = l
	}
	return logs
}
