package p2p

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/zeroconf/v2"
	ma "github.com/multiformats/go-multiaddr"
)

// What a node announces by mDNS is what libp2p's own nodes do, under a service
// name of the network:
//
//	_numax-<tag>._udp.local  PTR  <random>._numax-<tag>._udp.local
//	<random>…                TXT  "dnsaddr=/ip4/192.168.1.7/udp/4001/quic-v1/p2p/<peer id>" …
//
// libp2p's announcer would take every interface, containers and tunnels too,
// and never notice a change; hence this one.
const (
	mdnsDomain = "local"
	mdnsTXT    = "dnsaddr="
	mdnsPort   = 5353
	mdnsQueue  = 64 // answers not read yet; zeroconf waits when it is full
	maxTXT     = 10 // addresses of one node, announced and taken
	mdnsRetry  = 10 * time.Second
)

// runMDNS announces this node on the links and connects to those it hears of.
func (l *lan) runMDNS(ctx context.Context, on []link) {
	for warned := false; ; warned = true {
		err := l.mdns(ctx, on)
		if ctx.Err() != nil {
			return
		}
		if !warned {
			l.h.log.Info("no multicast here: nodes on the LAN are looked for by broadcast alone", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(mdnsRetry):
		}
	}
}

func (l *lan) mdns(ctx context.Context, on []link) error {
	var ifaces []net.Interface
	var ips []string
	for _, x := range on {
		ifaces = append(ifaces, x.iface)
		for _, p := range x.nets {
			ips = append(ips, p.Addr().WithZone("").String())
		}
	}
	if len(ips) == 0 {
		return errors.New("no address on any interface")
	}
	service, name := "_numax-"+l.h.cfg.Tag+"._udp", strings.ToLower(rand.Text())
	// Only the TXT records count; the port has to be one.
	server, err := zeroconf.RegisterProxy(name, service, mdnsDomain, mdnsPort, name, ips[:1], l.mdnsText(on), ifaces)
	if err != nil {
		return err
	}
	defer server.Shutdown()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	answers := make(chan *zeroconf.ServiceEntry, mdnsQueue)
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		for a := range answers {
			for _, info := range parseMDNS(a.Text) {
				l.found(ctx, info)
			}
		}
	})
	// It closes answers when it ends.
	return zeroconf.Browse(ctx, service, mdnsDomain, answers, zeroconf.SelectIfaces(ifaces))
}

func (l *lan) mdnsText(on []link) []string {
	var text []string
	for _, a := range l.h.lanAddrs(on) {
		if _, err := a.ValueForProtocol(ma.P_WS); err == nil {
			continue // TCP is there too
		}
		if len(text) < maxTXT {
			text = append(text, mdnsTXT+a.String()+"/p2p/"+l.h.ID())
		}
	}
	return text
}

// parseMDNS are the nodes that TXT records speak of.
func parseMDNS(text []string) []peer.AddrInfo {
	var addrs []ma.Multiaddr
	for _, s := range text[:min(len(text), maxTXT)] {
		s, ok := strings.CutPrefix(s, mdnsTXT)
		if a, err := ma.NewMultiaddr(s); ok && err == nil {
			if _, err := a.ValueForProtocol(ma.P_P2P); err == nil && !relayed(a) {
				addrs = append(addrs, a)
			}
		}
	}
	infos, err := peer.AddrInfosFromP2pAddrs(addrs...)
	if err != nil {
		return nil
	}
	return infos
}
