package p2ptest

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// Two homes with a router each, and a machine with a public address that both
// can reach. Addresses count as public for libp2p, and are in namespaces alone.
//
//	home1 10.1.0.0/24 ── router1 192.31.196.1 ──┐
//	                                            ├── internet ── 192.31.196.100 public
//	home2 10.2.0.0/24 ── router2 192.31.196.2 ──┘
func newHomes(t *testing.T, masquerade string) (l *lab, began time.Time, a, b *node) {
	l = newLab(t)
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("no nft here to make a NAT router with: install nftables")
	}
	l.lan("internet")
	l.machine("public", "internet", "192.31.196.100/24")
	for i := 1; i <= 2; i++ {
		router, home := fmt.Sprint("router", i), fmt.Sprint("home", i)
		l.lan(home)
		l.namespace(router)
		l.plug(router, "wan0", "internet", fmt.Sprintf("192.31.196.%d/24", i))
		l.plug(router, "lan0", home, fmt.Sprintf("10.%d.0.1/24", i))
		l.set(router, "net/ipv4/ip_forward", "1")
		l.in(router, "nft", strings.ReplaceAll(`
			table ip nat {
				chain post { type nat hook postrouting priority 100; oifname "wan0" MASQUERADE; }
			}
			table ip guard {
				chain in { type filter hook input priority 0; iifname "wan0" ct state new drop; }
				chain pass { type filter hook forward priority 0; iifname "wan0" ct state new drop; }
			}`, "MASQUERADE", masquerade))
		l.machine(fmt.Sprint("m", i), home, fmt.Sprintf("10.%d.0.2/24", i))
		l.ip(fmt.Sprint("m", i), fmt.Sprintf("route add default via 10.%d.0.1", i))
	}
	// It is public without being told: its interface has a public address.
	public := l.start("public", "public", "--listen", "0.0.0.0:4001", "--dataset", "none")
	a = l.start("m1", "a", "--bootstrap", public.at("192.31.196.100/udp"))
	a.inc("k")
	began = time.Now()
	b = l.start("m2", "b", "--bootstrap", public.at("192.31.196.100/udp"))
	return l, began, a, b
}

// Behind common routers two nodes punch a hole.
func TestNAT(t *testing.T) {
	l, began, a, b := newHomes(t, "masquerade")
	l.within(began, 10*time.Second, "a counter seen behind the other NAT, from start", func() bool { return b.counts("k", 1) })
	l.within(began, 20*time.Second, "connected directly, from start", func() bool { return a.path(b) == "direct" })
	a.inc("k")
	l.within(time.Now(), 5*time.Second, "seen directly", func() bool { return b.counts("k", 2) })
}

// Behind routers that give every destination another port they stay relayed,
// and it is enough.
func TestSymmetricNAT(t *testing.T) {
	l, began, a, b := newHomes(t, "masquerade fully-random")
	l.within(began, 10*time.Second, "a counter seen behind the other NAT, from start", func() bool { return b.counts("k", 1) })
	const ops = 50_000
	began = time.Now()
	a.write("many", ops)
	wrote := time.Since(began)
	l.within(began, wrote+30*time.Second, "50,000 ops seen through the relay, from the first write", func() bool { return b.counts("many", ops) })
	if got := a.path(b); got != "relayed" {
		t.Errorf("a reaches b %q, want relayed", got)
	}
}
