package node

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/numax-mesh/numax/node/api"
	"github.com/numax-mesh/numax/p2p"
)

// Doctor says what can be found out without a running node: about this machine
// and the data directory. Nothing is sent beyond it but a multicast datagram on
// each interface that is used, and not even that if cfg listens on loopback
// alone or does not look for nodes.
func Doctor(ctx context.Context, cfg Config) []api.Finding {
	return append([]api.Finding{{
		Check: "node", Level: api.Warn, Finding: "no node is running on " + cfg.Data,
		Advice: "start one and ask again: peers, NAT, relay and clocks are found out by the node",
	}}, checkMachine(ctx, &cfg)...)
}

func checkMachine(ctx context.Context, cfg *Config) []api.Finding {
	found := checkInterfaces(cfg)
	found = append(found, checkMulticast(ctx, cfg)...)
	return append(found, checkClock(time.Now()), checkSpace(cfg.Data), checkFsync(cfg.Data))
}

// Doctor implements api.Swarm.
func (n *Node) Doctor(ctx context.Context) []api.Finding {
	found := []api.Finding{checkWrites(n.state.replica.Failure())}
	if n.host == nil {
		found = append(found, api.Finding{
			Check: "network", Level: api.Warn, Finding: errNoNetwork.Error(),
			Advice: "start it without, and changes go to the other nodes",
		})
	} else {
		r, peers := n.host.Reach(), n.host.Connected()
		found = append(found, checkPeers(peers), checkUDP(r), checkNAT(r), checkCGNAT(r.Outside, p2p.Interfaces(n.cfg.Interface)), checkRelay(r, peers))
		if r.Bootstrap > 0 {
			found = append(found, checkBootstrap(r))
		}
	}
	for _, d := range n.Status().Datasets {
		found = append(found, checkSkew(d)...)
	}
	return append(found, checkMachine(ctx, &n.cfg)...)
}

func checkWrites(failure error) api.Finding {
	if failure != nil {
		return api.Finding{
			Check: "node", Level: api.Bad, Finding: "writes do not reach the disk: " + failure.Error(),
			Advice: "see the checks of the disk below; nothing that was not acknowledged is kept",
		}
	}
	return api.Finding{Check: "node", Level: api.OK, Finding: "running; writes reach the disk"}
}

// stays reports whether a node does not leave its machine.
func (c *Config) stays() bool { return !c.networked() || p2p.LoopbackOnly(c.Listen) }

func checkInterfaces(cfg *Config) []api.Finding {
	if cfg.stays() {
		return []api.Finding{{Check: "interfaces", Level: api.OK, Finding: "none is used: the node does not leave this machine"}}
	}
	var found []api.Finding
	used := 0
	for _, i := range p2p.Interfaces(cfg.Interface) {
		f := api.Finding{Check: "interface " + i.Name, Level: api.OK}
		if i.Left == "" {
			used++
			f.Finding = "used, at " + strings.Join(i.Addrs, ", ")
		} else {
			f.Finding = "left out: " + i.Left
		}
		found = append(found, f)
	}
	switch {
	case used > 0:
	case len(cfg.Interface) > 0:
		found = append(found, api.Finding{
			Check: "interfaces", Level: api.Bad, Finding: "none of those that were named is up with an address: " + strings.Join(cfg.Interface, ", "),
			Advice: "name others with --interface, or none",
		})
	default:
		found = append(found, api.Finding{
			Check: "interfaces", Level: api.Warn, Finding: "no interface leads to a LAN: nodes are found on this machine alone, and by --bootstrap",
			Advice: "connect this machine to a network, or name an interface that was left out with --interface",
		})
	}
	return found
}

