package p2ptest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"

	"github.com/numax-mesh/numax/node/api"
)

// What the members of a closed network write, and the name of where they do.
const (
	secretDataset = "harbour-plans-of-1931"
	secretKey     = "berth-of-the-marigold"
	secretValue   = "north-quay-behind-the-crane"
)

var secrets = []string{secretDataset, secretKey, secretValue}

// Whoever is on the LAN of a closed network and no member of it, listens to all
// that passes, calls its own network the same, and tries every protocol at the
// addresses of members, learns nothing of what they write and where, and they
// take nothing from it.
func TestStrangerOnTheLAN(t *testing.T) {
	l := newLab(t)
	l.lan("lan")
	for i, name := range []string{"a", "b", "open", "closed", "probe"} {
		l.machine(name, "lan", fmt.Sprintf("10.0.0.%d/24", i+1))
	}
	heard := l.listen()

	l.do("a", "a", "network", "create", "lab", "--name", "alpha")
	a := l.start("a", "a", "--dataset", secretDataset)
	invite, err := a.api.Invite(t.Context(), api.Invite{Role: "writer", Uses: 1})
	if err != nil {
		t.Fatal(err)
	}
	l.do("b", "b", "join", invite.Token, "--name", "beta")
	b := l.start("b", "b", "--dataset", secretDataset)
	a.set(secretKey, secretValue)
	l.within(time.Now(), 10*time.Second, "the members agree", func() bool { return b.holds(secretKey, secretValue) })

	l.do("closed", "closed", "network", "create", "lab", "--name", "delta")
	strangers := []*node{
		l.start("open", "open", "--dataset", secretDataset, "--bootstrap", a.at("/tcp"), "--bootstrap", b.at("/udp")),
		l.start("closed", "closed", "--dataset", secretDataset, "--bootstrap", a.at("/tcp"), "--bootstrap", b.at("/udp")),
	}
	for _, s := range strangers {
		s.set(secretKey, "mine")
		l.within(time.Now(), 10*time.Second, "a stranger is connected", func() bool { return s.knows(a) })
	}
	for _, to := range []*node{a, b} {
		probe := l.probe("probe", to.at("/tcp"))
		t.Logf("protocols that answered: %s", strings.Join(probe.Answered, ", "))
		for _, p := range probe.Answered {
			if !slices.Contains(forAnyone, p) {
				t.Errorf("%s answers a stranger", p)
			}
		}
		for _, said := range probe.Said {
			t.Errorf("a stranger was told %q", said)
		}
		if !probe.Pinged {
			t.Error("a stranger got no answer to a ping")
		}
	}

	// More is written while the strangers are there, and takes the usual way.
	more := secretValue + " and again"
	b.set(secretKey, more)
	l.within(time.Now(), 5*time.Second, "the members agree again", func() bool { return a.holds(secretKey, more) })
	for _, s := range strangers {
		if !s.holds(secretKey, "mine") {
			t.Error("a stranger holds something else than its own")
		}
		for _, p := range s.peers() {
			if p.Sync || p.ID == strangers[0].id || p.ID == strangers[1].id {
				t.Errorf("a stranger has a peer %+v", p)
			}
		}
		for _, m := range []*node{a, b} {
			for _, p := range m.peers() {
				if p.ID == s.id && (p.Member || p.Sync) {
					t.Errorf("a member takes a stranger for %+v", p)
				}
			}
		}
	}

	packets := string(heard.stop())
	t.Logf("captured %d bytes", len(packets))
	if !strings.Contains(packets, a.id) {
		t.Errorf("the peer id of a member, which mDNS tells, is not among the %d captured bytes: does the capture work?", len(packets))
	}
	for _, s := range append(secrets, "alpha", "beta") {
		if strings.Contains(packets, s) {
			t.Errorf("%q was sent in the clear", s)
		}
	}
}

