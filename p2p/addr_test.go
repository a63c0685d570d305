package p2p

import (
	"fmt"
	"strings"
	"testing"

	ma "github.com/multiformats/go-multiaddr"
)

const somePeer = "12D3KooWQXLLu4bfFb3tKjvJskT1LmhKCWeVzBN6gLQFFW23dGfi"

func TestParseListen(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"127.0.0.1:4001", "/ip4/127.0.0.1/tcp/4001 /ip4/127.0.0.1/udp/4001/quic-v1 /ip4/127.0.0.1/tcp/4001/ws"},
		{"localhost:0", "/ip4/127.0.0.1/tcp/0 /ip4/127.0.0.1/udp/0/quic-v1 /ip4/127.0.0.1/tcp/0/ws"},
		{":65535", "/ip4/0.0.0.0/tcp/65535 /ip4/0.0.0.0/udp/65535/quic-v1 /ip4/0.0.0.0/tcp/65535/ws"},
		{"[::1]:1", "/ip6/::1/tcp/1 /ip6/::1/udp/1/quic-v1 /ip6/::1/tcp/1/ws"},
		{"[::]:1", "/ip6/::/tcp/1 /ip6/::/udp/1/quic-v1 /ip6/::/tcp/1/ws"},
		{"[::ffff:10.0.0.1]:1", "/ip4/10.0.0.1/tcp/1 /ip4/10.0.0.1/udp/1/quic-v1 /ip4/10.0.0.1/tcp/1/ws"},
		{"/ip4/127.0.0.1/tcp/1", "/ip4/127.0.0.1/tcp/1"},
		{"/ip6/::1/udp/1/quic-v1", "/ip6/::1/udp/1/quic-v1"},
	} {
		got, err := ParseListen(c.in)
		if s := strings.Trim(fmt.Sprint(got), "[]"); err != nil || s != c.want {
			t.Errorf("ParseListen(%q) = %s, %v, want %s", c.in, s, err, c.want)
		}
	}
	for _, in := range []string{
		"", "4001", "127.0.0.1", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:65536", "127.0.0.1:-1",
		"example.org:1", "::1:1", "/", "/ip4/127.0.0.1", "/ip4/127.0.0.1/udp/1", "/ip4/1.2.3/tcp/1", "/unix/x",
	} {
		if got, err := ParseListen(in); err == nil {
			t.Errorf("ParseListen(%q) = %v, want an error", in, got)
		} else if !strings.Contains(err.Error(), fmt.Sprintf("%q", in)) {
			t.Errorf("ParseListen(%q): error %q does not name its input", in, err)
		}
	}
}

func TestParsePeer(t *testing.T) {
	for _, in := range []string{
		"/ip4/192.168.1.7/tcp/4001/p2p/" + somePeer,
		"/ip6/::1/udp/4001/quic-v1/p2p/" + somePeer,
		"/dns4/example.org/tcp/4001/p2p/" + somePeer,
	} {
		got, err := ParsePeer(in)
		if err != nil || len(got.Addrs) != 1 || got.Addrs[0].String()+"/p2p/"+got.ID.String() != in {
			t.Errorf("ParsePeer(%q) = %v, %v", in, got, err)
		}
	}
	for _, in := range []string{
		"", "/", "192.168.1.7:4001", somePeer, "/p2p/" + somePeer,
		"/ip4/192.168.1.7/tcp/4001", "/ip4/192.168.1.7/tcp/4001/p2p/12D3", "/ip4/192.168.1.7/tcp/x/p2p/" + somePeer,
	} {
		if got, err := ParsePeer(in); err == nil {
			t.Errorf("ParsePeer(%q) = %v, want an error", in, got)
		} else if !strings.Contains(err.Error(), "want e.g.") {
			t.Errorf("ParsePeer(%q): error %q gives no example", in, err)
		}
	}
}

func TestAllLoopback(t *testing.T) {
	for _, c := range []struct {
		in   string
		want bool
	}{
		{"", false},
		{"/ip4/127.0.0.1/tcp/0 /ip6/::1/udp/0/quic-v1", true},
		{"/ip4/127.0.0.1/tcp/0 /ip4/0.0.0.0/tcp/0", false},
		{"/ip4/10.0.0.1/tcp/0", false},
	} {
		if got := allLoopback(multiaddrs(strings.Fields(c.in))); got != c.want {
			t.Errorf("allLoopback(%s) = %v, want %v", c.in, got, c.want)
		}
	}
}

func FuzzParseAddr(f *testing.F) {
	for _, s := range []string{
		"127.0.0.1:1", "[::1]:1", "localhost:1", ":0", "/ip4/127.0.0.1/tcp/0", "/ip4/1.1.1.1/udp/1/quic-v1/p2p/" + somePeer,
		"/ip6zone/lo/ip6/::1/tcp/1", "/dns/x/tcp/1/ws/p2p/" + somePeer + "/p2p-circuit/p2p/" + somePeer,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if addrs, err := ParseListen(s); err == nil {
			if len(addrs) == 0 {
				t.Errorf("ParseListen(%q): neither an address nor an error", s)
			}
			for _, a := range addrs {
				again, err := ParseListen(a.String())
				if err != nil || len(again) != 1 || !again[0].Equal(a) {
					t.Errorf("ParseListen(%q) gives %s, which parses to %v, %v", s, a, again, err)
				}
				if !sameListener(a, a) {
					t.Errorf("sameListener(%s) is not reflexive", a)
				}
			}
		}
		if p, err := ParsePeer(s); err == nil {
			again, err := ParsePeer(p.Addrs[0].Encapsulate(ma.StringCast("/p2p/" + p.ID.String())).String())
			if err != nil || again.ID != p.ID || !again.Addrs[0].Equal(p.Addrs[0]) {
				t.Errorf("ParsePeer(%q) = %v, which parses to %v, %v", s, p, again, err)
			}
		}
	})
}
