package p2p

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// DefaultListen is every interface and a free port, the same for TCP, WebSocket
// and QUIC where it is.
func DefaultListen() []string {
	return []string{
		"/ip4/0.0.0.0/tcp/0", "/ip4/0.0.0.0/udp/0/quic-v1", "/ip4/0.0.0.0/tcp/0/ws",
		"/ip6/::/tcp/0", "/ip6/::/udp/0/quic-v1", "/ip6/::/tcp/0/ws",
	}
}

// ParseListen reads a listen address: a multiaddr, or host:port for TCP,
// WebSocket and QUIC on that port.
func ParseListen(s string) ([]ma.Multiaddr, error) {
	if strings.HasPrefix(s, "/") {
		a, err := ma.NewMultiaddr(s)
		if err != nil {
			return nil, fmt.Errorf("listen address %q: %w: want e.g. /ip4/127.0.0.1/tcp/4001", s, err)
		}
		_, tcp := a.ValueForProtocol(ma.P_TCP)
		_, quic := a.ValueForProtocol(ma.P_QUIC_V1)
		if tcp != nil && quic != nil {
			return nil, fmt.Errorf("listen address %q: want …/tcp/PORT or …/udp/PORT/quic-v1", s)
		}
		return []ma.Multiaddr{a}, nil
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return nil, fmt.Errorf("listen address %q: want host:port or a multiaddr such as /ip4/127.0.0.1/tcp/4001", s)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n > 65535 {
		return nil, fmt.Errorf("listen address %q: port must be 0 to 65535", s)
	}
	if host == "" {
		host = "0.0.0.0"
	}
	ip := net.ParseIP(host)
	if host == "localhost" {
		ip = net.IPv4(127, 0, 0, 1)
	}
	if ip == nil {
		return nil, fmt.Errorf("listen address %q: %q is not an IP address of this machine", s, host)
	}
	family := "ip6"
	if ip.To4() != nil {
		family = "ip4"
	}
	base := "/" + family + "/" + ip.String()
	tcp, err := ma.NewMultiaddr(base + "/tcp/" + port)
	if err != nil {
		return nil, fmt.Errorf("listen address %q: %w", s, err)
	}
	quic, err := ma.NewMultiaddr(base + "/udp/" + port + "/quic-v1")
	if err != nil {
		return nil, fmt.Errorf("listen address %q: %w", s, err)
	}
	ws, err := ma.NewMultiaddr(base + "/tcp/" + port + "/ws")
	if err != nil {
		return nil, fmt.Errorf("listen address %q: %w", s, err)
	}
	return []ma.Multiaddr{tcp, quic, ws}, nil
}

// ParsePeer reads the address of a peer: a multiaddr that ends in its peer ID.
func ParsePeer(s string) (peer.AddrInfo, error) {
	const example = "want e.g. /ip4/192.168.1.7/tcp/4001/p2p/12D3KooW…, as the other node prints it"
	a, err := ma.NewMultiaddr(s)
	if err != nil {
		return peer.AddrInfo{}, fmt.Errorf("peer address %q: %w: %s", s, err, example)
	}
	info, err := peer.AddrInfoFromP2pAddr(a)
	if err != nil {
		return peer.AddrInfo{}, fmt.Errorf("peer address %q: %w: %s", s, err, example)
	}
	if len(info.Addrs) == 0 {
		return peer.AddrInfo{}, fmt.Errorf("peer address %q: says who, not where: %s", s, example)
	}
	return *info, nil
}

// multiaddrs parses addresses that a peer or a file gave, without those that are
// none.
func multiaddrs(list []string) []ma.Multiaddr {
	var addrs []ma.Multiaddr
	for _, s := range list {
		if a, err := ma.NewMultiaddr(s); err == nil {
			addrs = append(addrs, a)
		}
	}
	return addrs
}

func allLoopback(addrs []ma.Multiaddr) bool {
	for _, a := range addrs {
		if !manet.IsIPLoopback(a) {
			return false
		}
	}
	return len(addrs) > 0
}

// LoopbackOnly reports whether a host that listens there does not leave this
// machine.
func LoopbackOnly(listen []string) bool {
	addrs, err := listenAddrs(listen)
	return err == nil && allLoopback(addrs)
}
