package p2p

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	ds "github.com/ipfs/go-datastore"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"
)

// saved reads a book.
func saved(t *testing.T, b Book) map[string]*knownPeer {
	t.Helper()
	data, err := b.Get(t.Context(), knownKey)
	if err != nil {
		return nil
	}
	peers := make(map[string]*knownPeer)
	if err := json.Unmarshal(data, &peers); err != nil {
		t.Fatal(err)
	}
	return peers
}

// Peers once met are dialled at the next start, with nobody else telling.
func TestKnownPeersAcrossRestart(t *testing.T) {
	t.Parallel()
	book := memoryBook()
	b := open(t, "b", Config{})
	first := open(t, "a", Config{Known: book})
	stop := run(t, first)
	connect(t, first, b)
	eventually(t, "b is in the book", func() bool { return saved(t, book)[b.ID()] != nil })
	stop()
	_ = first.Close()
	eventually(t, "the first run is gone", func() bool { return len(b.Connected()) == 0 })

	second := open(t, "a", Config{Known: book})
	run(t, second)
	eventually(t, "the second run finds b", func() bool { return connected(second, b) })
}

// A peer that was away is dialled within seconds of its return.
func TestReconnect(t *testing.T) {
	t.Parallel()
	listen := []string{"/ip4/127.0.0.1/tcp/" + freePort(t)}
	a, b := open(t, "a", Config{}), open(t, "b", Config{Listen: listen})
	run(t, a)
	connect(t, a, b)
	eventually(t, "b is known", func() bool { return failing(a, b) != nil })
	_ = b.Close()
	eventually(t, "a dial of b failed", func() bool { return !failing(a, b).since.IsZero() })
	again := open(t, "b", Config{Listen: listen})
	began := time.Now()
	eventually(t, "a is connected to b again", func() bool { return connected(a, again) })
	if took := time.Since(began); took > redialEvery+dialTimeout {
		t.Errorf("took %v, want about %v", took, redialEvery)
	}
	eventually(t, "b counts as reachable", func() bool { return failing(a, again).since.IsZero() })
}

// After a failed dial the swarm refuses to try again, for up to five minutes.
// Dials of known peers are tried all the same.
func TestDialPastBackoff(t *testing.T) {
	t.Parallel()
	a := open(t, "a", Config{})
	gone, err := ParsePeer("/ip4/127.0.0.1/tcp/" + freePort(t) + "/p2p/" + somePeer)
	must(t, err)
	for range 3 {
		if err := a.connect(t.Context(), gone); err == nil || errors.Is(err, swarm.ErrDialBackoff) {
			t.Errorf("dial of a peer that is gone: got %v, want that it was tried", err)
		}
	}
	if err := a.host.Connect(t.Context(), gone); !errors.Is(err, swarm.ErrDialBackoff) {
		t.Errorf("an ordinary dial: got %v, want ErrDialBackoff", err)
	}
}

// failing is a copy of what a knows of b; nil if nothing.
func failing(a, b *Host) *knownPeer {
	a.known.mu.Lock()
	defer a.known.mu.Unlock()
	for id, p := range a.known.peers {
		if id.String() == b.ID() {
			c := *p
			return &c
		}
	}
	return nil
}

func TestBootstrapComesUpLater(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	id, err := PeerID(testKey(t.Name() + "b"))
	must(t, err)
	a := open(t, "a", Config{Bootstrap: []string{"/ip4/127.0.0.1/tcp/" + port + "/p2p/" + id}})
	run(t, a)
	eventually(t, "a dial failed", func() bool {
		a.known.mu.Lock()
		defer a.known.mu.Unlock()
		for _, p := range a.known.peers {
			return !p.since.IsZero()
		}
		return false
	})
	b := open(t, "b", Config{Listen: []string{"/ip4/127.0.0.1/tcp/" + port}})
	eventually(t, "a is connected", func() bool { return connected(a, b) })
}

// A bootstrap address that the peer does not announce itself, such as a
// router's port forwarding or a DNS name, is what the user gave: it is dialled
// when the peer comes back, wherever the peer said that it listens.
func TestBootstrapAddressIsKept(t *testing.T) {
	t.Parallel()
	b := open(t, "b", Config{})
	router := forward(t, freePort(t)) // to nobody yet
	a := open(t, "a", Config{Bootstrap: []string{router.addr() + "/p2p/" + b.ID()}})
	run(t, a)
	connect(t, b, a)
	eventually(t, "b said where it listens", func() bool {
		return slices.Contains(failing(a, b).Addrs, "/ip4/127.0.0.1/tcp/"+port(t, b))
	})
	_ = b.Close()
	again := open(t, "b", Config{}) // on another port
	router.to(port(t, again))
	eventually(t, "a is connected again", func() bool { return connected(a, again) })
}

func port(t *testing.T, h *Host) string {
	t.Helper()
	a, err := ma.NewMultiaddr(h.Addrs()[0])
	must(t, err)
	p, err := a.ValueForProtocol(ma.P_TCP)
	must(t, err)
	return p
}

// router forwards a TCP port.
type router struct {
	l net.Listener

	mu   sync.Mutex
	port string
}

