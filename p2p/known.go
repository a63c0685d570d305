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
	"github.com/libp2p/go-libp2p/core/peerstore"
	ma "github.com/multiformats/go-multiaddr"
)

// Known peers are dialled at start and again every redial while they are not
// connected, without the swarm's own backoff, which grows to five minutes.
const (
	maxKnown     = 64
	maxKnownAddr = 8
	redialEvery  = 2 * time.Second
	redialJitter = 500 * time.Millisecond
	dialTimeout  = 5 * time.Second
	maxDials     = 8
	forgetAfter  = 30 * 24 * time.Hour
	restAfter    = 10 * time.Minute // unreachable that long: dialled rarely
	restEvery    = time.Minute
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
	Addrs     []string  `json:"addrs"`
	Seen      time.Time `json:"seen"`
	bootstrap bool
	trying    bool
	since     time.Time // first of the failed dials in a row; zero = none
	next      time.Time
}

func newKnown(h *Host, bootstrap []peer.AddrInfo) *known {
	k := &known{h: h, peers: make(map[peer.ID]*knownPeer)}
	k.load()
	for _, info := range bootstrap {
		if info.ID == h.host.ID() {
			continue
		}
		p := k.peers[info.ID]
		if p == nil {
			p = &knownPeer{Seen: time.Now()}
			k.peers[info.ID] = p
		}
		p.bootstrap = true
		for _, a := range info.Addrs {
			if !slices.Contains(p.Addrs, a.String()) {
				p.Addrs = append(p.Addrs, a.String())
			}
		}
	}
	return k
}

func (k *known) load() {
	if k.h.cfg.Known == nil {
		return
	}
	b, err := k.h.cfg.Known.Get(context.Background(), knownKey)
	if errors.Is(err, ds.ErrNotFound) {
		return
	}
	saved := make(map[string]*knownPeer)
	if err == nil {
		err = json.Unmarshal(b, &saved)
	}
	if err != nil {
		k.h.log.Warn("cannot read the known peers; starting without", "err", err)
		return
	}
	for s, p := range saved {
		if id, err := peer.Decode(s); err == nil && p != nil && time.Since(p.Seen) < forgetAfter {
			k.peers[id] = p
		}
	}
}

func (k *known) save() {
	k.mu.Lock()
	if !k.dirty || k.h.cfg.Known == nil {
		k.mu.Unlock()
		return
	}
	k.dirty = false
	out := make(map[string]*knownPeer, len(k.peers))
	for id, p := range k.peers {
		out[id.String()] = p
	}
	b, err := json.Marshal(out)
	k.mu.Unlock()
	if err == nil {
		err = k.h.cfg.Known.Put(context.Background(), knownKey, b)
	}
	if err != nil {
		k.h.log.Warn("cannot save the known peers", "err", err)
	}
}

// met notes a peer that connected and said where it listens.
func (k *known) met(id peer.ID) {
	var addrs []string
	for _, a := range k.h.host.Peerstore().Addrs(id) {
		if len(addrs) < maxKnownAddr {
			addrs = append(addrs, a.String())
		}
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
		if !p.bootstrap && (oldest == "" || p.Seen.Before(k.peers[oldest].Seen)) {
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
		wait := redialEvery/2 + rand.N(redialJitter)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
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
		if p.trying || now.Before(p.next) || k.h.host.Network().Connectedness(id) == network.Connected {
			continue
		}
		info := peer.AddrInfo{ID: id}
		for _, s := range p.Addrs {
			if a, err := ma.NewMultiaddr(s); err == nil {
				info.Addrs = append(info.Addrs, a)
			}
		}
		p.trying = true
		running++
		wg.Go(func() { k.try(ctx, info, p) })
	}
}

func (k *known) try(ctx context.Context, info peer.AddrInfo, p *knownPeer) {
	err := k.h.connect(ctx, info)
	now := time.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	p.trying = false
	p.next = now.Add(redialEvery + rand.N(redialJitter))
	if err == nil {
		p.since = time.Time{}
		return
	}
	if p.since.IsZero() {
		p.since = now
		if p.bootstrap {
			k.h.log.Warn("cannot reach a bootstrap peer yet; trying on", "peer", info.ID, "err", err)
		}
	}
	if now.Sub(p.since) > restAfter && !p.bootstrap {
		p.next = now.Add(restEvery)
	}
}

// connect dials a peer directly and past the swarm's backoff.
func (h *Host) connect(ctx context.Context, info peer.AddrInfo) error {
	if info.ID == h.host.ID() {
		return nil
	}
	ctx, cancel := context.WithTimeout(network.WithForceDirectDial(ctx, "known peer"), dialTimeout)
	defer cancel()
	h.host.Peerstore().AddAddrs(info.ID, info.Addrs, peerstore.TempAddrTTL)
	return h.host.Connect(ctx, info)
}
