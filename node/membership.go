package node

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/numax-mesh/numax/node/member"
	"github.com/numax-mesh/numax/p2p"
)

// protoMember is the stream protocol by which devices show each other that they
// are members, and the only one that strangers may open.
const protoMember = "/numax/member/1"

// Times between attempts to talk to a peer about membership.
const (
	minGreet = 200 * time.Millisecond
	maxGreet = 10 * time.Second
)

// greeter keeps a member session with every connected peer of a closed network.
// Of two devices the one with the smaller peer id opens the stream; who asks to
// be let in opens it to everybody.
type greeter struct {
	book    *member.Book
	host    *p2p.Host
	log     *slog.Logger
	request *member.Request     // of a device that is no member yet; else nil
	refused func(string, error) // told why a peer did not admit us; may be nil

	wake chan struct{}

	mu    sync.Mutex // guards the fields below
	talks map[string]*talk
	wg    sync.WaitGroup
}

// talk is what goes on with one peer, or went wrong lately.
type talk struct {
	going bool
	fails int
	next  time.Time
	told  string // what the user was last told of it
}

func newGreeter(book *member.Book, host *p2p.Host, log *slog.Logger) *greeter {
	g := &greeter{book: book, host: host, log: log, wake: make(chan struct{}, 1), talks: make(map[string]*talk)}
	host.HandleAny(protoMember, func(ctx context.Context, peer string, s io.ReadWriteCloser) {
		if err := g.session(ctx, peer, s, false); err != nil {
			log.Debug("a member session ended", "peer", peer, "err", err)
		}
	}, g.look)
	return g
}

// look makes run look at the peers.
func (g *greeter) look() {
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// run opens sessions until ctx ends.
func (g *greeter) run(ctx context.Context) {
	defer g.wg.Wait()
	tick := time.NewTicker(minGreet)
	defer tick.Stop()
	for {
		for _, peer := range g.host.PeersOf(protoMember) {
			if (g.request != nil || g.host.ID() < peer) && g.begin(peer) {
				g.wg.Go(func() { g.end(peer, g.greet(ctx, peer)) })
			}
		}
		select {
		case <-g.wake:
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (g *greeter) begin(peer string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.talks[peer]
	if t == nil {
		t = &talk{}
		g.talks[peer] = t
	}
	if t.going || time.Now().Before(t.next) {
		return false
	}
	t.going = true
	return true
}

func (g *greeter) end(peer string, err error) {
	if g.refused != nil {
		g.refused(peer, err)
	}
	g.log.Debug("a member session ended", "peer", peer, "err", err)
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.talks[peer]
	t.going = false
	t.next = time.Now().Add(min(minGreet<<min(t.fails, 10), maxGreet))
	t.fails++
	if len(g.talks) > maxTalks { // of peers that came and went
		maps.DeleteFunc(g.talks, func(_ string, t *talk) bool { return !t.going })
	}
}

// maxTalks is how many peers' past is remembered.
const maxTalks = 1024

func (g *greeter) greet(ctx context.Context, peer string) error {
	s, err := g.host.Open(ctx, peer, protoMember)
	if err != nil {
		return err
	}
	return g.session(ctx, peer, s, true)
}

// lingering is a stream whose last words reach the peer: Close ends our side, and
// the peer's a little later.
type lingering struct{ io.ReadWriteCloser }

// lingerTime is how long a peer has to read why it was refused.
const lingerTime = time.Second

func (l lingering) Close() error {
	s, ok := l.ReadWriteCloser.(interface {
		CloseWrite() error
		SetReadDeadline(time.Time) error
	})
	if !ok || s.CloseWrite() != nil || s.SetReadDeadline(time.Now()) != nil {
		return l.ReadWriteCloser.Close()
	}
	time.AfterFunc(lingerTime, func() { _ = l.ReadWriteCloser.Close() })
	return nil
}

func (g *greeter) session(ctx context.Context, peer string, stream io.ReadWriteCloser, opener bool) error {
	key, err := p2p.PeerKey(peer)
	if err != nil {
		_ = stream.Close()
		return err
	}
	s := &member.Session{
		Book: g.book, Stream: lingering{stream}, Peer: member.Key(key), Opener: opener,
		Admitted: func(a member.Admission) {
			g.mu.Lock()
			if t := g.talks[peer]; t != nil {
				t.fails = 0
			}
			g.mu.Unlock()
			if g.request == nil {
				g.log.Info("a member is here", "name", a.Member.Name, "role", a.Member.Role, "peer", peer)
			}
			if w := member.SkewWarning(a.Skew); w != "" {
				g.log.Warn("clocks are apart"+w, "peer", peer)
			}
			g.host.Readmit()
		},
	}
	if opener {
		s.Request = g.request
	}
	err = s.Run(ctx)
	if refused := new(member.RefusedError); g.request == nil && errors.As(err, &refused) && refused.Reason != member.NotAdmitted && g.isNews(peer, err) {
		g.log.Warn("a peer does not take this device for a member", "peer", peer, "err", err)
	}
	return err
}

// isNews reports whether the user has not been told that of a peer.
func (g *greeter) isNews(peer string, err error) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.talks[peer]
	if t == nil || t.told == err.Error() {
		return t == nil
	}
	t.told = err.Error()
	return true
}

// Times of followRoster.
const (
	resealWait = 2 * time.Second
	// partingWait is how long a device that was put out stays connected, to be told
	// so. Nothing more is taken from it meanwhile.
	partingWait = 200 * time.Millisecond
)

// resealEvery is how often an administrator looks whose membership has expired, and makes
// a key that it does not get. Tests shorten it.
var resealEvery = time.Minute

// followRoster acts on changes of the roster until ctx ends: who is no member any
// more is disconnected and taken nothing from, and an administrator hands out
// keys that members lack, a little later, since others may do it too. It looks
// again now and then: memberships expire.
func (n *Node) followRoster(ctx context.Context) {
	changed, stop := n.book.Watch()
	defer stop()
	reseal := time.NewTimer(0)
	defer reseal.Stop()
	readmit := time.NewTimer(0)
	defer readmit.Stop()
	out := false
	n.obeyRoster(ctx, &out)
	for {
		select {
		case <-changed:
			n.obeyRoster(ctx, &out)
			reseal.Reset(rand.N(resealWait))
			readmit.Reset(partingWait)
		case <-readmit.C:
			n.host.Readmit()
		case <-reseal.C:
			if err := n.book.Reseal(); err != nil {
				n.log.Warn("cannot hand out keys", "err", err)
			}
			reseal.Reset(resealEvery + rand.N(resealWait))
		case <-ctx.Done():
			return
		}
	}
}

// obeyRoster has the replica go by the roster as it is now. out is whether this
// device was told that it does not take part.
func (n *Node) obeyRoster(ctx context.Context, out *bool) {
	err := n.book.Check(n.book.Self())
	if err != nil && !*out {
		n.log.Error("this device does not take part; what it has stays readable here", "network", n.cfg.Network, "err", err)
	}
	*out = err != nil
	if err := n.state.replica.Reauthorize(ctx); err != nil && ctx.Err() == nil {
		n.log.Error("cannot act on a change of the roster", "err", err)
	}
}
