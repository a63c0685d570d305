package enemytest

import (
	"context"
	"crypto/ed25519"
	"encoding/base32"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zeebo/blake3"

	"github.com/numax-mesh/numax/crdt/replica"
	"github.com/numax-mesh/numax/node/member"
	"github.com/numax-mesh/numax/p2p"
)

// Protocols and topics of a node (node/mesh.go, messages.go, blobs.go).
const (
	protoSync     = "/numax/sync/1"
	protoRPC      = "/numax/rpc/1"
	protoBlob     = "/numax/blob/1"
	protoMember   = "/numax/member/1"
	messagesTopic = "\x00messages"
)

func topicName(network replica.NetworkID, name string) string {
	h, err := blake3.NewKeyed(network[:])
	if err != nil {
		panic(err) // the key has the right size
	}
	_, _ = h.WriteString(name)
	return "/numax/1/" + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(h.Sum(nil)))
}

func networkTag(network replica.NetworkID) string {
	sum := blake3.Sum256(network[:])
	return hex.EncodeToString(sum[:6])
}

// enemy is one who lives many lives, each as a peer of every honest node.
type enemy struct {
	t       *testing.T
	seed    uint64
	network replica.NetworkID
	victims []*honest
	lore    *lore

	closed  bool               // the network is
	key     ed25519.PrivateKey // of all lives; nil: each has its own
	book    *member.Book       // of a member
	left    []*member.Book     // the same, when it had left
	leaving atomic.Bool

	cancel context.CancelFunc
	done   chan struct{}
}

// life is one identity of the enemy, or one time it is there.
type life struct {
	*enemy
	n    int
	host *p2p.Host
	ctx  context.Context
	wg   sync.WaitGroup
}

func newEnemy(t *testing.T, seed uint64, network replica.NetworkID, victims []*honest) *enemy {
	return &enemy{t: t, seed: seed, network: network, victims: victims, lore: newLore(), done: make(chan struct{})}
}

// attack begins, until retreat.
func (e *enemy) attack() {
	ctx, cancel := context.WithCancel(context.Background())
	e.cancel = cancel
	go func() {
		defer close(e.done)
		for n := 0; ctx.Err() == nil; n++ {
			e.live(ctx, n)
		}
	}()
}

func (e *enemy) retreat() {
	e.cancel()
	<-e.done
}

// live lives one life: a second or two, at which a node lets as many in from one address.
func (e *enemy) live(ctx context.Context, n int) {
	rng := source(e.seed, "life", n)
	key := e.key
	if key == nil {
		key = newKey(rng)
	}
	h, err := p2p.New(p2p.Config{
		Key: key, Tag: networkTag(e.network), Listen: []string{"127.0.0.1:0"}, Agent: "enemy",
		Log: slog.New(slog.DiscardHandler), Admitted: e.admitted(),
	})
	if err != nil {
		e.t.Errorf("the enemy does not start: %v", err)
		every(ctx, time.Second)
		return
	}
	life_, end := context.WithTimeout(ctx, time.Second+time.Duration(rng.IntN(1500))*time.Millisecond)
	defer end()
	l := &life{enemy: e, n: n, host: h, ctx: life_}
	for _, p := range []string{protoSync, protoRPC, protoBlob} {
		h.Handle(p, l.serve(p), func() {})
	}
	l.wg.Go(func() { _ = h.Run(life_) })
	l.gossip(dataset, (*life).entries)
	l.gossip(messagesTopic, (*life).messages)
	for _, x := range e.victims {
		l.wg.Go(func() { l.besiege(x) })
	}
	<-life_.Done()
	l.wg.Wait()
	_ = h.Close()
	e.lore.said("lives")
}

// admitted makes the enemy of a closed network take everybody for a member.
func (e *enemy) admitted() func(string) bool {
	if !e.closed {
		return nil
	}
	return func(string) bool { return true }
}

// rng is the randomness of one part of the life.
func (l *life) rng(part ...any) *rand.Rand { return source(l.seed, l.n, part) }

func (l *life) scribe(rng *rand.Rand) *scribe {
	return &scribe{
		rng: rng, network: l.network, dataset: replica.NewDatasetID(l.network, dataset), lore: l.lore,
		closed: l.closed, own: l.enemy.key, book: l.book,
	}
}

// gossip joins a topic, and says there what say makes.
func (l *life) gossip(name string, say func(*life, *scribe, func([]byte))) {
	t, err := l.host.Join(topicName(l.network, name), func(_ string, data []byte) (p2p.Verdict, any) {
		if name == dataset && len(data) > 0 && data[0] == 0 {
			l.lore.hear(data[1:])
		}
		return p2p.Ignore, nil
	}, func(context.Context, string, any) {})
	if err != nil {
		l.t.Errorf("the enemy cannot join a topic: %v", err)
		return
	}
	s := l.scribe(l.rng("topic", name))
	l.wg.Go(func() {
		defer t.Close()
		every(l.ctx, 300*time.Millisecond) // until somebody has heard that it follows
		for every(l.ctx, time.Duration(s.rng.IntN(6))*time.Millisecond) {
			n := 1
			if s.rng.IntN(100) == 0 {
				n = 50 + s.rng.IntN(300) // a flood
			}
			for range n {
				say(l, s, func(m []byte) { _ = t.Publish(m) })
				if l.ctx.Err() != nil {
					return
				}
			}
		}
	})
}

