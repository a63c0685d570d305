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
	"time"

	ds "github.com/ipfs/go-datastore"
	"github.com/libp2p/go-libp2p"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/metrics"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"
	libp2pquic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	ma "github.com/multiformats/go-multiaddr"
)

// Connections a node keeps: above the high mark those of least use are closed
// down to the low one. A home router copes with these.
const (
	lowConns  = 16
	highConns = 32
	connGrace = 20 * time.Second
)

// Config of a Host. Key and Tag are required.
type Config struct {
	Key       ed25519.PrivateKey
	Tag       string   // nodes with the same tag look for each other; [a-z0-9]{1,15}
	Listen    []string // see ParseListen; each must open. Empty: DefaultListen, of which one must
	Bootstrap []string // see ParsePeer
	Discover  bool     // look for nodes on this machine and, unless all Listen is loopback, on the LAN
	Nearby    string   // where the nodes of this machine meet; default NearbyDir()
	Known     Book     // remembers peers across restarts; nil: forgets
	Agent     string   // what identify says of us
	Log       *slog.Logger
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
	loopback  bool
	ctx       context.Context // ends with Close
	cancel    context.CancelFunc
	wg        sync.WaitGroup

	mu      sync.Mutex // guards the field below, and that nobody begins to serve after Close
	changed func()
}

// New opens the listeners. Run finds peers; Close ends everything.
func New(cfg Config) (_ *Host, err error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if !validTag(cfg.Tag) {
		return nil, fmt.Errorf("p2p: tag %q: want 1 to %d of a-z and 0-9", cfg.Tag, maxTag)
	}
	strict := len(cfg.Listen) > 0
	if !strict {
		cfg.Listen = DefaultListen()
	}
	var listen []ma.Multiaddr
	for _, s := range cfg.Listen {
		addrs, err := ParseListen(s)
		if err != nil {
			return nil, err
		}
		for _, a := range addrs {
			// libp2p panics when it is to open a QUIC address twice.
			if !slices.ContainsFunc(listen, a.Equal) {
				listen = append(listen, a)
			}
		}
	}
	var bootstrap []peer.AddrInfo
	for _, s := range cfg.Bootstrap {
		info, err := ParsePeer(s)
		if err != nil {
			return nil, err
		}
		bootstrap = append(bootstrap, info)
	}
	key, err := crypto.UnmarshalEd25519PrivateKey(cfg.Key)
	if err != nil {
		return nil, fmt.Errorf("p2p: identity: %w", err)
	}
	conns, err := connmgr.NewConnManager(lowConns, highConns, connmgr.WithGracePeriod(connGrace))
	if err != nil {
		return nil, fmt.Errorf("p2p: %w", err)
	}
	h := &Host{cfg: cfg, log: cfg.Log, bandwidth: metrics.NewBandwidthCounter(), drops: &dropCounter{}, loopback: allLoopback(listen)}
	options := []libp2p.Option{
		libp2p.Identity(key),
		libp2p.ListenAddrs(listen...),
		libp2p.Transport(libp2pquic.NewTransport),
		// With SO_REUSEPORT two nodes of one user would share a port, and each
		// would get a part of the other's connections.
		libp2p.Transport(tcp.NewTCPTransport, tcp.DisableReuseport()),
		libp2p.ConnectionManager(conns),
		libp2p.BandwidthReporter(h.bandwidth),
		libp2p.UserAgent(cfg.Agent),
		libp2p.DisableRelay(),
		libp2p.DisableIdentifyAddressDiscovery(),
		libp2p.DisableMetrics(),
	}
	if h.loopback {
		gate := loopbackGate{named: make(map[peer.ID]bool)}
		for _, info := range bootstrap {
			gate.named[info.ID] = true
		}
		options = append(options, libp2p.ConnectionGater(gate))
	}
	h.host, err = libp2p.New(options...)
	if err != nil {
		return nil, fmt.Errorf("p2p: listen on %v: %w: %s", cfg.Listen, err, listenHint)
	}
	if missing := notOpen(listen, h.host.Network().ListenAddresses()); strict && len(missing) > 0 {
		_ = h.host.Close()
		return nil, fmt.Errorf("p2p: listen on %v: cannot open %v: %s", cfg.Listen, missing, listenHint)
	}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	if h.pubsub, err = newPubSub(h.ctx, h); err != nil {
		h.cancel()
		_ = h.host.Close()
		return nil, fmt.Errorf("p2p: gossip: %w", err)
	}
	h.known = newKnown(h, bootstrap)
	return h, nil
}

// maxTag is what fits the service name of mDNS beside ours.
const maxTag = 15

func validTag(tag string) bool {
	return tag != "" && len(tag) <= maxTag && strings.Trim(tag, "abcdefghijklmnopqrstuvwxyz0123456789") == ""
}

const listenHint = "another program has this port, or the address is not of this machine; choose another, or port 0 for any free one"

