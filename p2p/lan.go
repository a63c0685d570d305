package p2p

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Nodes found on the LAN are dialled a few times: the one that announced itself
// may not accept yet.
const (
	lanTries = 3
	lanPause = 300 * time.Millisecond
	lanDials = 16 // at a time; a node found beyond them announces itself again
)

// discover looks for nodes on the links until ctx ends: by mDNS, and by a beacon
// where multicast does not get through.
func (h *Host) discover(ctx context.Context, on []link) {
	if len(on) == 0 {
		return
	}
	lan := &lan{h: h, dialling: make(map[peer.ID]bool)}
	var wg sync.WaitGroup
	wg.Go(func() { lan.runMDNS(ctx, on) })
	wg.Go(func() { lan.runBeacon(ctx, on) })
	wg.Wait()
	lan.wg.Wait()
}

// lan connects to what was found on it.
type lan struct {
	h  *Host
	wg sync.WaitGroup

	mu       sync.Mutex // guards dialling
	dialling map[peer.ID]bool
}

// found connects to a node in the background. What was found only says where to
// dial: who answers there has to prove the peer id.
func (l *lan) found(ctx context.Context, info peer.AddrInfo) {
	if info.ID == l.h.host.ID() || len(info.Addrs) == 0 || l.h.direct(info.ID) || l.h.full() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dialling[info.ID] || len(l.dialling) >= lanDials {
		return
	}
	l.dialling[info.ID] = true
	l.wg.Go(func() {
		defer func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			delete(l.dialling, info.ID)
		}()
		for n := range lanTries {
			err := l.h.connect(ctx, info)
			if err == nil || ctx.Err() != nil {
				return
			}
			if n == lanTries-1 {
				l.h.log.Debug("cannot reach a node on the LAN", "peer", info.ID, "err", err)
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(lanPause + rand.N(lanPause)):
			}
		}
	})
}
