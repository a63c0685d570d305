package api_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/numax-mesh/numax/node/api"
)

// A memoryNode is connected to "b" alone.

func (n *memoryNode) known(peer string) error {
	switch peer {
	case "b":
		return nil
	case "":
		return fmt.Errorf("%w: no peer", api.ErrUsage)
	}
	return errors.New("it is not connected")
}

func (n *memoryNode) Connect(_ context.Context, addr string) error { return n.known(addr) }
func (n *memoryNode) Disconnect(peer string) error                 { return n.known(peer) }

func (n *memoryNode) Ping(_ context.Context, peer string) (api.Ping, error) {
	return api.Ping{Peer: peer, RTT: 1.5}, n.known(peer)
}

func (n *memoryNode) listed(name string) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]string{}, n.objects[name]...)
}

func (n *memoryNode) list(name, entry string, add bool) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	at := slices.Index(n.objects[name], entry)
	switch {
	case add:
		n.objects[name] = append(n.objects[name], entry)
	case at < 0:
		return fmt.Errorf("%q: %w", entry, api.ErrNotFound)
	default:
		n.objects[name] = slices.Delete(n.objects[name], at, at+1)
	}
	return nil
}

func (n *memoryNode) Block(peer string) error           { return n.list("blocked", peer, true) }
func (n *memoryNode) Unblock(peer string) error         { return n.list("blocked", peer, false) }
func (n *memoryNode) Blocked() ([]string, error)        { return n.listed("blocked"), nil }
func (n *memoryNode) AddBootstrap(addr string) error    { return n.list("bootstrap", addr, true) }
func (n *memoryNode) RemoveBootstrap(addr string) error { return n.list("bootstrap", addr, false) }
func (n *memoryNode) Doctor(context.Context) []api.Finding {
	return []api.Finding{{Check: "disk", Level: api.Bad, Finding: "full", Advice: "make room"}}
}

func (n *memoryNode) Bootstrap() ([]api.Bootstrap, error) {
	all := []api.Bootstrap{{Addr: "given", Given: true}}
	for _, s := range n.listed("bootstrap") {
		all = append(all, api.Bootstrap{Addr: s})
	}
	return all, nil
}

// Each call arrives as what it is, with its argument, and its errors keep their
// kind.
func TestSwarm(t *testing.T) {
	dir := tempDir(t)
	serve(t, listen(t, dir, "127.0.0.1:0"), newNode())
	c, err := api.Dial(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx := t.Context()
	for name, act := range map[string]func(context.Context, string) error{
		"connect": c.Connect, "disconnect": c.Disconnect,
		"ping": func(ctx context.Context, peer string) error { _, err := c.Ping(ctx, peer); return err },
	} {
		if err := act(ctx, "b"); err != nil {
			t.Errorf("%s b: %v", name, err)
		}
		if err := act(ctx, ""); !errors.Is(err, api.ErrUsage) {
			t.Errorf("%s of nobody: got %v, want a usage error", name, err)
		}
		if err := act(ctx, "c"); err == nil || err.Error() != "it is not connected" {
			t.Errorf("%s c: got %v", name, err)
		}
	}
	if p, err := c.Ping(ctx, "b"); err != nil || p != (api.Ping{Peer: "b", RTT: 1.5}) {
		t.Errorf("ping: %+v, %v", p, err)
	}
	if err := errors.Join(c.Block(ctx, "x y&z"), c.Block(ctx, "w"), c.Unblock(ctx, "w")); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Blocked(ctx); err != nil || !slices.Equal(got, []string{"x y&z"}) {
		t.Errorf("blocked: %v, %v", got, err)
	}
	if err := c.Unblock(ctx, "w"); !errors.Is(err, api.ErrNotFound) {
		t.Errorf("unblock of whom is not blocked: %v", err)
	}
	if err := errors.Join(c.AddBootstrap(ctx, "/a/b"), c.AddBootstrap(ctx, "c"), c.RemoveBootstrap(ctx, "c")); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Bootstrap(ctx); err != nil || !slices.Equal(got, []api.Bootstrap{{Addr: "given", Given: true}, {Addr: "/a/b"}}) {
		t.Errorf("bootstrap: %v, %v", got, err)
	}
	if got, err := c.Doctor(ctx); err != nil || len(got) != 1 || got[0].Level != api.Bad || got[0].Advice == "" {
		t.Errorf("doctor: %v, %v", got, err)
	}
}
