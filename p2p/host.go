package p2p

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"

	ds "github.com/ipfs/go-datastore"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/metrics"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/prometheus/client_golang/prometheus"
)

// Config of a Host. Key and Tag are required.
type Config struct {
	Key       ed25519.PrivateKey
	Tag       string   // nodes with the same tag look for each other; [a-z0-9]{1,15}
	Listen    []string // see ParseListen; each must open. Empty: DefaultListen, of which one must
	Bootstrap []string // see CheckBootstrap
	Blocked   []string // peer ids; see Host.Block
	Discover  bool     // look for nodes on this machine and, unless all Listen is loopback, on the LAN
	Nearby    string   // where the nodes of this machine meet; default NearbyDir()
	Known     Book     // remembers peers across restarts; nil: forgets
	Agent     string   // what identify says of us
	Log       *slog.Logger

	// Interface are the network interfaces on which nodes are looked for; empty:
	// those that look like a LAN (see links).
	Interface []string
	// Reachability says whether others can connect to this node from outside its
	// LAN; Auto finds out.
	Reachability Reachability
	Limits       Limits
	// Metrics, if not nil, is where libp2p registers its own. They count for all
	// hosts of the process.
	Metrics prometheus.Registerer
	// Admitted says who is a member of a closed network; nil: it is open. It is
	// asked often, concurrently, and must not block. See Readmit.
	Admitted func(peer string) bool

	firewall func(peer.ID, ma.Multiaddr) bool // of tests on loopback: what passes
}

// Book keeps a little data for the host: part of a go-datastore.
type Book interface {
	Get(ctx context.Context, key ds.Key) ([]byte, error) // ds.ErrNotFound
	Put(ctx context.Context, key ds.Key, value []byte) error
}

// Host is a node on the network. Its methods may be called concurrently.
type Host struct {
	cfg       Config
	log       *slog.Logger
	host      host.Host
	pubsub    *pubsub.PubSub
	bandwidth *metrics.BandwidthCounter
	drops     *dropCounter
	known     *known
	bootstrap *bootstrap
	relays    *reservations
	public    *role
	admission *admission
	blocked   *blocked
	loopback  bool
	ctx       context.Context // ends with Close
	cancel    context.CancelFunc
	wg        sync.WaitGroup

	mu      sync.Mutex // guards the field below, and that nobody begins to serve after Close
	changed []func()
}

// New opens the listeners. Run finds peers; Close ends everything.
func New(cfg Config) (_ *Host, err error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if !validTag(cfg.Tag) {
		return nil, fmt.Errorf("p2p: tag %q: want 1 to %d of a-z and 0-9", cfg.Tag, maxTag)
	}
	if err := cfg.Reachability.check(); err != nil {
		return nil, err
	}
	if err := cfg.Limits.Check(); err != nil {
		return nil, err
	}
	listen, err := listenAddrs(cfg.Listen)
	if err != nil {
		return nil, err
	}
	sources, err := parseBootstrap(cfg.Bootstrap)
	if err != nil {
		return nil, err
	}
	blocked, err := parseBlocked(cfg.Blocked)
	if err != nil {
		return nil, err
	}
	h := &Host{
		cfg: cfg, log: cfg.Log, bandwidth: metrics.NewBandwidthCounter(), drops: &dropCounter{},
		loopback: allLoopback(listen), bootstrap: sources, blocked: blocked,
	}
	if err := h.listen(listen); err != nil {
		return nil, err
	}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	h.admission = newAdmission(h)
	if h.pubsub, err = newPubSub(h.ctx, h); err != nil {
		h.cancel()
		_ = h.host.Close()
		return nil, fmt.Errorf("p2p: gossip: %w", err)
	}
	h.host.SetStreamHandler(h.marker(), func(s network.Stream) { _ = s.Close() })
	h.known = newKnown(h)
	h.known.setBootstrap(h.bootstrap.peers())
	h.relays = newReservations(h)
	h.host.Network().Notify(&network.NotifyBundle{ConnectedF: h.admission.connected})
	h.host.Network().Notify(&network.NotifyBundle{ConnectedF: h.dropSuperseded})
	h.public = newRole(h)
	return h, nil
}

// maxTag is what fits the service name of mDNS beside ours.
const maxTag = 15

func validTag(tag string) bool {
	return tag != "" && len(tag) <= maxTag && strings.Trim(tag, "abcdefghijklmnopqrstuvwxyz0123456789") == ""
}

// ID is this node's peer ID.
func (h *Host) ID() string { return h.host.ID().String() }

// Addrs are the addresses at which this node can be reached, complete with its
// peer ID, as --bootstrap takes them.
func (h *Host) Addrs() []string {
	full := []string{}
	for _, a := range append(h.ownAddrs(), h.relays.addrs()...) {
		full = append(full, a.String()+"/p2p/"+h.ID())
	}
	slices.Sort(full)
	return full
}

// Traffic is the number of bytes received and sent over all connections.
func (h *Host) Traffic() (in, out int64) {
	t := h.bandwidth.GetBandwidthTotals()
	return t.TotalIn, t.TotalOut
}

