package p2ptest

import (
	"flag"
	"fmt"
	"testing"
	"time"
)

var (
	tries = flag.Int("net.tries", 3, "how often nodes on a LAN have to find each other")
	idle  = flag.Duration("net.idle", time.Minute, "how long a node is watched that has nothing to do")
)

// Nodes on a LAN find each other with nothing configured.
func TestLAN(t *testing.T) {
	for n := range *tries {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			l := newLab(t)
			l.lan("lan")
			l.findEachOther(2 * time.Second)
		})
	}
}

// findEachOther runs three nodes on the LAN until each is connected to the rest.
// The settings are of the switch's ports.
func (l *lab) findEachOther(limit time.Duration, setting ...string) []*node {
	l.t.Helper()
	var nodes []*node
	for i := range 3 {
		port := l.machine(fmt.Sprint("m", i), "lan", fmt.Sprintf("10.0.0.%d/24", i+1))
		for _, x := range setting {
			l.ip("switch", "link set "+port+" "+x)
		}
	}
	var began time.Time // the last one was
	for i := range 3 {
		began = time.Now()
		nodes = append(nodes, l.start(fmt.Sprint("m", i), fmt.Sprint("n", i)))
	}
	l.within(began, limit, "all connected", func() bool {
		return nodes[0].knows(nodes[1], nodes[2]) && nodes[1].knows(nodes[0], nodes[2]) && nodes[2].knows(nodes[0], nodes[1])
	})
	return nodes
}

// So do nodes on a LAN whose switch lets no multicast through.
func TestMulticastBlocked(t *testing.T) {
	l := newLab(t)
	l.lan("lan")
	l.findEachOther(10*time.Second, "type bridge_slave mcast_flood off")
}

// A node that listens on loopback alone sends nothing anywhere else.
func TestLoopbackPromise(t *testing.T) {
	l := newLab(t)
	l.lan("lan")
	l.namespace("m0")
	l.set("m0", "net/ipv6/conf/all/disable_ipv6", "1") // the kernel's own packets
	l.set("m0", "net/ipv6/conf/default/disable_ipv6", "1")
	l.plug("m0", "eth0", "lan", "10.0.0.1/24")
	l.machine("m1", "lan", "10.0.0.2/24")
	other := l.start("m1", "other")
	before, _ := l.sent("m0", "eth0")
	quiet := l.start("m0", "quiet", "--listen", "127.0.0.1:0")
	time.Sleep(5 * time.Second) // long enough for mDNS, beacons, NAT-PMP and redials
	if after, _ := l.sent("m0", "eth0"); after != before {
		t.Errorf("%d packets left the machine of a node on loopback", after-before)
	}
	if quiet.knows(other) || other.knows(quiet) {
		t.Error("a node on loopback is connected to one on the LAN")
	}
}

// A link that goes and comes back costs no more than the time it was gone.
func TestFlappingLink(t *testing.T) {
	l := newLab(t)
	l.lan("lan")
	l.machine("m0", "lan", "10.0.0.1/24")
	port := l.machine("m1", "lan", "10.0.0.2/24")
	a, b := l.start("m0", "a"), l.start("m1", "b")
	l.within(time.Now(), 2*time.Second, "connected", func() bool { return a.knows(b) })
	for i, down := range []time.Duration{3 * time.Second, 12 * time.Second} {
		l.ip("switch", "link set "+port+" down")
		a.inc("k")
		time.Sleep(down)
		l.ip("switch", "link set "+port+" up")
		l.within(time.Now(), 10*time.Second, fmt.Sprintf("seen after %v without a link", down), func() bool { return b.counts("k", i+1) })
	}
}

// A laptop that writes offline and appears in another LAN converges there,
// without a restart.
func TestLaptop(t *testing.T) {
	l := newLab(t)
	l.lan("lan1")
	l.lan("lan2")
	l.machine("m1", "lan1", "10.1.0.1/24")
	l.machine("m2", "lan2", "10.2.0.1/24")
	l.namespace("laptop")
	port := l.plug("laptop", "eth0", "lan1", "10.1.0.2/24")
	first, second, laptop := l.start("m1", "first"), l.start("m2", "second"), l.start("laptop", "laptop")
	first.inc("k")
	l.within(time.Now(), 5*time.Second, "seen in the first LAN", func() bool { return laptop.counts("k", 1) })

	l.ip("switch", "link del "+port)
	laptop.inc("k")
	time.Sleep(2 * time.Second) // on the way
	l.plug("laptop", "eth0", "lan2", "10.2.0.2/24")
	l.within(time.Now(), 10*time.Second, "seen in the second LAN", func() bool { return second.counts("k", 2) })
}

// Nodes that have nothing to say use little of a network and of their machine.
func TestIdle(t *testing.T) {
	l := newLab(t)
	l.lan("lan")
	nodes := l.findEachOther(2 * time.Second)
	time.Sleep(10 * time.Second) // to rest
	_, before := l.sent("m0", "eth0")
	busy, most := nodes[0].cpu(), 0
	for end := time.Now().Add(*idle); time.Now().Before(end); time.Sleep(time.Second) {
		most = max(most, nodes[0].rss())
	}
	_, after := l.sent("m0", "eth0")
	rate := float64(after-before) / idle.Seconds()
	load := (nodes[0].cpu() - busy).Seconds() / idle.Seconds()
	t.Logf("an idle node of three over %v: sends %.0f bytes/s; RSS at most %.1f MB; %d peers; %.2f%% of a CPU",
		*idle, rate, float64(most)/1e6, len(nodes[0].peers()), 100*load)
	if rate > 2000 {
		t.Errorf("an idle node sends %.0f bytes/s, want at most 2,000", rate)
	}
	if most > maxIdleRSS {
		t.Errorf("RSS of an idle node: %d bytes, want at most %d", most, maxIdleRSS)
	}
}

const maxIdleRSS = 50_000_000
