package p2p

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	ds "github.com/ipfs/go-datastore"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// Known peers are dialled at start and again every redial while they are not
// connected, without the swarm's own backoff, which grows to five minutes.
const (
	maxKnown     = 64
	maxKnownAddr = 8
	redialEvery  = 2 * time.Second
	redialJitter = 500 * time.Millisecond // around redialEvery
	lookEvery    = 250 * time.Millisecond // for peers that are due
	dialTimeout  = 5 * time.Second
	maxDials     = 8
	forgetAfter  = 30 * 24 * time.Hour
	seenEvery    = time.Hour        // how often a connected peer is noted as seen
	restAfter    = 10 * time.Minute // unreachable that long: dialled rarely
	restEvery    = time.Minute
	missAfter    = 5 * time.Minute // how long a node with enough peers does without where it began

	bootstrapWeight = "numax/bootstrap" // of the connection to a bootstrap peer
)

var knownKey = ds.NewKey("/p2p/known")

// known is the book of peers to keep up with.
type known struct {
	h *Host

	mu    sync.Mutex // guards the fields below
	peers map[peer.ID]*knownPeer
	dirty bool
}

type knownPeer struct {
	Addrs     []string       `json:"addrs"`
	Seen      time.Time      `json:"seen"` // connected
	bootstrap []ma.Multiaddr // as the user gave them; the peer need not know of them
	up        time.Time      // when it was last seen to be connected
	trying    bool
	since     time.Time // first of the failed dials in a row; zero = none
	next      time.Time
}

func newKnown(h *Host) *known {
	k := &known{h: h, peers: make(map[peer.ID]*knownPeer)}
	k.load()
	return k
}

// setBootstrap notes what the user said last, in place of what was said before.
func (k *known) setBootstrap(said map[peer.ID][]ma.Multiaddr) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for id, p := range k.peers {
		if p.bootstrap != nil && said[id] == nil {
			p.bootstrap = nil
			k.h.host.ConnManager().Unprotect(id, bootstrapWeight)
			if len(p.Addrs) == 0 { // never met
				delete(k.peers, id)
			}
		}
	}
	for id, addrs := range said {
		if id == k.h.host.ID() {
			continue
		}
		p := k.peers[id]
		if p == nil {
			p = &knownPeer{Seen: time.Now()}
			k.peers[id] = p
		}
		p.bootstrap = addrs
		k.h.host.ConnManager().Protect(id, bootstrapWeight)
	}
}

// soon lets the redial of a peer happen at the next look.
func (k *known) soon(id peer.ID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if p := k.peers[id]; p != nil {
		p.next = time.Time{}
	}
}

// later puts the redial of a peer off, unless the user named it.
func (k *known) later(id peer.ID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if p := k.peers[id]; p != nil && p.bootstrap == nil {
		p.next = time.Now().Add(restEvery)
	}
}

// allSoon is for when the network changed.
func (k *known) allSoon() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, p := range k.peers {
		p.next, p.since = time.Time{}, time.Time{}
	}
}

func (k *known) load() {
	if k.h.cfg.Known == nil {
		return
	}
	b, err := k.h.cfg.Known.Get(context.Background(), knownKey)
	if errors.Is(err, ds.ErrNotFound) {
		return
	}
	var saved map[peer.ID]*knownPeer
	if err == nil {
		saved, err = parseKnown(b)
	}
	if err != nil {
		k.h.log.Warn("cannot read the known peers; starting without", "err", err)
		return
	}
	for id, p := range saved {
		if time.Since(p.Seen) < forgetAfter {
			k.peers[id] = p
		}
	}
}

// parseKnown reads what encodeKnown writes: {peer id: knownPeer}.
func parseKnown(b []byte) (map[peer.ID]*knownPeer, error) {
	var named map[string]*knownPeer
	if err := json.Unmarshal(b, &named); err != nil {
		return nil, err
	}
	peers := make(map[peer.ID]*knownPeer, len(named))
	for s, p := range named {
		if id, err := peer.Decode(s); err == nil && p != nil {
			peers[id] = p
		}
	}
	return peers, nil
}

func encodeKnown(peers map[peer.ID]*knownPeer) ([]byte, error) {
	named := make(map[string]*knownPeer, len(peers))
	for id, p := range peers {
		named[id.String()] = p
	}
	return json.Marshal(named)
}

