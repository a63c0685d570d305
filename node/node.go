package node

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/numax-mesh/numax/crdt/replica"
	"github.com/numax-mesh/numax/node/api"
	"github.com/numax-mesh/numax/node/blob"
	"github.com/numax-mesh/numax/node/bus"
	"github.com/numax-mesh/numax/node/door"
	"github.com/numax-mesh/numax/node/supervisor"
	"github.com/numax-mesh/numax/p2p"
	"github.com/numax-mesh/numax/sandbox"
)

// Node is an open node. Open, then Run; guests may run while Run does.
type Node struct {
	*Data
	*Lists
	cfg     Config
	log     *slog.Logger
	id      string
	started time.Time
	state   *state
	host    *p2p.Host // nil without a network
	mesh    *mesh
	bus     *bus.Bus
	wire    *wire // of the bus; unused without a network
	blobs   *blob.Exchange
	blobNet *blobNet
	api     *api.Listeners // nil if off
	web     net.Listener   // nil if off
	observe net.Listener   // nil if off
	metrics *metrics
	greeter *greeter // nil without a network, or in an open one
	sandbox *sandbox.Runtime
	modules *supervisor.Supervisor
}

// Open opens the data directory, the listeners and the API. On an error
// nothing stays open.
func Open(cfg Config, log *slog.Logger) (_ *Node, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	n := &Node{cfg: cfg, log: log, started: time.Now()}
	defer func() {
		if err != nil {
			_ = n.close()
		}
	}()
	key, err := makeData(&cfg)
	if err != nil {
		return nil, err
	}
	if n.id, err = p2p.PeerID(key); err != nil {
		return nil, err
	}
	// The mesh is made first and filled when the host is there: the store's
	// lock must be held before a port is taken, and the host keeps its known
	// peers in the store.
	n.mesh = newMesh()
	if n.state, err = openState(&cfg, toServe, n.mesh, key, log); err != nil {
		return nil, err
	}
	n.cfg = cfg
	n.Data, n.Lists = &Data{n.state.replica, n.state.book, cfg.Network}, newLists(&cfg)
	n.metrics = newMetrics(n)
	if n.bus, n.wire, err = openBus(n.state, cfg.networked(), log); err != nil {
		return nil, err
	}
	if n.blobs, n.blobNet, err = openBlobs(&cfg, n.state, log); err != nil {
		return nil, err
	}
	if cfg.networked() {
		if err := n.openHost(); err != nil {
			return nil, err
		}
	}
	if err := n.openModules(); err != nil {
		return nil, err
	}
	if cfg.API != "off" {
		if n.api, err = api.Listen(cfg.Data, cfg.API); err != nil {
			return nil, err
		}
	}
	if cfg.Serve != "" {
		if n.web, err = net.Listen("tcp", cfg.Serve); err != nil {
			return nil, fmt.Errorf("serve: %w: choose another --serve address", err)
		}
	}
	if cfg.Observability != "" {
		if n.observe, err = net.Listen("tcp", cfg.Observability); err != nil {
			return nil, fmt.Errorf("observability: %w: choose another --observability-listen address", err)
		}
	}
	return n, nil
}

func (n *Node) openHost() error {
	p2p.RouteLibraryLogs(n.log)
	begin, err := n.bootstrap.read()
	if err != nil {
		return err
	}
	blocked, err := n.blocked.read()
	if err != nil {
		return err
	}
	var counted prometheus.Registerer // nobody reads it without an address
	if n.cfg.Observability != "" {
		counted = n.metrics.registry
	}
	host, err := p2p.New(p2p.Config{
		Key: n.state.key, Tag: networkTag(n.state.network), Admitted: admitted(n.book), Listen: n.cfg.Listen,
		Bootstrap: slices.Concat(n.cfg.Bootstrap, begin), Blocked: blocked, Metrics: counted,
		Discover: n.cfg.MDNS, Known: n.state.store.Foreign(), Agent: "numax/" + n.cfg.Version, Log: n.log,
		Interface: n.cfg.Interface, Reachability: p2p.Reachability(n.cfg.Reachability), Limits: n.cfg.Limits,
	})
	if err != nil {
		return err
	}
	n.host = host
	n.mesh.host = host
	if n.book != nil {
		n.greeter = newGreeter(n.book, host, n.log)
	}
	n.blobNet.join(n.blobs, host)
	return errors.Join(n.mesh.start(n.state.network, n.state.replica), n.wire.join(n.bus, n.state, host))
}

