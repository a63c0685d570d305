package p2p

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	libp2pquic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/libp2p/go-libp2p/p2p/transport/tcpreuse"
	"github.com/libp2p/go-libp2p/p2p/transport/websocket"
	ma "github.com/multiformats/go-multiaddr"
)

const listenHint = "another program has this port, or the address is not of this machine; choose another, or port 0 for any free one"

// With SO_REUSEPORT two nodes of one user would share a port, and each would get
// a part of the other's connections. The listener that TCP and WebSocket share
// has no option for it but this variable.
func init() { tcpreuse.EnvReuseportVal = false }

// listenAddrs parses what to listen on; none: DefaultListen.
func listenAddrs(specs []string) ([]ma.Multiaddr, error) {
	if len(specs) == 0 {
		specs = DefaultListen()
	}
	var listen []ma.Multiaddr
	for _, s := range specs {
		addrs, err := ParseListen(s)
		if err != nil {
			return nil, err
		}
		for _, a := range addrs {
			// libp2p panics when it is to open a QUIC address twice.
			if !slices.ContainsFunc(listen, a.Equal) {
				listen = append(listen, a)
			}
		}
	}
	return listen, nil
}

// listen makes the libp2p host. Each address that the user named must open; of
// the default ones, one.
func (h *Host) listen(wanted []ma.Multiaddr) error {
	strict := len(h.cfg.Listen) > 0
	err := h.open(onePort(wanted))
	if err != nil || len(h.notOpen(wanted)) > 0 {
		// The one port was not free after all: let each have its own.
		h.closeHost()
		err = h.open(wanted)
	}
	if err != nil {
		return fmt.Errorf("p2p: listen on %v: %w: %s", wanted, err, listenHint)
	}
	if missing := h.notOpen(wanted); strict && len(missing) > 0 {
		h.closeHost()
		return fmt.Errorf("p2p: listen on %v: cannot open %v: %s", h.cfg.Listen, missing, listenHint)
	}
	return nil
}

func (h *Host) closeHost() {
	if h.host != nil {
		_ = h.host.Close()
		h.host = nil
	}
}

func (h *Host) open(listen []ma.Multiaddr) error {
	key, err := crypto.UnmarshalEd25519PrivateKey(h.cfg.Key)
	if err != nil {
		return fmt.Errorf("identity: %w", err)
	}
	conns, err := h.connLimits()
	if err != nil {
		return err
	}
	resources, err := h.resourceLimits()
	if err != nil {
		return err
	}
	options := []libp2p.Option{
		libp2p.Identity(key),
		libp2p.ListenAddrs(listen...),
		libp2p.Transport(libp2pquic.NewTransport),
		libp2p.Transport(tcp.NewTCPTransport, tcp.DisableReuseport()),
		libp2p.Transport(websocket.New),
		libp2p.ShareTCPListener(),
		libp2p.ConnectionManager(conns),
		libp2p.ResourceManager(resources),
		libp2p.BandwidthReporter(h.bandwidth),
		libp2p.UserAgent(h.cfg.Agent),
		libp2p.EnableRelay(),
		libp2p.ConnectionGater(gate{h.blocked, h.loopback, h.bootstrap, h.cfg.firewall}),
		h.metrics(),
	}
	if h.loopback {
		options = append(options, libp2p.DisableIdentifyAddressDiscovery())
	} else {
		options = append(options, libp2p.NATPortMap(), libp2p.EnableAutoNATv2(), libp2p.EnableHolePunching(h.punchTracer(punches{conns})))
	}
	host, err := libp2p.New(options...)
	if err != nil {
		return err
	}
	h.host = host
	return nil
}

// clearBackoff lets the next dial of a peer happen now: the swarm would put it
// off for up to five minutes.
func clearBackoff(n network.Network, id peer.ID) {
	if s, ok := n.(interface{ Backoff() *swarm.DialBackoff }); ok {
		s.Backoff().Clear(id)
	}
}

// onePort gives the listeners with a free port of their choice, TCP, WebSocket
// and QUIC, the same one where it is free: one number to open in a firewall.
func onePort(listen []ma.Multiaddr) []ma.Multiaddr {
	var any4, any6, loopback bool
	for _, a := range listen {
		s := a.String()
		if strings.Contains(s, "/tcp/0") || strings.Contains(s, "/udp/0") {
			any4 = any4 || strings.HasPrefix(s, "/ip4/")
			any6 = any6 || strings.HasPrefix(s, "/ip6/")
			loopback = loopback || strings.HasPrefix(s, "/ip4/127.")
		}
	}
	if !any4 && !any6 {
		return listen
	}
	host := ""
	if loopback {
		host = "127.0.0.1"
	}
	port := freeForBoth(host)
	if port == 0 {
		return listen
	}
	chosen := make([]ma.Multiaddr, len(listen))
	for i, a := range listen {
		s := strings.ReplaceAll(a.String()+"/", "/tcp/0/", "/tcp/"+strconv.Itoa(port)+"/")
		s = strings.ReplaceAll(s, "/udp/0/", "/udp/"+strconv.Itoa(port)+"/")
		chosen[i] = ma.StringCast(strings.TrimSuffix(s, "/"))
	}
	return chosen
}

// freeForBoth is a port that was free for TCP and for UDP a moment ago; 0 = none
// was found.
func freeForBoth(host string) int {
	for range 8 {
		l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
		if err != nil {
			return 0
		}
		port := l.Addr().(*net.TCPAddr).Port
		u, err := net.ListenPacket("udp", net.JoinHostPort(host, strconv.Itoa(port)))
		_ = l.Close()
		if err == nil {
			_ = u.Close()
			return port
		}
	}
	return 0
}

// ownAddrs are the addresses of the listeners on every interface.
func (h *Host) ownAddrs() []ma.Multiaddr {
	addrs, err := h.host.Network().InterfaceListenAddresses()
	if err != nil {
		addrs = h.host.Addrs()
	}
	return slices.DeleteFunc(slices.Clone(addrs), relayed)
}

// notOpen are the wanted addresses that no listener has.
func (h *Host) notOpen(wanted []ma.Multiaddr) []ma.Multiaddr {
	got := h.host.Network().ListenAddresses()
	return slices.DeleteFunc(slices.Clone(wanted), func(w ma.Multiaddr) bool {
		return slices.ContainsFunc(got, func(g ma.Multiaddr) bool { return sameListener(w, g) })
	})
}

// sameListener reports whether got is what listening on want can give: the
// same address, but for a port of 0.
func sameListener(want, got ma.Multiaddr) bool {
	w, g := strings.Split(want.String(), "/"), strings.Split(got.String(), "/")
	if len(w) != len(g) {
		return false
	}
	for i := range w {
		if w[i] != g[i] && !(w[i] == "0" && i > 0 && (w[i-1] == "tcp" || w[i-1] == "udp")) {
			return false
		}
	}
	return true
}