// Run looks for peers until ctx ends: those of earlier runs first.
func (h *Host) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { h.known.run(ctx) })
	wg.Go(func() { h.follow(ctx) })
	wg.Go(func() { h.admission.run(ctx) })
	wg.Go(func() { h.public.run(ctx) })
	wg.Go(func() { h.relays.run(ctx) })
	wg.Go(func() { h.runBootstrap(ctx) })
	wg.Go(func() { h.runRendezvous(ctx) })
	wg.Go(func() { h.runUpgrade(ctx) })
	wg.Go(func() { h.runAlive(ctx) })
	if h.cfg.Discover {
		wg.Go(func() { h.runNearby(ctx) })
	}
	if !h.loopback {
		wg.Go(func() { h.runLAN(ctx) })
	}
	<-ctx.Done()
	return nil
}

// Close closes all connections and listeners.
func (h *Host) Close() error {
	h.mu.Lock()
	h.cancel()
	h.mu.Unlock()
	h.public.close()
	err := h.host.Close()
	h.wg.Wait()
	return err
}

// follow reports peers that come and go.
func (h *Host) follow(ctx context.Context) {
	sub, err := h.host.EventBus().Subscribe([]any{
		new(event.EvtPeerIdentificationCompleted), new(event.EvtPeerConnectednessChanged), new(event.EvtPeerProtocolsUpdated),
	}, eventbus.BufSize(256))
	if err != nil {
		h.log.Error("cannot follow peers", "err", err)
		return
	}
	defer sub.Close()
	for _, id := range h.host.Network().Peers() { // connected before we subscribed
		h.known.met(id)
	}
	h.peersChanged()
	for {
		select {
		case <-ctx.Done():
			return
		case e, ok := <-sub.Out():
			if !ok {
				return
			}
			if id, ok := e.(event.EvtPeerIdentificationCompleted); ok {
				h.known.met(id.Peer)
			}
			h.peersChanged()
		}
	}
}

func (h *Host) peersChanged() {
	h.mu.Lock()
	changed := slices.Clone(h.changed)
	h.mu.Unlock()
	for _, f := range changed {
		f()
	}
}

// Stream is a direct stream to a peer. Close ends both directions.
type Stream struct{ network.Stream }

// Close implements io.Closer.
func (s Stream) Close() error { return s.Reset() }

// Serve serves a stream of a peer. It must close the stream and return when ctx,
// which ends with the host, is done.
type Serve func(ctx context.Context, peer string, s io.ReadWriteCloser)

// Handle serves a stream protocol to members. changed, which may be nil, is
// called whenever PeersOf may have changed, and must not block.
func (h *Host) Handle(proto string, serve Serve, changed func()) {
	h.handle(protocol.ID(proto), func(s network.Stream) {
		if id := s.Conn().RemotePeer(); h.admitted(id) {
			serve(h.ctx, id.String(), Stream{s})
		} else {
			_ = s.Reset()
		}
	}, changed)
}

// HandleAny is Handle for strangers too: for the protocol by which one becomes a
// member.
func (h *Host) HandleAny(proto string, serve Serve, changed func()) {
	h.admission.open(protocol.ID(proto))
	h.handle(protocol.ID(proto), func(s network.Stream) {
		id := s.Conn().RemotePeer()
		done, ok := h.admission.enter(id)
		if !ok {
			_ = s.Reset()
			return
		}
		defer done()
		serve(h.ctx, id.String(), Stream{s})
	}, changed)
}

func (h *Host) handle(proto protocol.ID, serve network.StreamHandler, changed func()) {
	if changed != nil {
		h.mu.Lock()
		h.changed = append(h.changed, changed)
		h.mu.Unlock()
	}
	h.host.SetStreamHandler(proto, func(s network.Stream) {
		if !h.begin() {
			_ = s.Reset()
			return
		}
		defer h.wg.Done()
		serve(s)
	})
}

// begin notes that a stream is served, until h.wg.Done, unless the host is
// closed: Close waits for those that began.
func (h *Host) begin() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ctx.Err() != nil {
		return false
	}
	h.wg.Add(1)
	return true
}

// PeersOf are the connected peers that speak the protocol; strangers only if it
// is one of HandleAny.
func (h *Host) PeersOf(proto string) []string {
	peers := h.members()
	if h.admission.forAnyone(protocol.ID(proto)) {
		peers = h.host.Network().Peers()
	}
	var ids []string
	for _, id := range peers {
		if got, err := h.host.Peerstore().SupportsProtocols(id, protocol.ID(proto)); err == nil && len(got) > 0 {
			ids = append(ids, id.String())
		}
	}
	return ids
}

// Open opens a stream to a connected peer, relayed or not. The error is
// ErrNotMember if it is a stranger and the protocol none of HandleAny.
func (h *Host) Open(ctx context.Context, peerID, proto string) (io.ReadWriteCloser, error) {
	id, err := peer.Decode(peerID)
	if err != nil {
		return nil, fmt.Errorf("p2p: open stream: %w", err)
	}
	if !h.admitted(id) && !h.admission.forAnyone(protocol.ID(proto)) {
		return nil, fmt.Errorf("p2p: open stream to %s: %w", peerID, ErrNotMember)
	}
	// A peer that is reached through a relay with limits is served as well as it
	// can be.
	ctx = network.WithAllowLimitedConn(network.WithNoDial(ctx, "streams go to connected peers"), "all peers are equal")
	s, err := h.host.NewStream(ctx, id, protocol.ID(proto))
	if err != nil {
		return nil, fmt.Errorf("p2p: open stream to %s: %w", peerID, err)
	}
	return Stream{s}, nil
}
