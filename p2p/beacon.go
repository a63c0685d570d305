package p2p

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// Where multicast is filtered (some access points, some switches) subnet
// broadcast often is not. A beacon is one datagram to beaconPort of the
// broadcast address of each LAN:
//
//	 0      4   5        6     6+t       7+t    7+t+n   9+t+n   11+t+n
//	┌──────┬───┬────────┬─────┬─────────┬──────┬───────┬───────┐
//	│"NMXB"│ 1 │ t:1    │ tag │ n:1     │ id   │ TCP:2 │ QUIC:2│  ports, big-endian, 0 = none
//	└──────┴───┴────────┴─────┴─────────┴──────┴───────┴───────┘
//
// Nothing proves who sent it. It leads to no more than a dial of the sender's
// address at those ports, and to a connection only if who answers there proves
// to be that peer.
const (
	beaconPort    = 42424
	beaconMagic   = "NMXB\x01"
	maxBeacon     = 128
	beaconFirst   = time.Second
	beaconSlowest = 30 * time.Second
	beaconsRead   = 32 // a second; more are dropped
)

type beacon struct {
	tag       string
	id        peer.ID
	tcp, quic uint16
}

func (b beacon) encode() []byte {
	out := append([]byte(beaconMagic), byte(len(b.tag)))
	out = append(out, b.tag...)
	out = append(out, byte(len(b.id)))
	out = append(out, b.id...)
	out = binary.BigEndian.AppendUint16(out, b.tcp)
	return binary.BigEndian.AppendUint16(out, b.quic)
}

var errBeacon = errors.New("p2p: not a beacon")

func parseBeacon(data []byte) (b beacon, err error) {
	rest, ok := bytes.CutPrefix(data, []byte(beaconMagic))
	if !ok || len(data) > maxBeacon {
		return b, errBeacon
	}
	tag, rest, ok := cutCounted(rest)
	if !ok {
		return b, errBeacon
	}
	id, rest, ok := cutCounted(rest)
	if !ok || len(rest) != 4 || !validTag(string(tag)) {
		return b, errBeacon
	}
	b.tag = string(tag)
	if b.id, err = peer.IDFromBytes(id); err != nil {
		return b, errBeacon
	}
	b.tcp, b.quic = binary.BigEndian.Uint16(rest), binary.BigEndian.Uint16(rest[2:])
	return b, nil
}

// cutCounted takes off a string with its length in a byte before it.
func cutCounted(b []byte) (s, rest []byte, ok bool) {
	if len(b) == 0 || len(b) < 1+int(b[0]) {
		return nil, nil, false
	}
	return b[1 : 1+b[0]], b[1+b[0]:], true
}

// addrs is where the sender of a beacon says it listens.
func (b beacon) addrs(from netip.Addr) []ma.Multiaddr {
	base := "/ip4/" + from.Unmap().String()
	var addrs []ma.Multiaddr
	if b.quic != 0 {
		addrs = append(addrs, ma.StringCast(base+"/udp/"+strconv.Itoa(int(b.quic))+"/quic-v1"))
	}
	if b.tcp != 0 {
		addrs = append(addrs, ma.StringCast(base+"/tcp/"+strconv.Itoa(int(b.tcp))))
	}
	return addrs
}

// runBeacon sends this node's beacon on the links, first often, then rarely, and
// connects to those it hears.
func (l *lan) runBeacon(ctx context.Context, on []link) {
	shared := net.ListenConfig{Control: shareAddress}
	c, err := shared.ListenPacket(ctx, "udp4", ":"+strconv.Itoa(beaconPort))
	if err != nil {
		l.h.log.Debug("nodes on the LAN are not looked for by broadcast", "err", err)
		return
	}
	conn := c.(*net.UDPConn)
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	defer conn.Close()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { l.hearBeacons(ctx, conn, on) })

	for pause := beaconFirst; ; pause = min(2*pause, beaconSlowest) {
		message := l.h.beacon(on).encode()
		for _, x := range on {
			for _, p := range x.nets {
				if to, ok := broadcast(p); ok {
					if _, err := conn.WriteToUDPAddrPort(message, netip.AddrPortFrom(to, beaconPort)); err != nil && ctx.Err() == nil {
						l.h.log.Debug("cannot broadcast on the LAN", "to", to, "err", err)
					}
				}
			}
		}
		select {
		case <-ctx.Done():
			_ = conn.Close()
			return
		case <-time.After(pause):
		}
	}
}

func (l *lan) hearBeacons(ctx context.Context, conn *net.UDPConn, on []link) {
	buf := make([]byte, maxBeacon+1)
	second, heard := time.Now(), 0
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
			return
		}
		if now := time.Now(); now.Sub(second) > time.Second {
			second, heard = now, 0
		}
		if heard++; err != nil || heard > beaconsRead || !onLinks(on, from.Addr().Unmap()) {
			continue
		}
		if b, err := parseBeacon(buf[:n]); err == nil && b.tag == l.h.cfg.Tag {
			l.found(ctx, peer.AddrInfo{ID: b.id, Addrs: b.addrs(from.Addr())})
		}
	}
}

// beacon is this node's own.
func (h *Host) beacon(on []link) beacon {
	b := beacon{tag: h.cfg.Tag, id: h.host.ID()}
	for _, a := range h.lanAddrs(on) {
		if _, err := a.ValueForProtocol(ma.P_IP4); err != nil {
			continue
		}
		_, quic := a.ValueForProtocol(ma.P_QUIC_V1)
		_, ws := a.ValueForProtocol(ma.P_WS)
		if udp, err := a.ValueForProtocol(ma.P_UDP); err == nil && quic == nil {
			b.quic = portNumber(udp)
		}
		if tcp, err := a.ValueForProtocol(ma.P_TCP); err == nil && ws != nil {
			b.tcp = portNumber(tcp)
		}
	}
	return b
}

func portNumber(s string) uint16 {
	n, _ := strconv.ParseUint(s, 10, 16)
	return uint16(n)
}

// broadcast is the broadcast address of a subnet.
func broadcast(p netip.Prefix) (netip.Addr, bool) {
	if !p.Addr().Is4() || p.Bits() > 30 {
		return netip.Addr{}, false
	}
	a := p.Addr().As4()
	v := binary.BigEndian.Uint32(a[:]) | (1<<(32-p.Bits()) - 1)
	binary.BigEndian.PutUint32(a[:], v)
	return netip.AddrFrom4(a), true
}

// onLinks reports whether an address is of one of the LANs.
func onLinks(on []link, a netip.Addr) bool {
	for _, l := range on {
		for _, p := range l.nets {
			if p.Masked().Contains(a) {
				return true
			}
		}
	}
	return false
}
