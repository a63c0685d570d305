package p2p

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	"github.com/multiformats/go-multihash"
)

// The nodes of a network find each other through a Kademlia DHT of their own,
// under /numax/<tag>: public nodes serve it, the others ask. Each provides one
// record, the network's, and looks up who else does. No dataset has a record: who
// shares one is found out among the nodes themselves.
//
// A node that nobody told where to begin, and that is not public, has no part in
// it: on a plain LAN nothing but the LAN is asked.
const (
	meetEvery  = time.Minute
	meetRarely = 10 * time.Minute // with the connections that the node looks for
	meetFirst  = 2 * time.Second  // doubled up to meetEvery
	meetSoon   = 250 * time.Millisecond
	meetTime   = 10 * time.Second
	maxMeet    = 256                    // providers looked at each time
	meetGather = 250 * time.Millisecond // how long one waits for others, to be dialled in any order
	meetDials  = 8                      // at a time
	meetEvents = 64
)

// rendezvousKey is what the nodes of the network provide.
func (h *Host) rendezvousKey() (cid.Cid, error) {
	sum, err := multihash.Sum([]byte("numax/rendezvous/1\x00"+h.cfg.Tag), multihash.SHA2_256, -1)
	if err != nil {
		return cid.Undef, err
	}
	return cid.NewCidV1(cid.Raw, sum), nil
}

func (h *Host) runRendezvous(ctx context.Context) {
	key, err := h.rendezvousKey()
	if err != nil {
		h.log.Error("cannot look for nodes beyond the LAN", "err", err)
		return
	}
	for ctx.Err() == nil {
		public, changed := h.public.now()
		if sources, others := h.bootstrap.now(); !public && len(sources) == 0 {
			select {
			case <-ctx.Done():
			case <-changed:
			case <-others:
			}
			continue
		}
		if err := h.meet(ctx, key, public, changed); err != nil && ctx.Err() == nil {
			h.log.Error("cannot look for nodes beyond the LAN", "err", err)
			select {
			case <-ctx.Done():
			case <-time.After(meetEvery):
			}
		}
	}
}

// meet takes part in the DHT until ctx ends or the node's role changes.
func (h *Host) meet(ctx context.Context, key cid.Cid, public bool, changed <-chan struct{}) (err error) {
	mode := dht.ModeClient
	if public {
		mode = dht.ModeServer
	}
	d, err := dht.New(view{Host: h.host, h: h},
		dht.Mode(mode),
		dht.ProtocolPrefix(protocol.ID("/numax/"+h.cfg.Tag)),
		dht.DisableValues(),
		dht.BootstrapPeersFunc(func() []peer.AddrInfo {
			var infos []peer.AddrInfo
			for id, addrs := range h.bootstrap.peers() {
				infos = append(infos, peer.AddrInfo{ID: id, Addrs: addrs})
			}
			return infos
		}))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	sub, err := h.host.EventBus().Subscribe([]any{
		new(event.EvtPeerIdentificationCompleted), new(event.EvtLocalAddressesUpdated),
	}, eventbus.BufSize(meetEvents))
	if err != nil {
		return err
	}
	defer sub.Close()

	pause := meetFirst
	timer := time.NewTimer(meetSoon)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
			return nil
		case e, ok := <-sub.Out():
			if !ok {
				return nil
			}
			// A server may have come, or others must hear of a new address.
			if _, moved := e.(event.EvtLocalAddressesUpdated); moved || !h.full() {
				pause = meetFirst
				timer.Reset(meetSoon)
			}
		case <-timer.C:
			h.meetOnce(ctx, d, key)
			if h.full() {
				pause = meetRarely
			}
			timer.Reset(pause/2 + rand.N(pause))
			pause = min(2*pause, meetEvery)
		}
	}
}

// meetOnce says that this node is there, and connects to those that said so.
func (h *Host) meetOnce(ctx context.Context, d *dht.IpfsDHT, key cid.Cid) {
	ctx, cancel := context.WithTimeout(ctx, meetTime)
	defer cancel()
	if err := d.Provide(ctx, key, true); err != nil {
		h.log.Debug("cannot tell the rendezvous of this node", "err", err)
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	slots := make(chan struct{}, meetDials)
	found := d.FindProvidersAsync(ctx, key, maxMeet)
	for some := gather(found); len(some) > 0; some = gather(found) {
		for _, info := range some {
			if info.ID == h.host.ID() || h.isConnected(info.ID) || h.full() {
				continue
			}
			slots <- struct{}{}
			wg.Go(func() {
				defer func() { <-slots }()
				if err := h.reach(ctx, info); err != nil {
					h.log.Debug("cannot reach a node of this network", "peer", info.ID, "err", err)
				}
			})
		}
	}
}

// gather receives what comes in a moment, and shuffles it: a server tells all who
// ask the same, and who is first in its list would be dialled by everybody. Nil
// when there is no more.
func gather(found <-chan peer.AddrInfo) (some []peer.AddrInfo) {
	info, ok := <-found
	if !ok {
		return nil
	}
	some = append(some, info)
	timer := time.NewTimer(meetGather)
	defer timer.Stop()
	for ok {
		select {
		case info, ok = <-found:
			if ok {
				some = append(some, info)
			}
		case <-timer.C:
			ok = false
		}
	}
	rand.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
	return some
}
