package p2p

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
)

const (
	memberProto = "/test/member/1"
	dataProto   = "/test/data/1"
	secretTopic = "/test/topic/secret"
)

// roster is who is admitted.
type roster struct {
	mu  sync.Mutex
	ids map[string]bool
}

func newRoster() *roster { return &roster{ids: make(map[string]bool)} }
func (r *roster) admitted(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ids[id]
}

func (r *roster) set(h *Host, member bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ids[h.ID()] = member
}

// node is a host of a closed network that serves, follows the topic, and keeps
// what it heard.
type node struct {
	*Host
	roster *roster
	topic  *Topic
	mu     sync.Mutex // guards heard
	heard  map[string]int
}

func openClosed(t *testing.T, name string, cfg Config) *node {
	t.Helper()
	n := &node{roster: newRoster(), heard: make(map[string]int)}
	cfg.Admitted = n.roster.admitted
	n.Host = open(t, name, cfg)
	n.Handle(dataProto, echo(make(chan string, 64)), nil)
	n.HandleAny(memberProto, echo(make(chan string, 64)), nil)
	var err error
	n.topic, err = n.Join(secretTopic, func(string, []byte) (Verdict, any) { return Accept, nil },
		func(_ context.Context, from string, _ any) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.heard[from]++
		})
	if err != nil {
		t.Fatal(err)
	}
	run(t, n.Host)
	return n
}

func (n *node) heardOf(h *Host) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.heard[h.ID()]
}

// answers reports whether a stream of h to another host comes back with what was
// said.
func answers(t *testing.T, h, to *Host, proto string) bool {
	t.Helper()
	s, err := h.Open(t.Context(), to.ID(), proto)
	if err != nil {
		return false
	}
	defer s.Close()
	got := make([]byte, 2)
	_, _ = s.Write([]byte("hi"))
	_, err = io.ReadFull(s, got)
	return err == nil && string(got) == "hi"
}

