package node_test

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/numax-mesh/numax/node"
	"github.com/numax-mesh/numax/node/api"
)

// somePeer is a peer id of nobody.
const somePeer = "12D3KooWHCnKKiTt3h3hLWRKrhiZWTNpsYs19hLqoh2t3TbWAsr9"

func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for began := time.Now(); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > deadline {
			t.Fatalf("after %v: still not: %s", deadline, what)
		}
	}
}

func sees(a, b *running) bool {
	return slices.ContainsFunc(a.Peers(), func(p api.Peer) bool { return p.ID == b.ID() })
}

// What is said of peers takes effect at once, and again after a restart.
func TestListsOutliveTheNode(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	a, b := start(t, node.Config{Data: dir}), start(t, node.Config{})
	if err := a.AddBootstrap(b.Addrs()[0]); err != nil {
		t.Fatal(err)
	}
	until(t, "a is connected to b", func() bool { return sees(a, b) })
	if p := a.Peers()[0]; p.Way != "lan" || !p.Member {
		t.Errorf("got %+v, want a member on this machine", p)
	}
	if p, err := a.Ping(t.Context(), b.ID()); err != nil || p.RTT <= 0 {
		t.Errorf("ping: %+v, %v", p, err)
	}
	if err := a.Disconnect(b.ID()); err != nil {
		t.Error(err)
	}
	until(t, "a is back, since it begins there", func() bool { return sees(a, b) })
	a.stop()
	a = start(t, node.Config{Data: dir})
	until(t, "a begins there again", func() bool { return sees(a, b) })

	if err := a.Block(b.ID()); err != nil {
		t.Fatal(err)
	}
	until(t, "b is cut off", func() bool { return !sees(a, b) && !sees(b, a) })
	a.stop()
	a = start(t, node.Config{Data: dir})
	if err := a.Connect(t.Context(), b.Addrs()[0]); err == nil || !strings.Contains(err.Error(), "blocked") {
		t.Errorf("connect to a blocked peer: %v", err)
	}
	if err := a.Unblock(b.ID()); err != nil {
		t.Fatal(err)
	}
	until(t, "b is back", func() bool { return sees(a, b) })
	if err := a.RemoveBootstrap(b.Addrs()[0]); err != nil {
		t.Fatal(err)
	}
	if all, err := a.Bootstrap(); err != nil || len(all) != 0 {
		t.Errorf("bootstrap: %v, %v, want none", all, err)
	}
}

// How far a peer is behind is known for each dataset that both have.
func TestLag(t *testing.T) {
	b := start(t, node.Config{Datasets: []string{"one", "two"}})
	a := start(t, node.Config{Datasets: []string{"one", "two", "ours"}, Bootstrap: b.Addrs()[:1]})
	for _, d := range []string{"one", "ours"} {
		if _, err := a.Change(t.Context(), api.Change{Dataset: d, Family: "gcounter", Key: "k", Verb: "inc"}); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "b has it all", func() bool {
		peers := a.Peers()
		return len(peers) == 1 && peers[0].Equal && maps.Equal(peers[0].Lag, map[string]uint64{"one": 0, "two": 0})
	})
}

// The lists can be changed while no node runs, and a mistake in them names its
// line.
func TestListsWithoutANode(t *testing.T) {
	dir := t.TempDir()
	cfg := node.Config{Data: dir, Bootstrap: []string{"example.org"}}
	l, err := node.OpenLists(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(l.AddBootstrap("example.net"), l.AddBootstrap("example.net"), l.AddBootstrap("example.com"), l.RemoveBootstrap("example.com")); err != nil {
		t.Fatal(err)
	}
	if all, err := l.Bootstrap(); err != nil || !slices.Equal(all, []api.Bootstrap{{Addr: "example.org", Given: true}, {Addr: "example.net"}}) {
		t.Errorf("got %v, %v", all, err)
	}
	for _, wrong := range []error{l.AddBootstrap("1.2.3.4"), l.AddBootstrap(""), l.Block("nobody"), l.Block("")} {
		if !errors.Is(wrong, api.ErrUsage) {
			t.Errorf("got %v, want a usage error", wrong)
		}
	}
	if err := l.RemoveBootstrap("example.org"); err == nil || !strings.Contains(err.Error(), "settings") {
		t.Errorf("rm of one of the settings: %v", err)
	}
	for _, none := range []error{l.RemoveBootstrap("example.com"), l.Unblock(somePeer)} {
		if !errors.Is(none, api.ErrNotFound) {
			t.Errorf("got %v, want not found", none)
		}
	}
	if err := l.Block(somePeer); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "blocked"), []byte("# ours\n\n"+somePeer+" # why\nnobody\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Blocked(); err == nil || !strings.Contains(err.Error(), "blocked:4") {
		t.Errorf("a wrong line 4: got %v", err)
	}
	if err := l.Unblock(somePeer); err == nil {
		t.Error("a file with a mistake was rewritten")
	}
}

func TestNoNetwork(t *testing.T) {
	n := start(t, node.Config{Offline: true})
	_, ping := n.Ping(t.Context(), somePeer)
	for _, err := range []error{n.Connect(t.Context(), "x"), n.Disconnect(somePeer), ping} {
		if err == nil || !strings.Contains(err.Error(), "--offline") {
			t.Errorf("got %v, want that there is no network", err)
		}
	}
	if err := errors.Join(n.Block(somePeer), n.AddBootstrap("example.org")); err != nil {
		t.Errorf("what is kept for later: %v", err)
	}
}

// The doctor has something plain to say of everything, and what to do about what
// is not well.
func TestDoctor(t *testing.T) {
	b := start(t, node.Config{})
	a := start(t, node.Config{Bootstrap: b.Addrs()[:1]})
	until(t, "connected", func() bool { return sees(a, b) })
	has := func(found []api.Finding, want ...string) {
		t.Helper()
		for _, f := range found {
			if f.Finding == "" || f.Level != api.OK && f.Advice == "" {
				t.Errorf("%+v: says nothing, or not what to do", f)
			}
			want = slices.DeleteFunc(want, func(w string) bool { return w == string(f.Level)+" "+f.Check })
		}
		if len(want) > 0 {
			t.Errorf("%v is missing in %+v", want, found)
		}
	}
	has(a.Doctor(t.Context()), "ok node", "ok peers", "ok bootstrap", "ok udp", "ok nat", "ok cgnat", "ok relay", "ok multicast", "ok clock")
	b.stop()
	until(t, "b is gone", func() bool { return !sees(a, b) })
	has(a.Doctor(t.Context()), "warn peers", "bad bootstrap")
	has(start(t, node.Config{Offline: true}).Doctor(t.Context()), "ok node", "warn network")
	gone := node.Config{Data: filepath.Join(t.TempDir(), "none"), Interface: []string{"nowhere0"}}
	has(node.Doctor(t.Context(), gone), "warn node", "bad interfaces", "ok disk fsync")
	if _, err := os.Stat(gone.Data); err == nil {
		t.Error("the doctor made a data directory")
	}
}