// besiege connects to a node, and holds streams of every protocol with it.
func (l *life) besiege(x *honest) {
	rng := l.rng("besiege", x.name)
	for every(l.ctx, 20*time.Millisecond) {
		if err := l.host.Connect(l.ctx, x.Addrs()[0]); err == nil {
			break
		}
		l.lore.said("connections that were refused")
		every(l.ctx, 300*time.Millisecond)
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { l.streams(x, protoSync, 2*time.Second, l.rng("sync", x.name), (*life).sync) })
	wg.Go(func() { l.streams(x, protoRPC, time.Second, l.rng("rpc", x.name), (*life).rpc) })
	wg.Go(func() { l.streams(x, protoBlob, time.Second, l.rng("blob", x.name), (*life).blob) })
	wg.Go(func() { l.streams(x, protoMember, time.Second, l.rng("member", x.name), (*life).introduce) })
	wg.Go(func() { l.silent(x, rng) })
}

// streams opens one stream after another, for some time each.
func (l *life) streams(x *honest, proto string, longest time.Duration, rng *rand.Rand,
	talk func(*life, *rand.Rand, *honest, io.ReadWriteCloser),
) {
	for every(l.ctx, time.Duration(rng.IntN(40))*time.Millisecond) {
		s, err := l.host.Open(l.ctx, x.ID(), proto)
		if err != nil {
			l.lore.said(proto + " refused")
			every(l.ctx, 100*time.Millisecond)
			continue
		}
		l.lore.said(proto + " streams")
		l.talk(s, time.Duration(rng.Int64N(int64(longest))), func(s io.ReadWriteCloser) { talk(l, rng, x, s) })
	}
}

// talk closes a stream after a while, and in the end.
func (l *life) talk(s io.ReadWriteCloser, longest time.Duration, talk func(io.ReadWriteCloser)) {
	ctx, cancel := context.WithTimeout(l.ctx, longest)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = s.Close() })
	defer stop()
	defer s.Close()
	talk(s)
}

// silent opens streams of every protocol, says a few bytes and no more.
func (l *life) silent(x *honest, rng *rand.Rand) {
	var open []io.Closer
	defer func() {
		for _, s := range open {
			_ = s.Close()
		}
	}()
	for every(l.ctx, time.Duration(rng.IntN(60))*time.Millisecond) {
		proto := []string{protoSync, protoRPC, protoBlob, protoMember, "/numax/nothing/1"}[rng.IntN(5)]
		s, err := l.host.Open(l.ctx, x.ID(), proto)
		if err != nil {
			continue
		}
		open = append(open, s)
		_, _ = s.Write(randomBytes(rng, 1+rng.IntN(3))) // streams begin with the first write
		l.lore.said("streams held in silence")
		if len(open) > 150 {
			_ = open[0].Close()
			open = open[1:]
		}
	}
}

// serve is what honest nodes get that open a stream to the enemy.
func (l *life) serve(proto string) p2p.Serve {
	return func(_ context.Context, peer string, s io.ReadWriteCloser) {
		rng := l.rng("serve", proto, peer, time.Now().UnixNano())
		l.lore.said(proto + " streams of the honest")
		l.talk(s, 3*time.Second, func(s io.ReadWriteCloser) {
			for _, x := range l.victims {
				if x.ID() != peer {
					continue
				}
				switch proto {
				case protoSync:
					l.sync(rng, x, s)
				default:
					l.babble(rng, s)
				}
			}
		})
	}
}

// babble says random bytes of random lengths, and reads nothing.
func (l *life) babble(rng *rand.Rand, s io.ReadWriteCloser) {
	for every(l.ctx, time.Duration(rng.IntN(10))*time.Millisecond) {
		if _, err := s.Write(randomBytes(rng, 1+rng.IntN(2000))); err != nil {
			return
		}
	}
}

// entries says one message on the topic of entries.
func (l *life) entries(s *scribe, publish func([]byte)) {
	kind := ""
	var m []byte
	switch s.rng.IntN(10) {
	case 0, 1, 2, 3:
		kind, m = "valid", s.valid().gossip()
	case 4, 5:
		kind, m = "with a wrong field", s.wrong().gossip()
	case 6:
		kind, m = "mutated", mutate(s.rng, s.valid().gossip())
	case 7:
		kind = "replayed"
		e := s.lore.entry(s.rng)
		if e == nil {
			return
		}
		m = e.gossip()
	case 8:
		kind = "mutated of others"
		e := s.lore.entry(s.rng)
		if e == nil {
			return
		}
		m = mutate(s.rng, e.gossip())
	case 9:
		kind, m = "absurd", randomBytes(s.rng, s.rng.IntN(3000))
	}
	publish(m)
	l.lore.said(fmt.Sprint("gossip ", kind))
}
