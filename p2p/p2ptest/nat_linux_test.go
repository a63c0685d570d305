package p2ptest

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/numax-mesh/numax/node/api"
)

// What routers do, in the language of nft.
const (
	onePort = `table ip nat {
		chain post { type nat hook postrouting priority 100; oifname "wan0" masquerade; }
	}`
	manyPorts = `table ip nat {
		chain post { type nat hook postrouting priority 100; oifname "wan0" masquerade fully-random; }
	}`
	guard = `table ip guard {
		chain in { type filter hook input priority 0; iifname "wan0" ct state new drop; }
		chain pass { type filter hook forward priority 0; iifname "wan0" ct state new drop; }
	}`
	dropUDP = `table ip noudp {
		chain pass { type filter hook forward priority 0; meta l4proto udp drop; }
	}`
	lose10 = `table ip lossy {
		chain pass { type filter hook forward priority -10; numgen random mod 100 < 10 drop; }
	}`
)

// newHomes are two homes with a router each, and a machine with a public address
// that both can reach. Addresses count as public for libp2p, and are in
// namespaces alone.
//
//	home1 10.1.0.0/24 ── router1 192.31.196.1 ──┐
//	                                            ├── internet ── 192.31.196.100 public
//	home2 10.2.0.0/24 ── router2 192.31.196.2 ──┘
func newHomes(t *testing.T, rules ...string) (l *lab, began time.Time, a, b *node) {
	t.Helper()
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
		l.in(router, "nft", strings.Join(rules, "\n"))
		l.machine(fmt.Sprint("m", i), home, fmt.Sprintf("10.%d.0.2/24", i))
		l.ip(fmt.Sprint("m", i), fmt.Sprintf("route add default via 10.%d.0.1", i))
	}
	// It is public without being told: its interface has a public address.
	public := l.start("public", "public", "--listen", "0.0.0.0:4001", "--dataset", "none")
	begin := []string{"--bootstrap", public.at("192.31.196.100/udp"), "--bootstrap", public.at("192.31.196.100/tcp")}
	a = l.start("m1", "a", begin...)
	a.inc("k")
	began = time.Now()
	b = l.start("m2", "b", begin...)
	return l, began, a, b
}

// Behind common routers two nodes punch a hole.
func TestNAT(t *testing.T) {
	l, began, a, b := newHomes(t, onePort, guard)
	l.within(began, 10*time.Second, "a counter seen behind the other NAT, from start", func() bool { return b.counts("k", 1) })
	l.within(began, 20*time.Second, "connected directly, from start", func() bool { return a.reaches(b) == "punched" })
	a.inc("k")
	l.within(time.Now(), 5*time.Second, "seen directly", func() bool { return b.counts("k", 2) })
}

// A router that answers what comes to it unasked, where others drop it, keeps
// the port busy that a hole needs. Lines here have no delay, so that one side
// always comes first and no hole is punched; the relay does.
func TestUnguardedNAT(t *testing.T) {
	l, began, a, b := newHomes(t, onePort)
	l.within(began, 10*time.Second, "a counter seen behind the other NAT, from start", func() bool { return b.counts("k", 1) })
	a.inc("k")
	l.within(time.Now(), 5*time.Second, "seen again", func() bool { return b.counts("k", 2) })
	t.Logf("a reaches b %q", a.reaches(b))
}

// How often a hole is punched is counted, and it is the rule.
func TestHolePunching(t *testing.T) {
	punched, tried := 0, 0
	for n := range *tries {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			_, began, a, b := newHomes(t, onePort, guard)
			tried++
			for a.reaches(b) != "punched" && time.Since(began) < 20*time.Second {
				time.Sleep(20 * time.Millisecond)
			}
			if way := a.reaches(b); way == "punched" {
				punched++
				t.Logf("after %v", time.Since(began).Round(time.Millisecond))
			} else {
				t.Logf("a reaches b %q after %v", way, time.Since(began))
			}
		})
	}
	t.Logf("a hole was punched in %d of %d tries", punched, tried)
	if punched < tried*8/10 {
		t.Errorf("a hole was punched in %d of %d tries, want 8 of 10", punched, tried)
	}
}

// Behind routers that give every destination another port they stay relayed,
// and it is enough.
func TestSymmetricNAT(t *testing.T) {
	l, began, a, b := newHomes(t, manyPorts, guard)
	l.within(began, 10*time.Second, "a counter seen behind the other NAT, from start", func() bool { return b.counts("k", 1) })
	const ops = 50_000
	began = time.Now()
	a.write("many", ops)
	wrote := time.Since(began)
	l.within(began, wrote+30*time.Second, "50,000 ops seen through the relay, from the first write", func() bool { return b.counts("many", ops) })
	if got := a.reaches(b); got != "relayed" {
		t.Errorf("a reaches b %q, want relayed", got)
	}
}

// Where routers drop UDP nodes meet over TCP, and the doctor says so.
func TestUDPDropped(t *testing.T) {
	l, began, a, b := newHomes(t, onePort, guard, dropUDP)
	l.within(began, 10*time.Second, "a counter seen over TCP, from start", func() bool { return b.counts("k", 1) })
	found, err := a.api.Doctor(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(found, func(f api.Finding) bool { return f.Check == "udp" && f.Level == api.Warn }) {
		t.Errorf("the doctor found %+v, want a warning of UDP", found)
	}
}

// On a line that loses one packet in ten everything arrives.
func TestLoss(t *testing.T) {
	l, began, a, b := newHomes(t, onePort, guard, lose10)
	l.within(began, 15*time.Second, "a counter seen, from start", func() bool { return b.counts("k", 1) })
	const ops = 5_000
	began = time.Now()
	a.write("many", ops)
	wrote := time.Since(began)
	l.within(began, wrote+30*time.Second, "5,000 ops seen, from the first write", func() bool { return b.counts("many", ops) })
}

// On a narrow line a node that comes back gets a day's writes, and what is
// written meanwhile does not wait for the end of it.
func TestNarrowLine(t *testing.T) {
	l, _, a, b := newHomes(t, onePort, guard)
	if _, err := exec.LookPath("tc"); err != nil {
		t.Skip("no tc here to make a line narrow with: install iproute2")
	}
	for _, router := range []string{"router1", "router2"} {
		l.in(router, "tc", "qdisc", "add", "dev", "wan0", "root", "tbf", "rate", "1mbit", "burst", "16kb", "latency", "200ms")
	}
	l.within(time.Now(), 15*time.Second, "a counter seen", func() bool { return b.counts("k", 1) })
	const ops = 10_000
	began := time.Now()
	a.write("many", ops)
	wrote := time.Since(began)
	b.inc("k")
	l.within(time.Now(), 10*time.Second, "the other side's write seen meanwhile", func() bool { return a.counts("k", 2) })
	l.within(began, wrote+60*time.Second, "10,000 ops seen over 1 Mbit/s, from the first write", func() bool { return b.counts("many", ops) })
}
