package node_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/numax-mesh/numax/node"
	"github.com/numax-mesh/numax/node/api"
)

// TestManyDatasets: three nodes share 500 datasets. What is written in each
// arrives; the beacons are as many as with one dataset, and so are the
// goroutines, but for one a topic.
func TestManyDatasets(t *testing.T) {
	const many, nodes = 500, 3
	if testing.Short() {
		t.Skip("takes 15 s")
	}
	var names []string
	for i := range many {
		names = append(names, fmt.Sprintf("dataset %d", i))
	}
	before := runtime.NumGoroutine()
	all := []*running{start(t, node.Config{Datasets: names})}
	for range nodes - 1 {
		all = append(all, start(t, node.Config{Datasets: names, Bootstrap: all[0].Addrs()}))
	}
	for i, d := range names {
		change := api.Change{Dataset: d, Family: "gcounter", Key: "k", Verb: "inc"}
		if err := all[i%nodes].Apply(context.Background(), change); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	for _, n := range all {
		for _, d := range names {
			for {
				v, err := n.Get(d, "gcounter", "k")
				if err != nil {
					t.Fatal(err)
				}
				if v.Count == "1" {
					break
				}
				if time.Since(began) > deadline {
					t.Fatalf("%s is %s after %v", d, v.Count, deadline)
				}
				time.Sleep(time.Millisecond) // a poll with a deadline
			}
		}
	}
	t.Logf("%d datasets on %d nodes equal after %v", many, nodes, time.Since(began).Round(time.Millisecond))

	if n := runtime.NumGoroutine() - before; n > nodes*(many+200) {
		t.Errorf("%d goroutines for %d nodes with %d datasets", n, nodes, many)
	}
	// In a second and a half a session sends a handful of beacons, of 18 bytes,
	// however many datasets there are.
	said := func() (bytes int) {
		for _, n := range all {
			families, err := n.Registry().Gather()
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range families {
				if f.GetName() != "numax_sync_bytes_total" {
					continue
				}
				for _, m := range f.GetMetric() {
					for _, l := range m.GetLabel() {
						if l.GetValue() == "repair" {
							bytes += int(m.GetCounter().GetValue())
						}
					}
				}
			}
		}
		return bytes
	}
	settled := func() bool {
		for _, n := range all {
			for _, p := range n.Peers() {
				if !p.Equal {
					return false
				}
			}
		}
		return true
	}
	for end := time.Now().Add(deadline); !settled(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the nodes do not come to rest")
		}
	}
	quiet := said()
	time.Sleep(1500 * time.Millisecond) // the time that is measured
	if n := said() - quiet; n > nodes*(nodes-1)*2*20*18 {
		t.Errorf("%d bytes of repair among %d equal nodes in 1.5 s", n, nodes)
	}
}