func forward(t *testing.T, port string) *router {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	r := &router{l: l, port: port}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			r.mu.Lock()
			to := "127.0.0.1:" + r.port
			r.mu.Unlock()
			out, err := net.Dial("tcp", to)
			if err != nil {
				_ = in.Close()
				continue
			}
			closeBoth := func() { _ = in.Close(); _ = out.Close() }
			wg.Go(func() { defer closeBoth(); _, _ = io.Copy(in, out) })
			wg.Go(func() { defer closeBoth(); _, _ = io.Copy(out, in) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		wg.Wait() // hosts, opened later or earlier, are closed by then or end it
	})
	return r
}

func (r *router) addr() string {
	return fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", r.l.Addr().(*net.TCPAddr).Port)
}

func (r *router) to(port string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.port = port
}

// Of a peer with more addresses than are kept, the one that works is kept.
func TestKnownKeepsTheAddressThatWorks(t *testing.T) {
	t.Parallel()
	a, b := open(t, "a", Config{}), open(t, "b", Config{})
	connect(t, a, b)
	id := peerOf(t, b)
	for i := range 64 {
		a.host.Peerstore().AddAddr(id, ma.StringCast(fmt.Sprintf("/ip4/127.1.1.%d/tcp/1", i+1)), peerstore.PermanentAddrTTL)
	}
	a.known.met(id)
	p := failing(a, b)
	if len(p.Addrs) != maxKnownAddr || p.Addrs[0]+"/p2p/"+b.ID() != b.Addrs()[0] {
		t.Errorf("known addresses: got %v, want %d that begin with %s", p.Addrs, maxKnownAddr, b.Addrs()[0])
	}
}

// A peer is forgotten a month after it was last connected, not after it
// connected.
func TestKnownSeenWhileConnected(t *testing.T) {
	t.Parallel()
	book := memoryBook()
	a, b := open(t, "a", Config{Known: book}), open(t, "b", Config{})
	connect(t, a, b)
	id := peerOf(t, b)
	a.known.met(id)
	for _, clock := range []time.Duration{-2 * forgetAfter, 2 * forgetAfter} { // up for long; a clock that was ahead
		a.known.mu.Lock()
		a.known.peers[id].Seen = time.Now().Add(clock)
		a.known.mu.Unlock()
		var wg sync.WaitGroup
		a.known.dial(t.Context(), &wg)
		wg.Wait()
		a.known.save()
		if got := time.Since(saved(t, book)[b.ID()].Seen); got < 0 || got > time.Minute {
			t.Errorf("connected, and last seen %v ago, want now", got)
		}
	}
}

func TestKnownIsBounded(t *testing.T) {
	t.Parallel()
	a := open(t, "a", Config{Bootstrap: []string{"/ip4/127.0.0.1/tcp/1/p2p/" + somePeer}})
	for i := range 2 * maxKnown {
		id, err := PeerID(testKey(fmt.Sprint(i)))
		must(t, err)
		info, err := ParsePeer("/ip4/127.0.0.1/tcp/1/p2p/" + id)
		must(t, err)
		a.known.met(info.ID)
	}
	if got := len(a.known.peers); got != maxKnown {
		t.Errorf("%d peers are known, want %d", got, maxKnown)
	}
	boot, err := ParsePeer("/ip4/127.0.0.1/tcp/1/p2p/" + somePeer)
	must(t, err)
	if a.known.peers[boot.ID] == nil {
		t.Error("a bootstrap peer was forgotten")
	}
}

// What a book holds, whole or not, is at worst a start without known peers.
func FuzzKnown(f *testing.F) {
	now := time.Now().UTC().Format(time.RFC3339)
	f.Add([]byte(`{"` + somePeer + `":{"addrs":["/ip4/127.0.0.1/tcp/1"],"seen":"` + now + `"}}`))
	f.Add([]byte(`{"x":null,"` + somePeer + `":null}`))
	f.Add([]byte(`{"` + somePeer + `":{"addrs":["","x"],"seen":"0001-01-01T00:00:00Z"}}`))
	f.Add([]byte(`[`))
	f.Fuzz(func(t *testing.T, b []byte) {
		peers, err := parseKnown(b)
		if err != nil {
			return
		}
		if len(peers) > len(b) {
			t.Errorf("%d peers in %d bytes", len(peers), len(b))
		}
		out, err := encodeKnown(peers)
		if err != nil {
			// A year that JSON cannot write does not come back.
			if strings.Contains(err.Error(), "year outside of range") {
				return
			}
			t.Fatal(err)
		}
		again, err := parseKnown(out)
		if err != nil || !maps.EqualFunc(peers, again, func(x, y *knownPeer) bool { return x.Seen.Equal(y.Seen) }) {
			t.Errorf("%q parses to %v, written and parsed again to %v, %v", b, peers, again, err)
		}
	})
}

// A book that fails is worth a warning, not a node.
func TestKnownBookFails(t *testing.T) {
	t.Parallel()
	a := open(t, "a", Config{Known: brokenBook{}})
	run(t, a)()
}

type brokenBook struct{ Book }

func (brokenBook) Get(context.Context, ds.Key) ([]byte, error) { return nil, errors.New("broken") }
func (brokenBook) Put(context.Context, ds.Key, []byte) error   { return errors.New("broken") }