func checkMulticast(ctx context.Context, cfg *Config) []api.Finding {
	switch {
	case cfg.stays():
		return []api.Finding{{Check: "multicast", Level: api.OK, Finding: "not used: the node does not leave this machine"}}
	case !cfg.MDNS:
		return []api.Finding{{
			Check: "multicast", Level: api.OK, Finding: "not used, because of --no-mdns",
			Advice: "nodes on the LAN are not found without it",
		}}
	}
	var found []api.Finding
	for _, i := range p2p.Interfaces(cfg.Interface) {
		if i.Left != "" {
			continue
		}
		f := api.Finding{Check: "multicast " + i.Name, Level: api.OK, Finding: "this machine hears what it sends; whether the switch passes it on shows in the peers"}
		if err := p2p.TryMulticast(ctx, i.Name); err != nil {
			f.Level, f.Finding = api.Warn, err.Error()
			f.Advice = "allow UDP port 5353 in the firewall of this machine; nodes are still found by broadcast to UDP port 42424, and by --bootstrap"
		}
		found = append(found, f)
	}
	return found
}

func checkPeers(peers []p2p.Peer) api.Finding {
	ways := make(map[p2p.Way]int)
	strangers := 0
	for _, p := range peers {
		if p.Member {
			ways[p.Way]++
		} else {
			strangers++
		}
	}
	if len(peers) == strangers {
		text := "none is connected"
		if strangers > 0 {
			text += fmt.Sprintf(", but for %d that are no members", strangers)
		}
		return api.Finding{
			Check: "peers", Level: api.Warn, Finding: text,
			Advice: "start another node with the same --network on this LAN, or tell this one where to begin: numax-node bootstrap add ADDR",
		}
	}
	var text []string
	for _, w := range []p2p.Way{p2p.LAN, p2p.Direct, p2p.Punched, p2p.Relayed} {
		if ways[w] > 0 {
			text = append(text, fmt.Sprintf("%d %s", ways[w], w))
		}
	}
	return api.Finding{Check: "peers", Level: api.OK, Finding: strings.Join(text, ", ")}
}

func checkBootstrap(r p2p.Reach) api.Finding {
	f := api.Finding{Check: "bootstrap", Level: api.OK, Finding: fmt.Sprintf("%d of %d peers connected", r.Begun, r.Bootstrap)}
	if r.Begun == 0 {
		f.Level = api.Bad
		f.Advice = "check the addresses (numax-node bootstrap ls), and that those nodes run and their ports are open; the node tries on every two seconds"
	}
	return f
}

func checkUDP(r p2p.Reach) api.Finding {
	switch {
	case r.Loopback:
		return api.Finding{Check: "udp", Level: api.OK, Finding: "the node does not leave this machine"}
	case r.QUIC > 0:
		return api.Finding{Check: "udp", Level: api.OK, Finding: fmt.Sprintf("%d of %d connections are over QUIC", r.QUIC, r.QUIC+r.Streams)}
	case r.Streams > 0:
		return api.Finding{
			Check: "udp", Level: api.Warn, Finding: "all connections are over TCP",
			Advice: "if QUIC addresses are listened on, something drops UDP, and no hole can be punched: allow it in firewall and router",
		}
	}
	return api.Finding{Check: "udp", Level: api.OK, Finding: "not known: nobody is connected directly"}
}

func checkNAT(r p2p.Reach) api.Finding {
	f := api.Finding{Check: "nat", Level: api.OK}
	const forward = "forward the node's port, UDP and TCP, in the router and start with --reachability public; else peers elsewhere reach it through a relay"
	switch {
	case r.Loopback:
		f.Finding = "it listens on this machine alone"
	case len(r.Open) > 0:
		f.Finding = "others can connect to " + strings.Join(r.Open, ", ")
	case r.Public:
		f.Finding = "others can connect: an interface has a public address, or --reachability says so"
	case r.UDP == p2p.ManyPorts:
		f.Level, f.Finding, f.Advice = api.Warn, "symmetric: the router uses "+string(r.UDP)+", so that no hole can be punched", forward
	case r.UDP == p2p.OnePort:
		f.Finding = "the router uses " + string(r.UDP) + ": holes can be punched to nodes behind such a one"
	case len(r.Shut) > 0:
		f.Level, f.Finding, f.Advice = api.Warn, "others cannot connect to "+strings.Join(r.Shut, ", "), forward
	case len(r.Outside) > 0:
		f.Finding = "peers see this node at " + strings.Join(r.Outside, ", ") + "; what kind of NAT is between is not known yet"
	default:
		f.Finding = "not known: no peer beyond the LAN has said at which address it sees this node"
	}
	return f
}