// ID is the node's peer ID.
func (n *Node) ID() string { return n.id }

// Addrs are the node's addresses, as --bootstrap takes them.
func (n *Node) Addrs() []string {
	if n.host == nil {
		return []string{}
	}
	return n.host.Addrs()
}

// Traffic is the number of bytes received and sent over the network.
func (n *Node) Traffic() (in, out int64) {
	if n.host == nil {
		return 0, 0
	}
	return n.host.Traffic()
}

// API is where the API is served: host:port, or "" if it is off.
func (n *Node) API() string {
	if n.api == nil {
		return ""
	}
	return n.api.Endpoint.TCP
}

// Serving is where modules serve the web; "" if they have no address of their own.
func (n *Node) Serving() string {
	if n.web == nil {
		return ""
	}
	return n.web.Addr().String()
}

// Observability is where metrics are served; "" if they are not.
func (n *Node) Observability() string {
	if n.observe == nil {
		return ""
	}
	return n.observe.Addr().String()
}

// Run serves until ctx ends. Then it stops taking requests, puts what was
// accepted on disk, gives connected peers a moment to take the last of it, and
// closes everything.
func (n *Node) Run(ctx context.Context) error {
	// The layers stop from the outside in: each context outlives the ones
	// that use its layer.
	store, stopStore := context.WithCancel(context.WithoutCancel(ctx))
	defer stopStore()
	network, stopNetwork := context.WithCancel(store)
	defer stopNetwork()

	var replicaRun, hostRun, servers sync.WaitGroup
	var replicaErr error
	replicaRun.Go(func() { replicaErr = n.state.replica.Run(store) })
	if n.host != nil {
		hostRun.Go(func() { _ = n.host.Run(network) })
	}
	hostRun.Go(func() { _ = n.bus.Run(network) })
	if n.greeter != nil {
		hostRun.Go(func() { n.greeter.run(network) })
		hostRun.Go(func() { n.followRoster(network) })
	}
	servers.Go(func() {
		if err := n.modules.Run(ctx); err != nil {
			n.log.Error("modules do not run", "err", err)
		}
	})
	if n.host != nil {
		servers.Go(func() { n.followPeers(ctx) })
	}
	for _, s := range n.servers() {
		servers.Go(func() { s.run(ctx, n.log) })
	}
	<-ctx.Done()
	servers.Wait()
	n.drain(store)
	stopNetwork()
	hostRun.Wait()
	stopStore()
	replicaRun.Wait()
	if err := errors.Join(replicaErr, n.close()); err != nil {
		return fmt.Errorf("shutdown: %w", err)
	}
	return nil
}

// drainTime is what connected peers get to take the last writes.
const drainTime = time.Second

