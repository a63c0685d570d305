package p2p

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// linkPoll is how often the interfaces are looked at: a laptop moves, a cable
// is pulled, a machine sleeps.
const linkPoll = 2 * time.Second

// virtual begins the names of interfaces behind which there is no LAN of the
// user's, or one that he must ask for: bridges of containers and machines, and
// tunnels.
var virtual = []string{
	"docker", "br-", "veth", "virbr", "vnet", "podman", "cni", "flannel", "cali", "lxc", "lxd", "vmnet", "vboxnet", "vethernet",
	"tun", "tap", "utun", "wg", "tailscale", "zt", "ppp", "ipsec", "nebula",
	"awdl", "llw", "dummy",
}

// link is an interface of this machine that leads to a LAN.
type link struct {
	iface net.Interface
	nets  []netip.Prefix // its addresses
}

// links are the interfaces on which nodes are looked for: the named ones that
// are up; or else all that are, without the virtual ones if there are others.
func links(named []string) []link { return chooseLinks(allLinks(), named) }

// allLinks are the interfaces of this machine, whatever they are good for.
func allLinks() []link {
	all, err := net.Interfaces()
	if err != nil {
		return nil
	}
	var found []link
	for _, i := range all {
		l := link{iface: i}
		if addrs, err := i.Addrs(); err == nil {
			l.nets = prefixes(addrs)
		}
		found = append(found, l)
	}
	return found
}

func chooseLinks(all []link, named []string) []link {
	why := judge(all, named)
	var chosen []link
	for n, l := range all {
		if why[n] == "" {
			chosen = append(chosen, l)
		}
	}
	return chosen
}

const onlyVirtual = "it looks like one of containers or a tunnel"

// judge says of each interface why nodes are not looked for on it; "" = they are.
func judge(all []link, named []string) []string {
	why := make([]string, len(all))
	real := false
	for n, l := range all {
		name, flags := strings.ToLower(l.iface.Name), l.iface.Flags
		switch {
		case flags&net.FlagUp == 0 || flags&net.FlagRunning == 0:
			why[n] = "it is down"
		case len(l.nets) == 0:
			why[n] = "it has no address"
		case len(named) > 0:
			if !slices.Contains(named, l.iface.Name) {
				why[n] = "it is not among those that were named"
			}
		case flags&net.FlagLoopback != 0:
			why[n] = "it does not leave this machine"
		case flags&(net.FlagMulticast|net.FlagBroadcast) == 0:
			why[n] = "it knows neither multicast nor broadcast"
		case flags&net.FlagPointToPoint != 0,
			slices.ContainsFunc(virtual, func(v string) bool { return strings.HasPrefix(name, v) }):
			why[n] = onlyVirtual
		default:
			real = true
		}
	}
	if !real { // better than none
		for n := range why {
			if why[n] == onlyVirtual {
				why[n] = ""
			}
		}
	}
	return why
}

func prefixes(addrs []net.Addr) []netip.Prefix {
	var found []netip.Prefix
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			found = append(found, p)
		}
	}
	return found
}

// state is what a change of the links shows in.
func state(all []link) string {
	var b strings.Builder
	for _, l := range all {
		b.WriteString(l.iface.Name)
		for _, p := range l.nets {
			b.WriteString(" " + p.String())
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// lanAddrs are the addresses at which this node listens on the links.
func (h *Host) lanAddrs(all []link) []ma.Multiaddr {
	var own []ma.Multiaddr
	for _, l := range all {
		for _, p := range l.nets {
			if a, err := manet.FromIP(p.Addr().AsSlice()); err == nil && !p.Addr().IsLinkLocalUnicast() {
				own = append(own, a)
			}
		}
	}
	// The host's own list of these is up to a minute old.
	var bound []ma.Multiaddr
	for _, a := range h.host.Network().ListenAddresses() {
		if relayed(a) {
			continue
		}
		if ip, err := manet.ToIP(a); err == nil && (ip.IsUnspecified() || slices.ContainsFunc(own, func(o ma.Multiaddr) bool {
			i, err := manet.ToIP(o)
			return err == nil && i.Equal(ip)
		})) {
			bound = append(bound, a)
		}
	}
	open, err := manet.ResolveUnspecifiedAddresses(bound, own)
	if err != nil {
		return nil
	}
	return open
}

// runLAN looks for nodes on the links, and begins anew whenever those change.
func (h *Host) runLAN(ctx context.Context) {
	now := links(h.cfg.Interface)
	for ctx.Err() == nil {
		lan, stop := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() {
			defer close(done)
			if h.cfg.Discover {
				h.discover(lan, now)
			}
		}()
		for {
			select {
			case <-ctx.Done():
			case <-time.After(linkPoll):
			}
			if next := links(h.cfg.Interface); ctx.Err() != nil || state(next) != state(now) {
				now = next
				break
			}
		}
		stop()
		<-done
		if ctx.Err() == nil {
			h.log.Info("the network changed; looking for nodes anew", "interfaces", names(now))
			h.known.allSoon()
			h.dropDead(ctx, h.host.Network().Peers())
		}
	}
}

func names(all []link) []string {
	var n []string
	for _, l := range all {
		n = append(n, l.iface.Name)
	}
	return n
}
