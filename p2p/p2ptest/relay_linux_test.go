package p2ptest

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// twoLANs are two nodes on private LANs that know nothing but the address of a
// machine on both, which forwards no packet. It has no part in their dataset:
// what arrives went through its relay.
type twoLANs struct {
	*lab
	hub, a, b *node
}

func newTwoLANs(t *testing.T) *twoLANs {
	l := &twoLANs{lab: newLab(t)}
	l.lan("lan1")
	l.lan("lan2")
	l.namespace("hub")
	l.plug("hub", "eth0", "lan1", "10.1.0.1/24")
	l.plug("hub", "eth1", "lan2", "10.2.0.1/24")
	l.machine("m1", "lan1", "10.1.0.2/24")
	l.machine("m2", "lan2", "10.2.0.2/24")
	l.set("hub", "net/ipv4/ip_forward", "0")
	l.startHub()
	l.a = l.start("m1", "a", "--bootstrap", l.hub.at("10.1.0.1/udp"), "--bootstrap", l.hub.at("10.1.0.1/tcp"))
	return l
}

func (l *twoLANs) startHub() {
	l.hub = l.start("hub", "hub", "--reachability", "public", "--listen", "0.0.0.0:4001", "--no-mdns", "--dataset", "none")
}

func (l *twoLANs) startB() (began time.Time) {
	began = time.Now()
	l.b = l.start("m2", "b", "--bootstrap", l.hub.at("10.2.0.1/udp"), "--bootstrap", l.hub.at("10.2.0.1/tcp"))
	return began
}

// What is written behind one router is seen behind the other, however much it
// is, and again when the relay was gone.
func TestRelay(t *testing.T) {
	l := newTwoLANs(t)
	l.a.inc("k")
	began := l.startB()
	l.within(began, 10*time.Second, "a counter seen through the relay, from start", func() bool { return l.b.counts("k", 1) })
	if got := l.a.reaches(l.b); got != "relayed" {
		t.Errorf("a reaches b %q, want relayed", got)
	}

	const ops = 50_000
	began = time.Now()
	l.a.write("many", ops)
	wrote := time.Since(began)
	l.within(began, wrote+30*time.Second, "50,000 ops seen through the relay, from the first write", func() bool { return l.b.counts("many", ops) })

	l.hub.kill()
	l.a.inc("k")
	time.Sleep(5 * time.Second)
	began = time.Now()
	l.startHub()
	l.within(began, 15*time.Second, "seen after the relay's return", func() bool { return l.b.counts("k", 2) })
}

// A node that comes to 50,000 ops gets them in one go through the relay.
func TestRelayCatchUp(t *testing.T) {
	l := newTwoLANs(t)
	const ops = 50_000
	l.a.write("many", ops)
	began := l.startB()
	l.within(began, 30*time.Second, "50,000 ops caught up with through the relay, from start", func() bool { return l.b.counts("many", ops) })
}

// When a relay dies, the nodes that met there go on over another one.
func TestAnotherRelay(t *testing.T) {
	l := newLab(t)
	l.lan("lan1")
	l.lan("lan2")
	var hubs []*node
	for i := range 2 {
		hub := fmt.Sprint("hub", i)
		l.namespace(hub)
		l.plug(hub, "eth0", "lan1", fmt.Sprintf("10.1.0.%d/24", i+1))
		l.plug(hub, "eth1", "lan2", fmt.Sprintf("10.2.0.%d/24", i+1))
		l.set(hub, "net/ipv4/ip_forward", "0")
		hubs = append(hubs, l.start(hub, hub, "--reachability", "public", "--listen", "0.0.0.0:4001", "--no-mdns", "--dataset", "none"))
	}
	member := func(n int) *node {
		machine := fmt.Sprint("m", n)
		l.machine(machine, fmt.Sprint("lan", n), fmt.Sprintf("10.%d.0.9/24", n))
		return l.start(machine, machine, "--bootstrap", hubs[0].at(fmt.Sprintf("10.%d.0.1/tcp", n)), "--bootstrap", hubs[1].at(fmt.Sprintf("10.%d.0.2/tcp", n)))
	}
	a, b := member(1), member(2)
	a.inc("k")
	l.within(time.Now(), 10*time.Second, "a counter seen through a relay", func() bool { return b.counts("k", 1) })
	used := hubs[0]
	for _, p := range a.peers() {
		if p.ID == b.id && strings.Contains(p.Addr, hubs[1].id) {
			used = hubs[1]
		}
	}
	used.kill()
	a.inc("k")
	l.within(time.Now(), 15*time.Second, "seen through the other relay", func() bool { return b.counts("k", 2) })
}
