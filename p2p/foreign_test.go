package p2p

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/pb"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	ma "github.com/multiformats/go-multiaddr"
)

// plain makes a go-libp2p host with nothing of ours, that listens nowhere.
func plain(t *testing.T) host.Host {
	t.Helper()
	h, err := libp2p.New(libp2p.NoListenAddrs, libp2p.EnableRelay())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

// Any libp2p host connects, is told who this is, and pings. A place at the relay
// of an open network is for who says that it is of the network: for others there
// are other relays.
func TestForeignPeer(t *testing.T) {
	t.Parallel()
	ours := open(t, "ours", Config{Reachability: Public, Agent: "numax/test"})
	a, b := plain(t), plain(t)
	for _, h := range []host.Host{a, b} {
		if err := h.Connect(t.Context(), peerInfo(t, ours)); err != nil {
			t.Fatal(err)
		}
	}
	id := peerOf(t, ours)
	if agent, err := a.Peerstore().Get(id, "AgentVersion"); agent != "numax/test" {
		t.Errorf("identify says %v, %v", agent, err)
	}
	if got := <-ping.Ping(t.Context(), a, id); got.Error != nil || got.RTT <= 0 {
		t.Errorf("ping: %+v", got)
	}

	_, err := client.Reserve(t.Context(), a, peer.AddrInfo{ID: id})
	if refused := (client.ReservationError{}); !errors.As(err, &refused) || refused.Status != pb.Status_PERMISSION_DENIED {
		t.Errorf("a place at the relay: got %v, want %v", err, pb.Status_PERMISSION_DENIED)
	}
	for _, h := range []host.Host{a, b} {
		h.SetStreamHandler(ours.marker(), func(s network.Stream) { _ = s.Close() })
	}
	eventually(t, "a place at the relay, once identify said of which network it is", func() bool {
		_, err = client.Reserve(t.Context(), a, peer.AddrInfo{ID: id})
		return err == nil
	})
	through := ma.StringCast(fmt.Sprintf("%s/p2p-circuit", ours.Addrs()[0]))
	eventually(t, "connected through the relay", func() bool {
		return b.Connect(t.Context(), peer.AddrInfo{ID: a.ID(), Addrs: []ma.Multiaddr{through}}) == nil
	})
	ctx := network.WithAllowLimitedConn(t.Context(), "what goes through a relay")
	if got := <-ping.Ping(ctx, b, a.ID()); got.Error != nil {
		t.Errorf("ping through the relay: %v", got.Error)
	}
}

// A relay that has no place left says so, and the node that is refused tells its
// user what that means.
func TestFullRelay(t *testing.T) {
	t.Parallel()
	relay := open(t, "relay", Config{Reachability: Public})
	reserve := func() (status pb.Status) {
		h := plain(t)
		h.SetStreamHandler(relay.marker(), func(s network.Stream) { _ = s.Close() })
		if err := h.Connect(t.Context(), peerInfo(t, relay)); err != nil {
			t.Fatal(err)
		}
		eventually(t, "identify said of which network it is", func() bool {
			_, err := client.Reserve(t.Context(), h, peerInfo(t, relay))
			refused := client.ReservationError{}
			errors.As(err, &refused)
			status = refused.Status
			return status != pb.Status_PERMISSION_DENIED
		})
		return status
	}
	for n := range relayPerAddress {
		if got := reserve(); got != pb.Status_UNUSED {
			t.Fatalf("place %d of %d: refused: %v", n+1, relayPerAddress, got)
		}
	}
	if got := reserve(); got != pb.Status_RESERVATION_REFUSED {
		t.Errorf("one more than there are: got %v, want %v", got, pb.Status_RESERVATION_REFUSED)
	}

	var log logged
	late := open(t, "late", Config{Bootstrap: relay.Addrs(), Reachability: Private, Log: slog.New(slog.NewTextHandler(&log, nil))})
	run(t, late)
	eventually(t, "the user is told", func() bool { return log.has("the relay is full") })
	if slices.ContainsFunc(late.Addrs(), func(a string) bool { return strings.Contains(a, "p2p-circuit") }) {
		t.Errorf("it tells addresses through the relay: %v", late.Addrs())
	}
}

// logged is a log that is read while it is written.
type logged struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) has(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.b.String(), text)
}
