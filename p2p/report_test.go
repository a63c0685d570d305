package p2p

import (
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
)

// What is left out says why.
func TestJudge(t *testing.T) {
	const lan = net.FlagUp | net.FlagRunning | net.FlagBroadcast | net.FlagMulticast
	addr := []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24")}
	all := []link{
		{net.Interface{Name: "eth0", Flags: lan}, addr},
		{net.Interface{Name: "eth1", Flags: lan}, nil},
		{net.Interface{Name: "eth2"}, addr},
		{net.Interface{Name: "lo", Flags: lan | net.FlagLoopback}, addr},
		{net.Interface{Name: "docker0", Flags: lan}, addr},
	}
	for n, why := range judge(all, nil) {
		if (why == "") != (n == 0) {
			t.Errorf("%s: got %q", all[n].iface.Name, why)
		}
	}
	if why := judge(all, []string{"docker0"}); why[4] != "" || why[0] == "" {
		t.Errorf("docker0 alone was named: got %q for it and %q for eth0", why[4], why[0])
	}
	if got := Interfaces(nil); !slices.ContainsFunc(got, func(i Interface) bool { return i.Left != "" }) {
		t.Errorf("of this machine: got %v, none of them left out", got)
	}
}

func TestReach(t *testing.T) {
	t.Parallel()
	a, b := open(t, "a", Config{}), open(t, "b", Config{Listen: []string{"127.0.0.1:0"}})
	if err := a.Connect(t.Context(), b.Addrs()[0]); err != nil {
		t.Fatal(err)
	}
	r := a.Reach()
	if !r.Loopback || r.Public || r.QUIC+r.Streams != 1 || len(r.Outside)+len(r.Relays) != 0 || r.UDP != UnknownMapping {
		t.Errorf("got %+v, want a node on loopback with one connection", r)
	}
	a.public.learnMapping(event.EvtNATDeviceTypeChanged{
		TransportProtocol: network.NATTransportUDP, NatDeviceType: network.NATDeviceTypeEndpointDependent,
	})
	a.public.learnMapping(event.EvtNATDeviceTypeChanged{
		TransportProtocol: network.NATTransportTCP, NatDeviceType: network.NATDeviceTypeEndpointIndependent,
	})
	if r := a.Reach(); r.UDP != ManyPorts || r.TCP != OnePort {
		t.Errorf("got UDP %q, TCP %q", r.UDP, r.TCP)
	}
}

func TestTryMulticast(t *testing.T) {
	if err := TryMulticast(t.Context(), "nowhere0"); err == nil {
		t.Error("an interface that is not there: got no error")
	}
	if err := TryMulticast(t.Context(), "lo"); err != nil {
		t.Skipf("no multicast on loopback here: %v", err)
	}
}
