package p2p

import (
	"bytes"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// Nodes are looked for on LANs; on what is none only if asked or if there is
// nothing else.
func TestChooseLinks(t *testing.T) {
	const lan = net.FlagUp | net.FlagRunning | net.FlagBroadcast | net.FlagMulticast
	up := func(names ...string) []link {
		var all []link
		for _, n := range names {
			flags := lan
			switch n {
			case "lo":
				flags = net.FlagUp | net.FlagRunning | net.FlagLoopback
			case "ptp0":
				flags |= net.FlagPointToPoint
			}
			all = append(all, link{net.Interface{Name: n, Flags: flags}, []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24")}})
		}
		return all
	}
	for _, c := range []struct{ up, named, want string }{
		{"lo eth0 wlan0", "", "eth0 wlan0"},
		{"lo eth0 docker0 br-1a2b veth9 virbr0 tun0 wg0 ptp0", "", "eth0"},
		{"lo docker0 wg0", "", "docker0 wg0"},
		{"lo bridge0 br0", "", "bridge0 br0"},
		{"lo eth0 wg0", "wg0", "wg0"},
		{"lo eth0", "wlan0", ""},
		{"lo", "", ""},
	} {
		got := strings.Join(names(chooseLinks(up(strings.Fields(c.up)...), strings.Fields(c.named))), " ")
		if got != c.want {
			t.Errorf("of %s, named %q: got %q, want %q", c.up, c.named, got, c.want)
		}
	}
}

func TestBroadcast(t *testing.T) {
	for subnet, want := range map[string]string{
		"10.0.0.1/24": "10.0.0.255", "192.168.7.9/20": "192.168.15.255", "10.0.0.1/30": "10.0.0.3",
		"10.0.0.1/31": "", "10.0.0.1/32": "", "fe80::1/64": "",
	} {
		got, ok := broadcast(netip.MustParsePrefix(subnet))
		if ok != (want != "") || ok && got.String() != want {
			t.Errorf("broadcast(%s) = %v, %t, want %q", subnet, got, ok, want)
		}
	}
}

// A beacon says where to dial, at the address it came from.
func TestBeacon(t *testing.T) {
	want := beacon{tag: "abc123", id: peerOf(t, open(t, "a", Config{})), tcp: 4001, quic: 4002}
	got, err := parseBeacon(want.encode())
	if err != nil || got != want {
		t.Fatalf("got %+v, %v, want %+v", got, err, want)
	}
	var addrs []string
	for _, a := range got.addrs(netip.MustParseAddr("::ffff:10.0.0.7")) {
		addrs = append(addrs, a.String())
	}
	if !slices.Equal(addrs, []string{"/ip4/10.0.0.7/udp/4002/quic-v1", "/ip4/10.0.0.7/tcp/4001"}) {
		t.Errorf("addresses %v", addrs)
	}
	if n := len(want.encode()); n > maxBeacon {
		t.Errorf("a beacon has %d bytes, want at most %d", n, maxBeacon)
	}
}

func FuzzBeacon(f *testing.F) {
	f.Add([]byte(beaconMagic))
	f.Add([]byte(beaconMagic + "\x01a\x02\x00\x00\x0f\xa1\x0f\xa1"))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := parseBeacon(data)
		if err == nil && !bytes.Equal(b.encode(), data) {
			t.Errorf("%x reads as %+v, which is written %x", data, b, b.encode())
		}
	})
}

func FuzzMDNS(f *testing.F) {
	f.Add("dnsaddr=/ip4/1.2.3.4/tcp/1/p2p/12D3KooWHCnKKiTt3h3hLWRKrhiZWTNpsYs19hLqoh2t3TbWAsr9")
	f.Add("dnsaddr=/p2p-circuit\nx")
	f.Fuzz(func(t *testing.T, text string) {
		for _, info := range parseMDNS(strings.Split(text, "\n")) {
			if info.ID == "" || slices.ContainsFunc(info.Addrs, relayed) {
				t.Errorf("found %v", info)
			}
		}
	})
}

// TCP, WebSocket and QUIC get one port number where it is free.
func TestOnePort(t *testing.T) {
	h := open(t, "a", Config{Listen: []string{"127.0.0.1:0"}})
	ports := make(map[string]bool)
	for _, a := range h.Addrs() {
		ports[strings.Split(a, "/")[4]] = true
	}
	if len(ports) != 1 || len(h.Addrs()) != 3 {
		t.Errorf("Addrs() = %v, want three with one port", h.Addrs())
	}
}