func (k *known) save() {
	k.mu.Lock()
	if !k.dirty || k.h.cfg.Known == nil {
		k.mu.Unlock()
		return
	}
	k.dirty = false
	b, err := encodeKnown(k.peers)
	k.mu.Unlock()
	if err == nil {
		err = k.h.cfg.Known.Put(context.Background(), knownKey, b)
	}
	if err != nil {
		k.h.log.Warn("cannot save the known peers", "err", err)
	}
}

// forget drops a peer, unless the user named it.
func (k *known) forget(id peer.ID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if p := k.peers[id]; p != nil && p.bootstrap == nil {
		delete(k.peers, id)
		k.dirty = true
	}
}

// met notes a member that connected and said where it listens.
func (k *known) met(id peer.ID) {
	if !k.h.admitted(id) {
		return
	}
	var addrs []string
	note := func(a ma.Multiaddr) {
		if s := a.String(); len(addrs) < maxKnownAddr && !slices.Contains(addrs, s) {
			addrs = append(addrs, s)
		}
	}
	for _, c := range k.h.host.Network().ConnsToPeer(id) {
		if c.Stat().Direction == network.DirOutbound {
			note(c.RemoteMultiaddr()) // works, whatever the peer says
		}
	}
	for _, a := range k.h.host.Peerstore().Addrs(id) {
		note(a)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	p := k.peers[id]
	if p == nil {
		k.makeRoom()
		p = &knownPeer{}
		k.peers[id] = p
	}
	if len(addrs) > 0 {
		p.Addrs = addrs
	}
	p.Seen = time.Now()
	p.since = time.Time{}
	k.dirty = true
}

// makeRoom forgets the peer not seen for longest.
func (k *known) makeRoom() {
	if len(k.peers) < maxKnown {
		return
	}
	var oldest peer.ID
	for id, p := range k.peers {
		if p.bootstrap == nil && (oldest == "" || p.Seen.Before(k.peers[oldest].Seen)) {
			oldest = id
		}
	}
	delete(k.peers, oldest)
}

func (k *known) run(ctx context.Context) {
	var wg sync.WaitGroup
	defer k.save()
	defer wg.Wait()
	for {
		k.dial(ctx, &wg)
		k.save()
		select {
		case <-ctx.Done():
			return
		case <-time.After(lookEvery + rand.N(lookEvery/4)):
		}
	}
}

// dial tries the known peers that are due.
func (k *known) dial(ctx context.Context, wg *sync.WaitGroup) {
	now := time.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	running := 0
	for id, p := range k.peers {
		if p.trying {
			running++
		}
		if running >= maxDials {
			return
		}
		if k.h.isConnected(id) {
			p.up = now
			// Ahead of us is what a clock said that was wrong.
			if age := now.Sub(p.Seen); age > seenEvery || age < 0 {
				p.Seen, k.dirty = now, true
			}
			continue
		}
		if p.trying || now.Before(p.next) || k.h.blocked.has(id) || k.h.full() && !p.isMissed(now) {
			continue
		}
		info := peer.AddrInfo{ID: id, Addrs: slices.Concat(p.bootstrap, multiaddrs(p.Addrs))}
		p.trying = true
		running++
		wg.Go(func() { k.try(ctx, info, p) })
	}
}

// isMissed reports whether a node that has the connections it looks for wants this
// one all the same: to where it begins, but not at once, since it may have been
// closed there to make room for others.
func (p *knownPeer) isMissed(now time.Time) bool {
	return p.bootstrap != nil && now.Sub(p.up) > missAfter
}

func (k *known) try(ctx context.Context, info peer.AddrInfo, p *knownPeer) {
	err := k.h.reach(ctx, info)
	now := time.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	p.trying = false
	p.next = now.Add(redialEvery - redialJitter/2 + rand.N(redialJitter))
	if err == nil {
		p.since = time.Time{}
		return
	}
	if p.since.IsZero() {
		p.since = now
		if p.bootstrap != nil {
			k.h.log.Warn("cannot reach a bootstrap peer yet; trying on", "peer", info.ID, "err", err)
		}
	}
	if now.Sub(p.since) > restAfter && p.bootstrap == nil {
		p.next = now.Add(restEvery)
	}
}