// A stranger that knows the network's tag, and speaks every protocol of it, gets
// an answer to nothing but the member protocol and what libp2p itself is made
// of; and nothing is said to it, least of all the name of a topic.
func TestStrangerLearnsNothing(t *testing.T) {
	t.Parallel()
	a := openClosed(t, "a", Config{Reachability: Public})
	s := open(t, "stranger", Config{})
	var mu sync.Mutex
	var received []string
	listen := func(st network.Stream) {
		got := make([]byte, 256)
		n, _ := st.Read(got)
		mu.Lock()
		defer mu.Unlock()
		received = append(received, fmt.Sprintf("%s: %q", st.Protocol(), got[:n]))
		_ = st.Reset()
	}
	ours := func() []protocol.ID {
		return slices.DeleteFunc(a.host.Mux().Protocols(), func(p protocol.ID) bool {
			return strings.HasPrefix(string(p), "/ipfs/") || strings.HasPrefix(string(p), "/libp2p/") || p == a.marker()
		})
	}
	eventually(t, "the DHT is served", func() bool {
		return slices.ContainsFunc(ours(), func(p protocol.ID) bool { return strings.Contains(string(p), "/kad/") })
	})
	for _, p := range ours() {
		s.host.SetStreamHandler(p, listen)
	}
	connect(t, s, a.Host)
	for _, p := range ours() {
		st, err := s.host.NewStream(t.Context(), peerOf(t, a.Host), p)
		if err != nil {
			continue
		}
		_ = st.SetDeadline(time.Now().Add(deadline))
		_, _ = st.Write([]byte("hi"))
		got := make([]byte, 2)
		_, err = io.ReadFull(st, got)
		_ = st.Reset()
		if want := p == memberProto; (err == nil) != want {
			t.Errorf("%s: got %q, %v; want an answer: %t", p, got, err, want)
		} else if !want && !errors.Is(err, network.ErrReset) {
			t.Errorf("%s: got %v, want a reset", p, err)
		}
	}
	if _, err := client.Reserve(t.Context(), s.host, peerInfo(t, a.Host)); err == nil {
		t.Error("got a place at the relay")
	}

	// Its own view: the stranger takes part in nothing.
	if got := a.PeersOf(dataProto); len(got) != 0 {
		t.Errorf("PeersOf(%s) = %v, want none", dataProto, got)
	}
	if got := a.PeersOf(memberProto); !slices.Equal(got, []string{s.ID()}) {
		t.Errorf("PeersOf(%s) = %v, want the stranger", memberProto, got)
	}
	if _, err := a.Open(t.Context(), s.ID(), dataProto); !errors.Is(err, ErrNotMember) {
		t.Errorf("Open(%s): got %v, want %v", dataProto, err, ErrNotMember)
	}
	if err := a.topic.Publish([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if got := a.pubsub.ListPeers(""); len(got) != 0 {
		t.Errorf("gossip knows of %v, want nobody", got)
	}
	if a.known.peers[peerOf(t, s)] != nil {
		t.Error("the stranger is in the book of peers")
	}
	mu.Lock()
	defer mu.Unlock()
	if len(received) > 0 {
		t.Errorf("the stranger was told %v", received)
	}
}

// Whoever is admitted later takes part at once, in whichever order the two hear
// of it; who is removed is cut off.
func TestAdmittedAndRemoved(t *testing.T) {
	t.Parallel()
	a, b := openClosed(t, "a", Config{}), openClosed(t, "b", Config{})
	connect(t, a.Host, b.Host)
	a.roster.set(b.Host, true)
	a.Readmit()
	// b turns a's gossip away until a gives up on it.
	if answers(t, a.Host, b.Host, dataProto) {
		t.Error("b served a, whom it does not know")
	}
	eventually(t, "a gave up", func() bool { return len(a.pubsub.ListPeers("")) == 0 })
	b.roster.set(a.Host, true)
	b.Readmit()
	for _, x := range []struct{ from, to *node }{{a, b}, {b, a}} {
		eventually(t, "gossip flows", func() bool {
			_ = x.from.topic.Publish([]byte(time.Now().String()))
			return x.to.heardOf(x.from.Host) > 0
		})
		if !answers(t, x.from.Host, x.to.Host, dataProto) {
			t.Error("a member is not served")
		}
	}

	stream, err := b.Open(t.Context(), a.ID(), dataProto)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	a.roster.set(b.Host, false)
	began := time.Now()
	a.Readmit()
	if _, err := io.Copy(io.Discard, stream); err == nil {
		t.Error("the stream ended as if all were well")
	}
	eventually(t, "b is gone from gossip", func() bool { return len(a.pubsub.ListPeers("")) == 0 })
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("cut off after %v, want at most 2 s", took)
	}
	if got := a.PeersOf(dataProto); len(got) != 0 {
		t.Errorf("PeersOf = %v, want none", got)
	}
	_ = b.Connect(t.Context(), a.Addrs()[0])
	if answers(t, b.Host, a.Host, dataProto) {
		t.Error("a former member is served")
	}
}

// What nobody told us, that a certificate expired, is seen within a look.
func TestExpired(t *testing.T) {
	t.Parallel()
	a, b := openClosed(t, "a", Config{}), openClosed(t, "b", Config{})
	a.roster.set(b.Host, true)
	b.roster.set(a.Host, true)
	connect(t, a.Host, b.Host)
	eventually(t, "members", func() bool { return answers(t, b.Host, a.Host, dataProto) })
	old := a.host.Network().ConnsToPeer(peerOf(t, b.Host))[0]
	a.roster.set(b.Host, false)
	eventually(t, "cut off", func() bool { return old.IsClosed() })
}

// Strangers have a time, a number and a share; a bootstrap peer may stay.
func TestStrangersAreBounded(t *testing.T) {
	t.Parallel()
	anchor := open(t, "anchor", Config{})
	a := openClosed(t, "a", Config{Bootstrap: anchor.Addrs()})
	eventually(t, "connected to the bootstrap peer", func() bool { return connected(a.Host, anchor) })
	first := open(t, "first", Config{})
	connect(t, first, a.Host)

	var held []io.Closer
	for n := 0; ; n++ {
		s, err := first.host.NewStream(t.Context(), peerOf(t, a.Host), memberProto)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, s)
		_, _ = s.Write([]byte("x"))
		if _, err := io.ReadFull(s, make([]byte, 1)); err != nil {
			if n != strangerStreams {
				t.Errorf("a stranger got %d streams, want %d", n, strangerStreams)
			}
			break
		}
	}
	for _, s := range held {
		_ = s.Close()
	}

	for n := range maxStrangers {
		connect(t, open(t, fmt.Sprint(n), Config{}), a.Host)
	}
	eventually(t, "the first stranger had to go", func() bool { return !connected(a.Host, first) })
	if got := len(a.Connected()); got != maxStrangers+1 {
		t.Errorf("%d peers are connected, want %d strangers and the bootstrap peer", got, maxStrangers)
	}
	a.admission.look(time.Now().Add(strangerTime + admitEvery))
	if got := a.Connected(); len(got) != 1 || got[0].ID != anchor.ID() || got[0].Member {
		t.Errorf("after %v: got %v, want the bootstrap peer alone", strangerTime, got)
	}
}
