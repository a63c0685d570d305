package node_test

import (
	"context"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/numax-mesh/numax/node"
	"github.com/numax-mesh/numax/node/api"
	"github.com/numax-mesh/numax/node/member"
	"github.com/numax-mesh/numax/p2p"
)

// hostile is a member that introduces itself again and again, as fast as it can, and does
// nothing else. introduced counts.
func hostile(ctx context.Context, t *testing.T, data string, to *running, introduced *atomic.Int64) {
	t.Helper()
	key, err := p2p.LoadIdentity(filepath.Join(data, "identity.pem"))
	if err != nil {
		t.Fatal(err)
	}
	book, err := member.Open(member.Options{File: filepath.Join(data, "members"), Key: key})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	h, err := p2p.New(p2p.Config{
		Key: key, Tag: "hostile", Listen: []string{"127.0.0.1:0"}, Bootstrap: to.Addrs(), Agent: "hostile", Log: log,
		Admitted: func(string) bool { return true },
	})
	if err != nil {
		t.Fatal(err)
	}
	peer, err := p2p.PeerKey(to.ID())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	all.Go(func() { _ = h.Run(ctx) })
	for range 4 {
		all.Go(func() {
			for ctx.Err() == nil {
				s, err := h.Open(ctx, to.ID(), "/numax/member/1")
				if err != nil {
					time.Sleep(10 * time.Millisecond) // not connected yet, or too many streams
					continue
				}
				once, stop := context.WithCancel(ctx)
				_ = (&member.Session{
					Book: book, Stream: s, Peer: member.Key(peer), Opener: true,
					Admitted: func(member.Admission) { introduced.Add(1); stop() },
				}).Run(once)
				stop()
			}
		})
	}
	t.Cleanup(func() {
		cancel()
		all.Wait()
		_ = h.Close()
	})
}

// An administrator puts a device out that left by itself, while members do nothing but
// introduce themselves. What the device wrote before stays.
func TestRevokeWhoLeftUnderAttack(t *testing.T) {
	dir := t.TempDir()
	founder := found(t, dir)
	left := founder.join(t, node.Config{Data: filepath.Join(dir, "left"), Bootstrap: founder.Addrs()}, "writer")
	left.fill(t, 3)
	founder.wait(t, 3)
	if _, err := left.Revoke(t.Context(), "left"); err != nil {
		t.Fatal(err)
	}
	gone := func(m api.Member) bool { return m.Device == "left" && m.Revoked }
	until(t, "the founder hears that it left", func() bool {
		all, err := founder.Members("default")
		return err == nil && slices.ContainsFunc(all, gone)
	})
	if err := left.Apply(t.Context(), increment); err == nil {
		t.Error("a device that left writes on")
	}

	var introduced atomic.Int64
	for _, name := range []string{"evil1", "evil2"} {
		invite, err := founder.Invite(api.Invite{Role: "relay", Uses: 1})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), deadline)
		defer cancel()
		cfg := node.Config{Data: filepath.Join(dir, name), Listen: []string{"127.0.0.1:0"}}
		log := slog.New(slog.NewTextHandler(io.Discard, nil))
		if _, err := node.JoinNetwork(ctx, cfg, invite.Token, name, func() {}, log); err != nil {
			t.Fatal(err)
		}
		hostile(t.Context(), t, cfg.Data, founder, &introduced)
	}
	until(t, "the attack goes on", func() bool { return introduced.Load() > 50 })
	began := time.Now()
	if _, err := founder.Revoke(t.Context(), "left"); err != nil {
		t.Fatal(err)
	}
	took := time.Since(began)
	t.Logf("a revocation took %v after %d introductions", took, introduced.Load())
	if took > 5*time.Second {
		t.Errorf("a revocation took %v under attack, want about 1 s at most", took)
	}
	if got := count(t, founder); got != "3" {
		t.Errorf("of who left %s is there, want 3", got)
	}
}