var carrierNets = netip.MustParsePrefix("100.64.0.0/10")

// checkCGNAT looks for a second NAT behind the router's: an address of this
// node's that is not one of the internet's, and yet of no interface.
func checkCGNAT(outside []string, interfaces []p2p.Interface) api.Finding {
	const advice = "no port can be forwarded here: ask the provider for a public address or IPv6, or run a node with a public address and give it as --bootstrap"
	for _, i := range interfaces {
		for _, s := range i.Addrs {
			if p, err := netip.ParsePrefix(s); i.Left == "" && err == nil && carrierNets.Contains(p.Addr()) {
				return api.Finding{Check: "cgnat", Level: api.Warn, Finding: fmt.Sprintf("interface %s has %s, an address behind a provider's NAT", i.Name, s), Advice: advice}
			}
		}
	}
	for _, s := range outside {
		parts := strings.Split(s, "/")
		if len(parts) < 3 {
			continue
		}
		if ip, err := netip.ParseAddr(parts[2]); err == nil && ip.Is4() && (carrierNets.Contains(ip) || ip.IsPrivate()) {
			return api.Finding{
				Check: "cgnat", Level: api.Warn, Finding: fmt.Sprintf("the router's own address %s is not a public one: there is another NAT behind it", ip), Advice: advice,
			}
		}
	}
	return api.Finding{Check: "cgnat", Level: api.OK, Finding: "no sign of a second NAT"}
}

func checkRelay(r p2p.Reach, peers []p2p.Peer) api.Finding {
	f := api.Finding{Check: "relay", Level: api.OK}
	switch {
	case r.Public:
		f.Finding = "this node is one for its network"
	case len(r.Relays) > 0:
		f.Finding = "reached through " + strings.Join(r.Relays, ", ")
	case r.Loopback, !slices.ContainsFunc(peers, func(p p2p.Peer) bool { return p.Way != p2p.LAN }):
		f.Finding = "none, and none is needed on a LAN"
	default:
		f.Level, f.Finding = api.Warn, "no relay keeps a place for this node: nodes behind other NATs may not reach it"
		f.Advice = "run a node of the network with a public address and give it as --bootstrap; one that is full says so in this node's log"
	}
	return f
}

// oldest is before this program was written: a clock that says less is not set.
var oldest = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func checkClock(now time.Time) api.Finding {
	if now.Before(oldest) {
		return api.Finding{
			Check: "clock", Level: api.Bad, Finding: "it says " + now.UTC().Format(time.DateTime),
			Advice: "set it, by NTP or by hand: the node works, but of two writes to one register the later one may lose, and certificates seem not yet valid",
		}
	}
	return api.Finding{Check: "clock", Level: api.OK, Finding: now.UTC().Format(time.DateTime) + " UTC"}
}

// checkSkew compares this node's clock with the authors'.
func checkSkew(d api.Dataset) []api.Finding {
	var found []api.Finding
	for _, author := range slices.Sorted(maps.Keys(d.Clocks)) {
		ahead, way := time.Duration(d.Clocks[author]*float64(time.Second)).Round(time.Second), "ahead of"
		if ahead < 0 {
			ahead, way = -ahead, "behind"
		}
		found = append(found, api.Finding{
			Check: "clock of " + author, Level: api.Warn, Finding: fmt.Sprintf("%v %s this node's, in dataset %s", ahead, way, d.Name),
			Advice: "set the clock that is wrong: of two writes to one register the one with the later clock wins",
		})
	}
	return found
}
