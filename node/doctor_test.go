package node

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/numax-mesh/numax/node/api"
	"github.com/numax-mesh/numax/p2p"
)

// What each sign means.
func TestFindings(t *testing.T) {
	wifi := []p2p.Interface{{Name: "wlan0", Addrs: []string{"192.168.1.7/24"}}}
	far := []p2p.Peer{{Way: p2p.Direct, Member: true}}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what string
		got  api.Finding
		want api.Level
	}{
		{"no peers", checkPeers(nil), api.Warn},
		{"strangers alone", checkPeers([]p2p.Peer{{Way: p2p.LAN}}), api.Warn},
		{"a peer", checkPeers(far), api.OK},
		{"QUIC", checkUDP(p2p.Reach{QUIC: 1, Streams: 3}), api.OK},
		{"TCP alone", checkUDP(p2p.Reach{Streams: 3}), api.Warn},
		{"confirmed", checkNAT(p2p.Reach{Open: []string{"/ip4/1.2.3.4/tcp/1"}, UDP: p2p.ManyPorts}), api.OK},
		{"cone", checkNAT(p2p.Reach{UDP: p2p.OnePort}), api.OK},
		{"symmetric", checkNAT(p2p.Reach{UDP: p2p.ManyPorts}), api.Warn},
		{"shut", checkNAT(p2p.Reach{Shut: []string{"/ip4/1.2.3.4/tcp/1"}}), api.Warn},
		{"nothing known", checkNAT(p2p.Reach{}), api.OK},
		{"a public WAN address", checkCGNAT([]string{"/ip4/203.0.113.7/tcp/1"}, wifi), api.OK},
		{"a carrier's WAN address", checkCGNAT([]string{"/ip4/100.70.0.1/udp/1/quic-v1"}, wifi), api.Warn},
		{"a private WAN address", checkCGNAT([]string{"/ip4/10.0.0.1/tcp/1"}, wifi), api.Warn},
		{"a carrier's interface", checkCGNAT(nil, []p2p.Interface{{Name: "wwan0", Addrs: []string{"100.64.3.4/30"}}}), api.Warn},
		{"one of a tunnel", checkCGNAT(nil, []p2p.Interface{{Name: "tailscale0", Addrs: []string{"100.64.3.4/32"}, Left: "a tunnel"}}), api.OK},
		{"a relay", checkRelay(p2p.Reach{Relays: []string{"r"}}, far), api.OK},
		{"no relay", checkRelay(p2p.Reach{}, far), api.Warn},
		{"no relay on a LAN", checkRelay(p2p.Reach{}, []p2p.Peer{{Way: p2p.LAN}}), api.OK},
		{"a clock of 1970", checkClock(time.Unix(60, 0)), api.Bad},
		{"no disk", checkFsync(file), api.Bad},
	} {
		if c.got.Level != c.want || c.got.Finding == "" || c.want != api.OK && c.got.Advice == "" {
			t.Errorf("%s: got %+v, want %s", c.what, c.got, c.want)
		}
	}
	skewed := checkSkew(api.Dataset{Name: "d", Clocks: map[string]float64{"a": 3600, "b": -90}})
	if len(skewed) != 2 || skewed[0].Finding != "1h0m0s ahead of this node's, in dataset d" {
		t.Errorf("got %+v", skewed)
	}
}
