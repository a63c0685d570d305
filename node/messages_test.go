package node_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zeebo/blake3"

	"github.com/numax-mesh/numax/crdt/replica"
	"github.com/numax-mesh/numax/node"
	"github.com/numax-mesh/numax/node/bus"
	"github.com/numax-mesh/numax/p2p"
	"github.com/numax-mesh/numax/sandbox"
)

// ear counts what it hears on a subject.
type ear struct {
	mu   sync.Mutex // guards got
	got  map[string]int
	fail func() error // asked before a message is handled; nil = never
}

func listen(t *testing.T, n *running, subject string) *ear {
	e := &ear{got: make(map[string]int)}
	t.Cleanup(n.Bus().Attach(func(s string) bool { return s == subject }, e.deliver))
	return e
}

func (e *ear) deliver(m bus.Message) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.fail != nil {
		if err := e.fail(); err != nil {
			return err
		}
	}
	e.got[string(m.Payload)]++
	if m.Done != nil {
		m.Done(nil)
	}
	return nil
}

func (e *ear) heard(payload string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.got[payload]
}

func (e *ear) count() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.got)
}

// tuned waits until what one node says is heard at an ear: GossipSub needs a moment to know who listens.
func tuned(t *testing.T, from *running, subject string, ears ...*ear) {
	t.Helper()
	i := 0
	until(t, "what is published is heard", func() bool {
		i++
		if i%20 == 1 {
			if err := from.Bus().Publish(t.Context(), subject, []byte("tuning")); err != nil {
				t.Fatal(err)
			}
		}
		return !slices.ContainsFunc(ears, func(e *ear) bool { return e.heard("tuning") == 0 })
	})
}

// What is published on any of three nodes in a row reaches the subscribers of all, once.
func TestMessages(t *testing.T) {
	a := start(t, node.Config{})
	b := start(t, node.Config{Bootstrap: a.Addrs()})
	c := start(t, node.Config{Bootstrap: b.Addrs()})
	nodes := []*running{a, b, c}
	var ears []*ear
	for _, n := range nodes {
		ears = append(ears, listen(t, n, "s"))
	}
	for _, n := range nodes {
		tuned(t, n, "s", ears...)
		for _, e := range ears {
			e.mu.Lock()
			clear(e.got)
			e.mu.Unlock()
		}
	}
	const each = 50
	large := strings.Repeat("x", bus.MaxPayload-10)
	for i, n := range nodes {
		for k := range each {
			if err := n.Bus().Publish(t.Context(), "s", fmt.Appendf(nil, "%d/%d", i, k)); err != nil {
				t.Fatal(err)
			}
		}
		if err := n.Bus().Publish(t.Context(), "s", fmt.Append(nil, i, large)); err != nil {
			t.Fatal(err)
		}
	}
	for i, e := range ears {
		until(t, "all is heard", func() bool { return e.count() >= len(nodes)*(each+1) })
		e.mu.Lock()
		for payload, times := range e.got {
			if times != 1 && payload != "tuning" {
				t.Errorf("node %d heard %.20s %d times", i, payload, times)
			}
		}
		e.mu.Unlock()
	}
}

// A question is answered by another node, with the largest payloads there are.
func TestRequest(t *testing.T) {
	a := start(t, node.Config{})
	b := start(t, node.Config{Bootstrap: a.Addrs()})
	tuned(t, a, "s", listen(t, b, "s"))
	t.Cleanup(b.Bus().Attach(func(s string) bool { return s == "echo" }, func(m bus.Message) error {
		if m.From != a.ID() {
			t.Errorf("asked by %s, want %s", m.From, a.ID())
		}
		return m.Reply(m.Payload)
	}))
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	for _, size := range []int{0, 10, bus.MaxPayload} {
		want := bytes.Repeat([]byte{7}, size)
		if got, err := a.Bus().Request(ctx, "echo", want); err != nil || !bytes.Equal(got, want) {
			t.Errorf("asked with %d bytes: got %d, %v", size, len(got), err)
		}
	}
	ctx, cancel = context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := a.Bus().Request(ctx, "nobody", nil); !errors.Is(err, sandbox.ErrNotFound) {
		t.Errorf("nobody is asked: got %v, want %v", err, sandbox.ErrNotFound)
	}
}

