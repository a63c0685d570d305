package p2p

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/libp2p/go-libp2p"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"
)

// member is a host on a topic that notes what it hears.
type member struct {
	*Host
	topic *Topic

	mu        sync.Mutex // guards the fields below
	validated []string
	received  []string
}

// join follows a topic. The verdict is what a message begins with; the token is
// the message with a star.
func join(t *testing.T, h *Host, topic string) *member {
	t.Helper()
	m := &member{Host: h}
	var err error
	m.topic, err = h.Join(topic, func(from string, data []byte) (Verdict, any) {
		m.mu.Lock()
		defer m.mu.Unlock()
		if from == h.ID() {
			t.Errorf("asked to validate our own %q", data)
		}
		m.validated = append(m.validated, string(data))
		switch word, _, _ := strings.Cut(string(data), " "); word {
		case "reject":
			return Reject, nil
		case "ignore":
			return Ignore, nil
		}
		return Accept, string(data) + "*"
	}, func(_ context.Context, from string, token any) {
		m.mu.Lock()
		defer m.mu.Unlock()
		text, ok := token.(string)
		if !ok || from == h.ID() {
			t.Errorf("received token %v from %s", token, from)
		}
		m.received = append(m.received, strings.TrimSuffix(text, "*"))
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *member) heard(what string) int    { return m.count(&m.received, what) }
func (m *member) wasAsked(what string) int { return m.count(&m.validated, what) }
func (m *member) count(in *[]string, what string) (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range *in {
		if s == what {
			n++
		}
	}
	return n
}

var hellos atomic.Int64

// reach publishes, over and over, until all of to have heard from m: the mesh
// between them is there then, and what m published before has had its chance.
func (m *member) reach(t *testing.T, to ...*member) {
	t.Helper()
	hello := fmt.Sprintf("hello %d ", hellos.Add(1))
	n := 0
	eventually(t, "a message arrives", func() bool {
		n++
		m.publish(t, hello+fmt.Sprint(n))
		return !slices.ContainsFunc(to, func(x *member) bool {
			x.mu.Lock()
			defer x.mu.Unlock()
			return !slices.ContainsFunc(x.received, func(s string) bool {
				return strings.HasPrefix(s, hello)
			})
		})
	})
}

func (m *member) publish(t *testing.T, text string) {
	t.Helper()
	if err := m.topic.Publish([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

// Everybody hears everything once, and nobody themselves.
func TestTopicDeliversOnce(t *testing.T) {
	t.Parallel()
	var all []*member
	for i := range 4 {
		m := join(t, open(t, fmt.Sprint(i), Config{}), "topic")
		for _, other := range all {
			connect(t, m.Host, other.Host)
		}
		all = append(all, m)
	}
	for i, m := range all {
		m.reach(t, slices.Concat(all[:i], all[i+1:])...)
	}
	// While streams to new peers open, GossipSub may drop; not with all of them
	// open.
	var before []uint64
	for _, m := range all {
		before = append(before, m.Dropped())
	}
	const each = 50
	for n := range each {
		for i, m := range all {
			m.publish(t, fmt.Sprintf("m %d %d", i, n))
		}
	}
	for i, m := range all {
		for from := range all {
			for n := range each {
				text := fmt.Sprintf("m %d %d", from, n)
				if from != i {
					eventually(t, text+" arrives", func() bool { return m.heard(text) > 0 })
				}
			}
		}
	}
	for i, m := range all {
		m.reach(t, slices.Concat(all[:i], all[i+1:])...)
	}
	for i, m := range all {
		for from := range all {
			for n := range each {
				text, want := fmt.Sprintf("m %d %d", from, n), 1
				if from == i {
					want = 0
				}
				if got := m.heard(text); got != want {
					t.Errorf("member %d heard %q %d times, want %d", i, text, got, want)
				}
			}
		}
		if got := m.Dropped() - before[i]; got != 0 {
			t.Errorf("member %d dropped %d messages", i, got)
		}
	}
}

// What a member in the middle does not accept goes no further:
//
//	bad ──► middle ──► end
//	good ─────┘
func TestTopicVerdicts(t *testing.T) {
	t.Parallel()
	for _, verdict := range []string{"reject", "ignore"} {
		t.Run(verdict, func(t *testing.T) {
			t.Parallel()
			bad, middle := join(t, open(t, "bad", Config{}), "topic"), join(t, open(t, "middle", Config{}), "topic")
			good, end := join(t, open(t, "good", Config{}), "topic"), join(t, open(t, "end", Config{}), "topic")
			for _, m := range []*member{bad, good, end} {
				connect(t, m.Host, middle.Host)
			}
			bad.reach(t, middle, end)
			good.reach(t, middle, end)
			bad.publish(t, verdict+" this")
			eventually(t, "the middle is asked", func() bool { return middle.wasAsked(verdict+" this") > 0 })
			good.publish(t, "after")
			eventually(t, "what comes after arrives", func() bool { return end.heard("after") > 0 })
			if middle.heard(verdict+" this") != 0 || end.wasAsked(verdict+" this") != 0 {
				t.Errorf("heard by the middle %d times and passed on %d times, want neither",
					middle.heard(verdict+" this"), end.wasAsked(verdict+" this"))
			}
		})
	}
}

// The same bytes on two topics are two messages. When they were one, whoever
// sent an entry on the wrong topic first kept it from the right one.
func TestTopicsAreApart(t *testing.T) {
	t.Parallel()
	a, b := open(t, "a", Config{}), open(t, "b", Config{})
	a1, a2, b1, b2 := join(t, a, "one"), join(t, a, "two"), join(t, b, "one"), join(t, b, "two")
	connect(t, a, b)
	a1.reach(t, b1)
	a2.reach(t, b2)
	a1.publish(t, "same")
	eventually(t, "it arrives on one", func() bool { return b1.heard("same") == 1 })
	if got := b2.heard("same"); got != 0 {
		t.Errorf("heard on the other topic %d times", got)
	}
	a2.publish(t, "same")
	eventually(t, "it arrives on two", func() bool { return b2.heard("same") == 1 })
}

// Close ends a receive that waits, and nothing is received after it; the topic
// can be joined again, though only once at a time.
func TestTopicClose(t *testing.T) {
	t.Parallel()
	a, b := join(t, open(t, "a", Config{}), "topic"), open(t, "b", Config{})
	connect(t, a.Host, b)
	busy := make(chan struct{}, deliveryQueue)
	var closed atomic.Bool
	first, err := b.Join("topic", func(string, []byte) (Verdict, any) { return Accept, nil },
		func(ctx context.Context, _ string, _ any) {
			if closed.Load() {
				t.Error("received after Close")
			}
			busy <- struct{}{}
			<-ctx.Done()
		})
	must(t, err)
	if _, err := b.Join("topic", nil, nil); err == nil {
		t.Error("joined twice: got no error")
	}
	n := 0
	eventually(t, "receive is called", func() bool {
		n++
		a.publish(t, fmt.Sprint("x ", n))
		return len(busy) > 0
	})
	must(t, first.Close())
	closed.Store(true)
	a.publish(t, "late")
	again := join(t, b, "topic")
	a.reach(t, again)
	must(t, again.topic.Close())
}

// A peer that speaks only floodsub, to which every message would go, gets none.
func TestFloodsubGetsNothing(t *testing.T) {
	t.Parallel()
	a, b := join(t, open(t, "a", Config{}), "topic"), join(t, open(t, "b", Config{}), "topic")
	connect(t, a.Host, b.Host)
	leech, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableRelay(), libp2p.DisableMetrics())
	must(t, err)
	defer leech.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	flood, err := pubsub.NewFloodSub(ctx, leech, pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign),
		pubsub.WithNoAuthor(), pubsub.WithMessageIdFn(messageID))
	must(t, err)
	topic, err := flood.Join("topic")
	must(t, err)
	sub, err := topic.Subscribe()
	must(t, err)
	defer sub.Cancel()
	info, err := ParsePeer(a.Addrs()[0])
	must(t, err, leech.Connect(ctx, info))
	eventually(t, "a knows what the leech speaks", func() bool {
		return slices.Equal(a.PeersOf(string(pubsub.FloodSubID)), []string{leech.ID().String()})
	})
	for range 20 {
		a.reach(t, b)
	}
	if got := flood.ListPeers("topic"); len(got) != 0 {
		t.Errorf("the leech speaks with %v", got)
	}
	if got := a.Host.pubsub.ListPeers("topic"); !slices.Equal(got, []peer.ID{peerOf(t, b.Host)}) {
		t.Errorf("peers on the topic: got %v, want only %s", got, b.ID())
	}
	cancel()
	if m, err := sub.Next(ctx); err == nil {
		t.Errorf("the leech got %q", m.Data)
	}
}
