package p2p

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// Reachability is what a node is told about itself: whether others can connect
// to it from outside its LAN.
type Reachability string

// Auto, the default, finds out.
const (
	Auto    Reachability = "auto"
	Public  Reachability = "public"
	Private Reachability = "private"
)

func (r Reachability) check() error {
	switch r {
	case "", Auto, Public, Private:
		return nil
	}
	return fmt.Errorf("reachability %q: want auto, public or private", string(r))
}

// Check reports what is wrong with r, if anything.
func (r Reachability) Check() error { return r.check() }

// rolePoll is how often the node looks whether it got a public address.
const rolePoll = 5 * time.Second

// role is what a node is for others. A public node is a relay and a server of
// the rendezvous; every node with an address that others know is a bootstrap.
//
//	              a public IPv4 address, or AutoNATv2 confirmed one
//	private ───────────────────────────────────────────────────────► public
//	              ◄──────────────────────────────────────────────── neither
//
// A public IPv6 address says nothing: behind a home router every device has one
// that the router's firewall guards.
type role struct {
	h      *Host
	public atomic.Bool

	mu        sync.Mutex // guards the fields below
	confirmed bool       // by AutoNATv2
	udp, tcp  Mapping
	relay     *relay.Relay
	closed    bool
	changed   chan struct{} // closed and replaced when public changes
}

func newRole(h *Host) *role {
	r := &role{h: h, changed: make(chan struct{})}
	r.decide() // before anybody asks
	return r
}

// Public reports whether this node serves others as a relay and rendezvous.
func (h *Host) Public() bool { return h.public.public.Load() }

// startsPublic reports what is known before anybody could be asked.
func (h *Host) startsPublic() bool {
	switch {
	case h.cfg.Reachability == Public:
		return true
	case h.cfg.Reachability == Private || h.loopback:
		return false
	}
	listen, err := listenAddrs(h.cfg.Listen)
	return err == nil && hasPublicIPv4(listen)
}

// hasPublicIPv4 reports whether one of the listeners has a public IPv4 address
// of an interface.
func hasPublicIPv4(listen []ma.Multiaddr) bool {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	var own []ma.Multiaddr
	for _, a := range addrs {
		if m, err := manet.FromNetAddr(a); err == nil {
			own = append(own, m)
		}
	}
	open, err := manet.ResolveUnspecifiedAddresses(listen, own)
	if err != nil {
		return false
	}
	for _, a := range open {
		if _, err := a.ValueForProtocol(ma.P_IP4); err == nil && manet.IsPublicAddr(a) {
			return true
		}
	}
	return false
}

func (r *role) run(ctx context.Context) {
	sub, err := r.h.host.EventBus().Subscribe([]any{
		new(event.EvtHostReachableAddrsChanged), new(event.EvtNATDeviceTypeChanged),
	}, eventbus.Name("numax/role"))
	if err != nil {
		r.h.log.Error("cannot follow whether this node is reachable", "err", err)
		return
	}
	defer sub.Close()
	tick := time.NewTicker(rolePoll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case e, ok := <-sub.Out():
			if !ok {
				return
			}
			switch e := e.(type) {
			case event.EvtHostReachableAddrsChanged:
				r.mu.Lock()
				r.confirmed = len(e.Reachable) > 0
				r.mu.Unlock()
			case event.EvtNATDeviceTypeChanged:
				r.learnMapping(e)
			}
		}
		r.decide()
	}
}

// decide starts or ends to serve others.
func (r *role) decide() {
	r.mu.Lock()
	defer r.mu.Unlock()
	public := r.h.startsPublic() || r.confirmed && r.h.cfg.Reachability != Private
	if r.closed || public == r.public.Load() {
		return
	}
	if public {
		service, err := r.h.newRelay()
		if err != nil {
			r.h.log.Warn("cannot serve as a relay", "err", err)
			return
		}
		r.relay = service
		r.h.log.Info("this node can be reached from outside: it serves its network as bootstrap, rendezvous and relay")
	} else {
		_ = r.relay.Close()
		r.relay = nil
		r.h.log.Info("this node cannot be reached from outside any more: it serves no longer as rendezvous and relay")
	}
	r.public.Store(public)
	close(r.changed)
	r.changed = make(chan struct{})
}

// now is whether the node is public, and a channel that closes when that
// changes.
func (r *role) now() (public bool, changed <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.public.Load(), r.changed
}

func (r *role) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	if r.relay != nil {
		_ = r.relay.Close()
		r.relay = nil
	}
}
