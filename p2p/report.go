package p2p

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// Reach is what a node found out about how others reach it.
type Reach struct {
	Public   bool     // it serves as bootstrap, rendezvous and relay
	Loopback bool     // it listens on this machine alone
	Open     []string // its addresses to which others could connect, as AutoNATv2 tried
	Shut     []string // and those to which they could not
	Outside  []string // its addresses that no interface of this machine has: a router's, of a port it maps, or as peers see it
	UDP, TCP Mapping
	Relays   []string // peers that hold a place for it

	Bootstrap int // peers of which it was told to begin with
	Begun     int // those of them that are connected
	QUIC      int // connections over UDP
	Streams   int // and over TCP or WebSocket
}

// Mapping is how a NAT chooses ports, if that is known.
type Mapping string

// A hole can be punched if both sides' NATs use one port for all destinations.
const (
	UnknownMapping Mapping = ""
	OnePort        Mapping = "one port for all destinations"
	ManyPorts      Mapping = "another port for each destination"
)

// Reach says how this node is reached.
func (h *Host) Reach() Reach {
	r := Reach{Public: h.Public(), Loopback: h.loopback}
	r.UDP, r.TCP = h.public.mappings()
	own := h.ownAddrs()
	if all, ok := h.host.(interface {
		AllAddrs() []ma.Multiaddr
		ConfirmedAddrs() (reachable, unreachable, unknown []ma.Multiaddr)
	}); ok {
		open, shut, _ := all.ConfirmedAddrs()
		r.Open, r.Shut = texts(open), texts(shut)
		r.Outside = texts(slices.DeleteFunc(slices.Clone(all.AllAddrs()), func(a ma.Multiaddr) bool {
			return relayed(a) || slices.ContainsFunc(own, func(o ma.Multiaddr) bool { return sameIP(a, o) })
		}))
	}
	for _, id := range h.relays.relays() {
		r.Relays = append(r.Relays, id.String())
	}
	slices.Sort(r.Relays)
	for _, id := range h.bootstrap.ids() {
		if id == h.host.ID() {
			continue
		}
		r.Bootstrap++
		if h.isConnected(id) {
			r.Begun++
		}
	}
	for _, c := range h.host.Network().Conns() {
		if a := c.RemoteMultiaddr(); !relayed(a) {
			if _, err := a.ValueForProtocol(ma.P_UDP); err == nil {
				r.QUIC++
			} else {
				r.Streams++
			}
		}
	}
	return r
}

func texts(addrs []ma.Multiaddr) []string {
	list := []string{}
	for _, a := range addrs {
		list = append(list, a.String())
	}
	return list
}

func sameIP(a, b ma.Multiaddr) bool {
	x, err := manet.ToIP(a)
	y, err2 := manet.ToIP(b)
	return err == nil && err2 == nil && x.Equal(y)
}

// learnMapping notes what kind of NAT peers' view of our addresses shows.
func (r *role) learnMapping(e event.EvtNATDeviceTypeChanged) {
	m := UnknownMapping
	switch e.NatDeviceType {
	case network.NATDeviceTypeEndpointIndependent:
		m = OnePort
	case network.NATDeviceTypeEndpointDependent:
		m = ManyPorts
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.TransportProtocol == network.NATTransportUDP {
		r.udp = m
	} else {
		r.tcp = m
	}
}

func (r *role) mappings() (udp, tcp Mapping) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.udp, r.tcp
}

// Interface is a network interface of this machine.
type Interface struct {
	Name  string
	Addrs []string // with the length of the network's prefix
	Left  string   // why nodes are not looked for on it; "" = they are
}

// Interfaces are those of this machine, as Config.Interface chooses among them.
func Interfaces(named []string) []Interface {
	links := allLinks()
	why := judge(links, named)
	var all []Interface
	for n, l := range links {
		i := Interface{Name: l.iface.Name, Left: why[n]}
		for _, p := range l.nets {
			i.Addrs = append(i.Addrs, p.String())
		}
		all = append(all, i)
	}
	return all
}

const (
	multicastGroup = "224.0.0.251" // that of mDNS, at a port of nobody's
	multicastTime  = time.Second
)

// TryMulticast sends a datagram to a group on an interface, which this machine
// must hear itself.
func TryMulticast(ctx context.Context, name string) error {
	fail := func(err error) error { return fmt.Errorf("p2p: multicast on %s: %w", name, err) }
	iface, err := net.InterfaceByName(name)
	if err != nil {
		return fail(err)
	}
	nets, err := iface.Addrs()
	if err != nil {
		return fail(err)
	}
	i := slices.IndexFunc(prefixes(nets), func(p netip.Prefix) bool { return p.Addr().Is4() })
	if i < 0 {
		return fail(errors.New("it has no IPv4 address"))
	}
	from := net.IP(prefixes(nets)[i].Addr().AsSlice())
	in, err := net.ListenMulticastUDP("udp4", iface, &net.UDPAddr{IP: net.ParseIP(multicastGroup)})
	if err != nil {
		return fail(err)
	}
	defer in.Close()
	port := in.LocalAddr().(*net.UDPAddr).Port
	out, err := net.DialUDP("udp4", &net.UDPAddr{IP: from}, &net.UDPAddr{IP: net.ParseIP(multicastGroup), Port: port})
	if err != nil {
		return fail(err)
	}
	defer out.Close()
	defer context.AfterFunc(ctx, func() { _ = in.Close() })()
	word := "numax " + rand.Text()
	if _, err := out.Write([]byte(word)); err != nil {
		return fail(err)
	}
	if err := in.SetReadDeadline(time.Now().Add(multicastTime)); err != nil {
		return fail(err)
	}
	got := make([]byte, len(word)+1)
	for {
		n, _, err := in.ReadFromUDP(got)
		if err != nil {
			return fail(fmt.Errorf("what was sent is not heard: %w", err))
		}
		if string(got[:n]) == word {
			return nil
		}
	}
}
