package p2p

import (
	"context"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/discovery/mdns"
)

// mdnsRetry is how often mDNS is tried while no interface can multicast.
const mdnsRetry = 10 * time.Second

// runMDNS announces this node on the LAN and connects to those it hears of.
func (h *Host) runMDNS(ctx context.Context) {
	for warned := false; ; warned = true {
		s := mdns.NewMdnsService(h.host, "_numax-"+h.cfg.Tag+"._udp", found{ctx, h})
		err := s.Start()
		if err == nil {
			<-ctx.Done()
		} else if !warned {
			h.log.Info("no multicast here: nodes on the LAN are not found by themselves", "err", err)
		}
		_ = s.Close()
		select {
		case <-ctx.Done():
			return
		case <-time.After(mdnsRetry):
		}
	}
}

type found struct {
	ctx context.Context
	h   *Host
}

// HandlePeerFound implements mdns.Notifee; it is called in its own goroutine.
func (f found) HandlePeerFound(info peer.AddrInfo) {
	if err := f.h.connect(f.ctx, info); err != nil {
		f.h.log.Debug("cannot reach a node on the LAN", "peer", info.ID, "err", err)
	}
}
