package p2p

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch"
	ma "github.com/multiformats/go-multiaddr"
)

// A blocked peer is cut off and kept out, whoever dials, and comes back when it
// is unblocked.
func TestBlock(t *testing.T) {
	t.Parallel()
	b := open(t, "b", Config{})
	a := open(t, "a", Config{Bootstrap: b.Addrs()})
	run(t, a)
	eventually(t, "connected", func() bool { return connected(a, b) && connected(b, a) })
	if err := a.Block(b.ID()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "b is gone", func() bool { return !connected(a, b) && !connected(b, a) })
	if err := a.Connect(t.Context(), b.Addrs()[0]); err == nil || !strings.Contains(err.Error(), "it is blocked") {
		t.Errorf("Connect to a blocked peer: got %v", err)
	}
	_ = b.Connect(t.Context(), a.Addrs()[0])
	eventually(t, "b is kept out", func() bool { return !connected(a, b) && !connected(b, a) })
	if got := a.Blocked(); len(got) != 1 || got[0] != b.ID() {
		t.Errorf("Blocked = %v, want b", got)
	}
	if err := a.Unblock(b.ID()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "b is back", func() bool { return connected(a, b) })

	kept := open(t, "kept", Config{Blocked: []string{b.ID()}})
	if err := kept.Connect(t.Context(), b.Addrs()[0]); err == nil {
		t.Error("Config.Blocked is not kept out")
	}
	for _, id := range []string{"", "nobody", a.ID()} {
		if err := a.Block(id); err == nil {
			t.Errorf("Block(%q): got no error", id)
		}
	}
	list, err := parseBlocked(nil)
	if err != nil {
		t.Fatal(err)
	}
	for n := range maxBlocked {
		list.ids[peer.ID(fmt.Sprint(n))] = true
	}
	if err := list.add(peerOf(t, b)); err == nil {
		t.Errorf("got more than %d blocked peers", maxBlocked)
	}
	if _, err := parseBlocked([]string{"nobody"}); err == nil {
		t.Error("a blocked peer without an id: got no error")
	}
}

func TestDisconnectAndPing(t *testing.T) {
	t.Parallel()
	a, b := open(t, "a", Config{}), open(t, "b", Config{})
	run(t, a)
	connect(t, a, b)
	if rtt, err := a.Ping(t.Context(), b.ID()); err != nil || rtt <= 0 || rtt > deadline {
		t.Errorf("Ping = %v, %v", rtt, err)
	}
	if err := a.Disconnect(b.ID()); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{b.ID(), somePeer, "nobody"} {
		if _, err := a.Ping(t.Context(), id); err == nil {
			t.Errorf("Ping(%q), not connected: got no error", id)
		}
		if err := a.Disconnect(id); err == nil {
			t.Errorf("Disconnect(%q), not connected: got no error", id)
		}
	}
	a.known.mu.Lock()
	defer a.known.mu.Unlock()
	if p := a.known.peers[peerOf(t, b)]; p == nil || time.Until(p.next) < restEvery/2 {
		t.Errorf("b is dialled again too soon: %+v, want in about %v", p, restEvery)
	}
}

// Where to begin can change while the node runs.
func TestSetBootstrap(t *testing.T) {
	t.Parallel()
	a, b := open(t, "a", Config{}), open(t, "b", Config{})
	run(t, a)
	if err := a.SetBootstrap(b.Addrs()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "connected", func() bool { return connected(a, b) })
	if err := a.SetBootstrap([]string{"nonsense!"}); err == nil || !a.bootstrap.names(peerOf(t, b)) {
		t.Errorf("a wrong value: got %v, and what was said is kept: %t", err, a.bootstrap.names(peerOf(t, b)))
	}
	if err := a.SetBootstrap(nil); err != nil || a.bootstrap.names(peerOf(t, b)) {
		t.Errorf("none: got %v, and the old one is kept: %t", err, a.bootstrap.names(peerOf(t, b)))
	}
}

func TestWay(t *testing.T) {
	t.Parallel()
	a, b := open(t, "a", Config{}), open(t, "b", Config{})
	connect(t, a, b)
	if got := a.Connected(); len(got) != 1 || got[0].Way != LAN {
		t.Errorf("on this machine: got %v, want %s", got, LAN)
	}
	id, own := peerOf(t, b), []netip.Prefix{netip.MustParsePrefix("192.168.7.2/24")}
	check := func(addr string, want Way) {
		t.Helper()
		if got := a.way(id, ma.StringCast(addr), own); got != want {
			t.Errorf("%s: got %s, want %s", addr, got, want)
		}
	}
	check("/ip4/192.168.7.9/tcp/1", LAN)
	check("/ip4/192.168.8.9/tcp/1", Direct)
	check("/ip4/192.168.7.9/tcp/1/p2p/"+somePeer+"/p2p-circuit", Relayed)
	punches{a.host.ConnManager()}.Trace(&holepunch.Event{Remote: id, Evt: &holepunch.EndHolePunchEvt{}})
	check("/ip4/203.0.113.1/udp/1/quic-v1", Direct)
	punches{a.host.ConnManager()}.Trace(&holepunch.Event{Remote: id, Evt: &holepunch.EndHolePunchEvt{Success: true}})
	check("/ip4/203.0.113.1/udp/1/quic-v1", Punched)
}