func (n *node) set(key, value string) {
	n.t.Helper()
	_, err := n.api.Change(context.Background(), api.Change{Dataset: secretDataset, Family: "lww-register", Key: key, Verb: "set", Args: []string{value}})
	if err != nil {
		n.t.Error(err)
	}
}

func (n *node) holds(key, want string) bool {
	v, err := n.api.Get(context.Background(), secretDataset, "lww-register", key)
	return err == nil && v.String() == key+" = "+want
}

// forAnyone are the protocols that answer everybody: those of libp2p itself, and
// the one by which one becomes a member.
var forAnyone = []string{
	"/ipfs/ping/1.0.0", "/ipfs/id/1.0.0", "/libp2p/autonat/2/dial-request", "/libp2p/circuit/relay/0.2.0/stop", "/numax/member/1",
}

// probe is what a plain libp2p host got out of a node.
type probe struct {
	Answered []string // protocols that sent a byte
	Said     []string // what was said unasked, and every answer with a secret in it
	Pinged   bool
}

// probeEnv has the address of the node; set, this program is a probe.
const probeEnv = "NUMAX_PROBE"

// probe runs this program on a machine, as the host that probes a node.
func (l *lab) probe(machine, addr string) (p probe) {
	l.t.Helper()
	cmd := exec.Command("ip", "netns", "exec", l.prefix+machine, os.Args[0])
	cmd.Env = append(os.Environ(), probeEnv+"="+addr)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, &p)
	}
	if err != nil {
		l.t.Fatalf("probe: %v: %s", err, out)
	}
	return p
}

// probeTime is how long a node has to answer, and to say something of itself.
const probeTime = 2 * time.Second

func runProbe(addr string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	to, err := peer.AddrInfoFromString(addr)
	if err != nil {
		return err
	}
	h, err := libp2p.New(libp2p.NoListenAddrs)
	if err != nil {
		return err
	}
	defer h.Close()
	var got probe
	var mu sync.Mutex // guards got
	told := func(s network.Stream) {
		b, _ := readSome(s)
		mu.Lock()
		defer mu.Unlock()
		got.Said = append(got.Said, fmt.Sprintf("%s: %q", s.Protocol(), b))
	}
	// What gossip and sync would tell those who say they speak them. What libp2p
	// itself is made of asks everybody.
	for _, p := range []protocol.ID{
		"/meshsub/1.2.0", "/meshsub/1.1.0", "/meshsub/1.0.0", "/floodsub/1.0.0", "/numax/sync/1", "/numax/blob/1", "/numax/rpc/1",
	} {
		h.SetStreamHandler(p, told)
	}
	if err := h.Connect(ctx, *to); err != nil {
		return err
	}
	got.Pinged = (<-ping.Ping(ctx, h, to.ID)).Error == nil
	protocols, err := h.Peerstore().GetProtocols(to.ID)
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	for _, p := range protocols {
		wg.Go(func() {
			s, err := h.NewStream(ctx, to.ID, p)
			if err != nil {
				return
			}
			// A valid GossipSub message: we subscribe to "x".
			_, _ = s.Write([]byte("\x07\x0a\x05\x08\x01\x12\x01x"))
			b, _ := readSome(s)
			mu.Lock()
			defer mu.Unlock()
			if len(b) > 0 {
				got.Answered = append(got.Answered, string(p))
			}
			for _, secret := range append(secrets, "alpha", "beta") {
				if strings.Contains(string(b), secret) {
					got.Said = append(got.Said, fmt.Sprintf("%s: %q", p, b))
				}
			}
		})
	}
	wg.Wait()
	time.Sleep(probeTime)
	mu.Lock()
	defer mu.Unlock()
	slices.Sort(got.Answered)
	return json.NewEncoder(os.Stdout).Encode(got)
}

// readSome reads what comes in probeTime.
func readSome(s network.Stream) ([]byte, error) {
	defer s.Reset()
	_ = s.SetReadDeadline(time.Now().Add(probeTime))
	return io.ReadAll(io.LimitReader(s, 64<<10))
}