func (n *Node) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, drainTime)
	defer cancel()
	if err := n.state.replica.Sync(ctx); err != nil {
		return // Run says why
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !n.state.replica.Settled() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (n *Node) close() error {
	var errs []error
	if n.api != nil {
		errs = append(errs, n.api.Close())
	}
	for _, l := range []net.Listener{n.web, n.observe} {
		if l == nil {
			continue
		}
		if err := l.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if n.sandbox != nil {
		errs = append(errs, n.sandbox.Close(context.Background()))
	}
	if n.host != nil {
		errs = append(errs, n.host.Close())
	}
	if n.state != nil {
		errs = append(errs, n.state.store.Close())
	}
	return errors.Join(errs...)
}

// server is one HTTP listener.
type server struct {
	name   string
	l      net.Listener
	limits door.Limits
	h      http.Handler
}

func (n *Node) servers() []server {
	var all []server
	if n.api != nil {
		all = append(all, server{"api", n.api.TCP, door.Side(), api.Handler(n, n.api.Token)})
		if n.api.Socket != nil {
			all = append(all, server{"api socket", n.api.Socket, door.Local(), api.Handler(n, "")})
		}
	}
	if n.web != nil {
		all = append(all, server{"web", n.web, door.Web(), local(n.web, n.modules.Web())})
	}
	if n.observe != nil {
		all = append(all, server{"observability", n.observe, door.Side(), local(n.observe, n.observability())})
	}
	return all
}

// local keeps pages of other sites, whose names may lead to a loopback address, from what is served there.
func local(l net.Listener, h http.Handler) http.Handler {
	if a, ok := l.Addr().(*net.TCPAddr); ok && a.IP.IsLoopback() {
		return supervisor.LocalOnly(h)
	}
	return h
}

func (s server) run(ctx context.Context, log *slog.Logger) {
	if err := door.Serve(ctx, s.l, s.limits, s.h, log.With("server", s.name)); err != nil {
		log.Error("server ended", "server", s.name, "err", err)
	}
}

// Status implements api.Node.
func (n *Node) Status() api.Status {
	s := api.Status{
		PeerID: n.id, Version: n.cfg.Version, Network: n.cfg.Network, Started: n.started, Addrs: n.Addrs(),
		Store: n.state.store.Size(), Datasets: []api.Dataset{},
		Forks: n.state.replica.Stats().Forks.Load(), Rejected: n.state.replica.Stats().Rejected.Load(),
	}
	s.Modules, _ = n.Modules() // what cannot be read is in the log
	var err error
	if s.Leftovers, err = n.keeping().leftovers(); err != nil {
		n.log.Error("cannot say what is left of removed modules", "err", err)
	}
	if n.host != nil {
		for _, p := range n.host.Connected() {
			if p.Member {
				s.Peers++
			}
		}
	}
	if n.book != nil {
		s.Closed, s.Role = true, n.Network().Role
	}
	if err := n.state.replica.Failure(); err != nil {
		s.Failure = err.Error()
	}
	for _, d := range n.state.replica.Datasets() {
		digest := d.Digest()
		x := api.Dataset{Name: d.Name(), Digest: hex.EncodeToString(digest[:8])}
		for _, m := range d.Members() {
			if m.Ops == 0 {
				continue
			}
			x.Ops += m.Ops
			x.Authors++
			if m.Ahead != 0 {
				if x.Clocks == nil {
					x.Clocks = make(map[string]float64)
				}
				x.Clocks[authorName(m.Author)] = m.Ahead.Seconds()
			}
			if m.Forked {
				x.Forked = append(x.Forked, authorName(m.Author))
			}
		}
		x.Refused, x.RefusedBy = d.Refusals()
		s.Datasets = append(s.Datasets, x)
	}
	return s
}

// Peers implements api.Node.
func (n *Node) Peers() []api.Peer {
	if n.host == nil {
		return nil
	}
	sync := make(map[string]replica.PeerState)
	for _, p := range n.state.replica.Peers() {
		sync[p.Peer] = p
	}
	var peers []api.Peer
	for _, p := range n.host.Connected() {
		s, ok := sync[p.ID]
		peers = append(peers, api.Peer{
			ID: p.ID, Device: n.deviceName(p.ID), Addr: p.Addr, Way: string(p.Way), Member: p.Member, RTT: float64(p.RTT.Microseconds()) / 1000,
			Sync: ok, Behind: s.Behind, Lag: s.Lag, Equal: s.Settled,
		})
	}
	return peers
}

// Registry has the node's metrics.
func (n *Node) Registry() *prometheus.Registry { return n.metrics.registry }
