package p2ptest

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/numax-mesh/numax/p2p"
)

// What TestMesh is about: hosts, and the connections that each may have once it
// had the time to close those of least use.
const (
	meshHosts  = 200
	meshConns  = 32
	meshPublic = 128
	meshTime   = 3 * time.Minute
)

// Many hosts that know the address of one public host become one mesh, and no
// host is left with more connections than it may have.
func TestMesh(t *testing.T) {
	if os.Getenv("NUMAX_NET_TESTS") == "" {
		t.Skip("takes a minute; runs with NUMAX_NET_TESTS=1, as make test-net does")
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	begin := func(reachability p2p.Reachability, bootstrap ...string) *p2p.Host {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		h, err := p2p.New(p2p.Config{Key: key, Tag: "mesh", Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Bootstrap: bootstrap, Reachability: reachability})
		if err != nil {
			t.Fatal(err)
		}
		running.Go(func() {
			_ = h.Run(ctx)
			_ = h.Close()
		})
		return h
	}
	began := time.Now()
	first := begin(p2p.Public)
	all := []*p2p.Host{first}
	for len(all) < meshHosts {
		all = append(all, begin(p2p.Private, first.Addrs()...))
	}

	var m mesh
	for m = look(all); m.reached < len(all); m = look(all) {
		if time.Since(began) > meshTime {
			t.Fatalf("after %v: %+v", meshTime, m)
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Logf("one mesh after %v: %+v", time.Since(began).Round(time.Millisecond), m)
	most := m
	for m.reached < len(all) || m.first > meshPublic || m.most > meshConns {
		if time.Since(began) > meshTime {
			t.Fatalf("after %v: %+v; want all reached, %d connections of the first and %d of others", meshTime, m, meshPublic, meshConns)
		}
		time.Sleep(time.Second)
		m = look(all)
		most.first, most.most = max(most.first, m.first), max(most.most, m.most)
	}
	t.Logf("at rest after %v: %+v; at most it was %+v", time.Since(began).Round(time.Millisecond), m, most)
}

// mesh is what hosts are to each other.
type mesh struct {
	reached            int // hosts to which connections lead from the first, over others
	first, least, most int // peers of the first, and of others
	average            float64
}

func look(all []*p2p.Host) mesh {
	peers := make(map[string][]p2p.Peer)
	m := mesh{least: len(all)}
	for _, h := range all {
		now := h.Connected()
		peers[h.ID()] = now
		if h == all[0] {
			m.first = len(now)
			continue
		}
		m.least, m.most = min(m.least, len(now)), max(m.most, len(now))
		m.average += float64(len(now)) / float64(len(all)-1)
	}
	seen := map[string]bool{all[0].ID(): true}
	for todo := []string{all[0].ID()}; len(todo) > 0; todo = todo[1:] {
		for _, p := range peers[todo[0]] {
			if !seen[p.ID] {
				seen[p.ID] = true
				todo = append(todo, p.ID)
			}
		}
	}
	m.reached = len(seen)
	return m
}
