package node_test

import (
	"context"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/numax-mesh/numax/node"
	"github.com/numax-mesh/numax/node/api"
)

// found starts the first node of a closed network.
func found(t *testing.T, dir string) *running {
	t.Helper()
	cfg := node.Config{Data: filepath.Join(dir, "founder")}
	if _, err := node.FoundNetwork(cfg, "test-"+t.Name(), "founder"); err != nil {
		t.Fatal(err)
	}
	return start(t, cfg)
}

// join makes a member of a data directory, and starts it.
func (r *running) join(t *testing.T, cfg node.Config, role string) *running {
	t.Helper()
	invite, err := r.Invite(api.Invite{Role: role, Uses: 1})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	cfg.Listen = []string{"127.0.0.1:0"}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	if _, err := node.JoinNetwork(ctx, cfg, invite.Token, filepath.Base(cfg.Data), func() {}, log); err != nil {
		t.Fatal(err)
	}
	return start(t, cfg)
}

// cutOff is how soon a revoked member is out, at every node in reach.
const cutOff = 2 * time.Second

// club is a closed network of a founder, three writers and a reader, in which
// everybody talks to everybody.
type club struct {
	founder *running
	config  map[string]node.Config
	running map[string]*running
}

func newClub(t *testing.T) *club {
	t.Helper()
	dir := t.TempDir()
	c := &club{found(t, dir), make(map[string]node.Config), make(map[string]*running)}
	addrs := c.founder.Addrs()
	for _, name := range clubNames {
		cfg := node.Config{Data: filepath.Join(dir, name), Bootstrap: slices.Clone(addrs)}
		role := "writer"
		if name == "reader" {
			role = name
		}
		n := c.founder.join(t, cfg, role)
		c.config[name], c.running[name] = cfg, n
		addrs = append(addrs, n.Addrs()...)
	}
	for _, n := range append(c.without("w1"), c.running["w1"]) {
		until(t, "everybody talks to everybody", func() bool { return talking(n) == 4 })
	}
	return c
}

var clubNames = []string{"w1", "w2", "w3", "reader"}

// without are all but one, the founder first.
func (c *club) without(name string) []*running {
	all := []*running{c.founder}
	for _, x := range clubNames {
		if x != name {
			all = append(all, c.running[x])
		}
	}
	return all
}

// agree waits until all hold the same count. It may still grow when a member is
// revoked: by what others show that they had of it.
func agree(t *testing.T, nodes []*running) {
	t.Helper()
	var counts []string
	for began := time.Now(); time.Since(began) < deadline; time.Sleep(10 * time.Millisecond) {
		counts = counts[:0]
		for _, n := range nodes {
			counts = append(counts, count(t, n))
		}
		if len(slices.Compact(slices.Clone(counts))) == 1 {
			return
		}
	}
	t.Errorf("after %v they hold %v", deadline, counts)
}

// A member that is revoked while it writes at full speed is out at every node
// within cutOff: no connection of a member, no sync stream. All who remain hold the
// same of it; a reader that took more waits a while for others to vouch for it.
func TestRevoked(t *testing.T) {
	c := newClub(t)
	out, rest := c.running["w1"], c.without("w1")
	stop := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		for {
			err := out.Apply(context.Background(), increment)
			select {
			case <-stop:
				return
			default:
			}
			if err != nil && !strings.Contains(err.Error(), "the network does not let this node write") {
				t.Error(err)
				return
			}
		}
	})
	for _, n := range rest {
		until(t, "its writes arrive", func() bool { return count(t, n) != "0" })
	}
	began := time.Now()
	if _, err := c.founder.Revoke(t.Context(), "w1"); err != nil {
		t.Fatal(err)
	}
	took := make([]time.Duration, len(rest))
	var watchers sync.WaitGroup
	for i, n := range rest {
		watchers.Go(func() {
			for time.Since(began) < deadline && knows(n, out) {
				time.Sleep(time.Millisecond)
			}
			took[i] = time.Since(began)
		})
	}
	watchers.Wait()
	t.Logf("cut off after %v", took)
	if slow := slices.Max(took); slow > cutOff {
		t.Errorf("cut off after %v, want at most %v", slow, cutOff)
	}
	agree(t, rest)
	close(stop)
	writer.Wait()
}

// What a member writes that was revoked while it was away reaches nobody when it
// comes back, and it hears why.
func TestRevokedWhileAway(t *testing.T) {
	c := newClub(t)
	c.running["w1"].fill(t, 2)
	for _, n := range c.without("w1") {
		n.wait(t, 2)
	}
	c.running["w1"].stop()
	if _, err := c.founder.Revoke(t.Context(), "w1"); err != nil {
		t.Fatal(err)
	}
	cfg := c.config["w1"]
	cfg.Offline = true
	away := start(t, cfg)
	away.fill(t, 5)
	away.stop()

	cfg.Offline = false
	for _, n := range c.without("w1") {
		cfg.Bootstrap = append(cfg.Bootstrap, n.Addrs()...)
	}
	back := start(t, cfg)
	until(t, "it hears that it is out", func() bool { return back.Network().Role == "" })
	c.founder.fill(t, 1)
	for _, n := range c.without("w1") {
		n.wait(t, 2+1)
		if knows(n, back) {
			t.Error("a revoked member is back")
		}
	}
	if err := back.Apply(t.Context(), increment); err == nil || !strings.Contains(err.Error(), "does not let this node write") {
		t.Errorf("it writes on: got %v", err)
	}
}

var increment = api.Change{Dataset: "default", Family: "gcounter", Key: "k", Verb: "inc"}

func count(t *testing.T, n *running) string {
	t.Helper()
	v, err := n.Get("default", "gcounter", "k")
	if err != nil {
		t.Error(err)
	}
	return v.Count
}

// knows reports whether a takes b for a member or syncs with it.
func knows(a, b *running) bool {
	return slices.ContainsFunc(a.Peers(), func(p api.Peer) bool { return p.ID == b.ID() && (p.Member || p.Sync) })
}

// talking is how many peers a node syncs with.
func talking(n *running) (peers int) {
	for _, p := range n.Peers() {
		if p.Member && p.Sync {
			peers++
		}
	}
	return peers
}