// notOpen are the wanted addresses that no listener has.
func notOpen(want, got []ma.Multiaddr) []ma.Multiaddr {
	return slices.DeleteFunc(slices.Clone(want), func(w ma.Multiaddr) bool {
		return slices.ContainsFunc(got, func(g ma.Multiaddr) bool { return sameListener(w, g) })
	})
}

// sameListener reports whether got is what listening on want can give: the
// same address, but for a port of 0.
func sameListener(want, got ma.Multiaddr) bool {
	w, g := strings.Split(want.String(), "/"), strings.Split(got.String(), "/")
	if len(w) != len(g) {
		return false
	}
	for i := range w {
		if w[i] != g[i] && !(w[i] == "0" && i > 0 && (w[i-1] == "tcp" || w[i-1] == "udp")) {
			return false
		}
	}
	return true
}

// ID is this node's peer ID.
func (h *Host) ID() string { return h.host.ID().String() }

// Addrs are the addresses at which this node can be reached, complete with its
// peer ID, as --bootstrap takes them.
func (h *Host) Addrs() []string {
	addrs, err := h.host.Network().InterfaceListenAddresses()
	if err != nil {
		addrs = h.host.Addrs()
	}
	full := make([]string, 0, len(addrs))
	for _, a := range addrs {
		full = append(full, a.String()+"/p2p/"+h.ID())
	}
	slices.Sort(full)
	return full
}

// Peer is a connected peer.
type Peer struct {
	ID   string
	Addr string        // of one connection
	RTT  time.Duration // 0 = not measured
}

// Connected are the connected peers, by id.
func (h *Host) Connected() []Peer {
	var peers []Peer
	for _, id := range h.host.Network().Peers() {
		p := Peer{ID: id.String(), RTT: h.host.Peerstore().LatencyEWMA(id)}
		if conns := h.host.Network().ConnsToPeer(id); len(conns) > 0 {
			p.Addr = conns[0].RemoteMultiaddr().String()
		}
		peers = append(peers, p)
	}
	slices.SortFunc(peers, func(a, b Peer) int { return strings.Compare(a.ID, b.ID) })
	return peers
}

// Traffic is the number of bytes received and sent over all connections.
func (h *Host) Traffic() (in, out int64) {
	t := h.bandwidth.GetBandwidthTotals()
	return t.TotalIn, t.TotalOut
}

// Connect connects to a peer by its full address.
func (h *Host) Connect(ctx context.Context, addr string) error {
	info, err := ParsePeer(addr)
	if err != nil {
		return err
	}
	return h.host.Connect(ctx, info)
}

// Run looks for peers until ctx ends: those of earlier runs first.
func (h *Host) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { h.known.run(ctx) })
	wg.Go(func() { h.follow(ctx) })
	if h.cfg.Discover {
		wg.Go(func() { h.runNearby(ctx) })
		if !h.loopback {
			wg.Go(func() { h.runMDNS(ctx) })
		}
	}
	<-ctx.Done()
	return nil
}

// Close closes all connections and listeners.
func (h *Host) Close() error {
	h.mu.Lock()
	h.cancel()
	h.mu.Unlock()
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
	changed := h.changed
	h.mu.Unlock()
	if changed != nil {
		changed()
	}
}

// Stream is a direct stream to a peer. Close ends both directions.
type Stream struct{ network.Stream }

// Close implements io.Closer.
func (s Stream) Close() error { return s.Reset() }

// Handle serves a stream protocol. serve must close the stream and return when
// ctx, which ends with the host, is done. changed is called, without blocking,
// whenever PeersOf may have changed.
func (h *Host) Handle(proto string, serve func(ctx context.Context, peer string, s io.ReadWriteCloser), changed func()) {
	h.mu.Lock()
	h.changed = changed
	h.mu.Unlock()
	h.host.SetStreamHandler(protocol.ID(proto), func(s network.Stream) {
		if !h.begin() {
			_ = s.Reset()
			return
		}
		defer h.wg.Done()
		serve(h.ctx, s.Conn().RemotePeer().String(), Stream{s})
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

// PeersOf are the connected peers that speak the protocol.
func (h *Host) PeersOf(proto string) []string {
	var ids []string
	for _, id := range h.host.Network().Peers() {
		if got, err := h.host.Peerstore().SupportsProtocols(id, protocol.ID(proto)); err == nil && len(got) > 0 {
			ids = append(ids, id.String())
		}
	}
	return ids
}

// Open opens a stream to a connected peer.
func (h *Host) Open(ctx context.Context, peerID, proto string) (io.ReadWriteCloser, error) {
	id, err := peer.Decode(peerID)
	if err != nil {
		return nil, fmt.Errorf("p2p: open stream: %w", err)
	}
	s, err := h.host.NewStream(network.WithNoDial(ctx, "streams go to connected peers"), id, protocol.ID(proto))
	if err != nil {
		return nil, fmt.Errorf("p2p: open stream to %s: %w", peerID, err)
	}
	return Stream{s}, nil
}