// What is sent is handled in the end, though both nodes stop and come back on the same data, and the subscriber fails
// again and again.
func TestSendSurvives(t *testing.T) {
	dir := t.TempDir()
	ca, cb := node.Config{Data: filepath.Join(dir, "a")}, node.Config{Data: filepath.Join(dir, "b")}
	b := start(t, cb)
	to := b.ID()
	b.stop()
	a := start(t, ca)
	handled := make(map[string]int) // by all lives of b
	const rounds, each = 4, 50
	for r := range rounds {
		for i := range each {
			if err := a.Bus().Send(t.Context(), "", to, "s", fmt.Appendf(nil, "%d/%d", r, i)); err != nil {
				t.Fatal(err)
			}
		}
		a.stop()
		a = start(t, ca)
		cb.Bootstrap = a.Addrs()
		b = start(t, cb)
		life := listen(t, b, "s")
		life.mu.Lock()
		calls := 0
		life.fail = func() error {
			if calls++; r < rounds-1 && (calls%2 == 0 || calls > each) {
				return errors.New("crashed")
			}
			return nil
		}
		life.mu.Unlock()
		until(t, "some is handled", func() bool { return life.count() >= each/2 })
		if r == rounds-1 {
			until(t, "nothing waits", func() bool { return a.Bus().Stats().Waiting == 0 })
		}
		b.stop()
		life.mu.Lock()
		maps.Copy(handled, life.got)
		life.mu.Unlock()
	}
	for r := range rounds {
		for i := range each {
			if handled[fmt.Sprintf("%d/%d", r, i)] == 0 {
				t.Errorf("message %d of round %d was lost", i, r)
			}
		}
	}
}

// messagesTopic is the topic of messages of a network.
func messagesTopic(network replica.NetworkID) string {
	h, _ := blake3.NewKeyed(network[:])
	_, _ = h.WriteString("\x00messages")
	return "/numax/1/" + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(h.Sum(nil)))
}

// enemyHost is a host that is no node.
func enemyHost(t *testing.T, victim *running) *p2p.Host {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	enemy, err := p2p.New(p2p.Config{Key: key, Tag: "enemy", Listen: []string{"127.0.0.1:0"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = enemy.Close() })
	if err := enemy.Connect(t.Context(), victim.Addrs()[0]); err != nil {
		t.Fatal(err)
	}
	return enemy
}

// A peer that floods gossip and streams with what is and what is not a message does not keep two others from talking.
func TestMessageFlood(t *testing.T) {
	a := start(t, node.Config{})
	b := start(t, node.Config{Bootstrap: a.Addrs()})
	ear := listen(t, b, "s")
	tuned(t, a, "s", ear)
	enemy := enemyHost(t, b)
	topic, err := enemy.Join(messagesTopic(replica.OpenNetwork("test-"+t.Name())), func(string, []byte) (p2p.Verdict, any) { return p2p.Accept, nil },
		func(context.Context, string, any) {})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var flood sync.WaitGroup
	defer flood.Wait()
	defer cancel()
	flood.Go(func() {
		for ctx.Err() == nil {
			junk := make([]byte, 400)
			_, _ = rand.Read(junk)
			junk[0], junk[1] = 1, 1
			_ = topic.Publish(junk)
		}
	})
	for range 4 {
		flood.Go(func() {
			good := slices.Concat([]byte{0, 0, 0, 9 + 2 + 3, 1}, make([]byte, 8), []byte("\x01s"), []byte("bad"))
			for i := 0; ctx.Err() == nil; i++ {
				s, err := enemy.Open(ctx, b.ID(), "/numax/rpc/1")
				if err != nil {
					continue
				}
				stop := context.AfterFunc(ctx, func() { _ = s.Close() })
				for k := 0; ctx.Err() == nil; k++ {
					good[12], good[11] = byte(k), byte(k>>8)
					if _, err := s.Write(good); err != nil {
						break
					}
					if i%2 == 0 && k == 100 {
						_, _ = s.Write(bytes.Repeat([]byte{0xff}, 20))
						_, _ = io.ReadAll(s)
						break
					}
				}
				stop()
				_ = s.Close()
			}
		})
	}
	until(t, "the flood is on", func() bool { return ear.heard("bad") > 100 })
	for i := range 20 {
		if err := a.Bus().Send(t.Context(), "", b.ID(), "s", fmt.Append(nil, "sent ", i)); err != nil {
			t.Fatal(err)
		}
		text := fmt.Sprint("said ", i)
		until(t, "it is heard", func() bool {
			if err := a.Bus().Publish(t.Context(), "s", []byte(text)); err != nil {
				t.Fatal(err)
			}
			return ear.heard(text) > 0
		})
	}
	until(t, "nothing waits", func() bool { return a.Bus().Stats().Waiting == 0 })
}

// In a closed network an outsider hears nothing, and is heard by nobody; a reader hears, and says nothing; and neither
// does a member that was put out.
func TestMessagesClosed(t *testing.T) {
	dir := t.TempDir()
	founder := found(t, dir)
	writer := founder.join(t, node.Config{Data: filepath.Join(dir, "writer"), Bootstrap: founder.Addrs()}, "writer")
	reader := founder.join(t, node.Config{Data: filepath.Join(dir, "reader"), Bootstrap: founder.Addrs()}, "reader")
	atFounder, atReader := listen(t, founder, "s"), listen(t, reader, "s")
	tuned(t, writer, "s", atFounder, atReader)

	outsider := enemyHost(t, founder)
	var heard sync.Map
	topic, err := outsider.Join(messagesTopic(founder.NetworkID()), func(string, []byte) (p2p.Verdict, any) { return p2p.Accept, nil },
		func(context.Context, string, any) { heard.Store("something", true) })
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if err := topic.Publish([]byte("junk")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := outsider.Open(t.Context(), founder.ID(), "/numax/rpc/1"); err == nil {
		s, _ := outsider.Open(t.Context(), founder.ID(), "/numax/rpc/1")
		if _, err := io.ReadAll(s); err == nil {
			t.Error("an outsider has a stream")
		}
	}
	if err := reader.Bus().Publish(t.Context(), "s", []byte("reader")); !errors.Is(err, sandbox.ErrDenied) {
		t.Errorf("a reader publishes: got %v, want %v", err, sandbox.ErrDenied)
	}
	if err := reader.Bus().Send(t.Context(), "", founder.ID(), "s", nil); !errors.Is(err, sandbox.ErrDenied) {
		t.Errorf("a reader sends: got %v, want %v", err, sandbox.ErrDenied)
	}

	if err := writer.Bus().Send(t.Context(), "", founder.ID(), "s", []byte("before")); err != nil {
		t.Fatal(err)
	}
	until(t, "what a member sent arrives", func() bool { return atFounder.heard("before") > 0 })
	if _, err := founder.Revoke(t.Context(), "writer"); err != nil {
		t.Fatal(err)
	}
	until(t, "both know that it is out", func() bool { return !knows(founder, writer) && !knows(reader, writer) })
	for range 20 { // whether it knows or not
		_ = writer.Bus().Publish(t.Context(), "s", []byte("after"))
		_ = writer.Bus().Send(t.Context(), "", founder.ID(), "s", []byte("after"))
	}
	again := listen(t, reader, "s2")
	tuned(t, founder, "s2", again)
	if n := atFounder.heard("after") + atReader.heard("after"); n > 0 {
		t.Errorf("a member that is out was heard %d times", n)
	}
	if _, ok := heard.Load("something"); ok {
		t.Error("an outsider heard something")
	}
}
