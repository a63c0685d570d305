package node

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"path/filepath"
	"time"

	"github.com/numax-mesh/numax/node/api"
	"github.com/numax-mesh/numax/node/guest"
	"github.com/numax-mesh/numax/node/module"
	"github.com/numax-mesh/numax/node/supervisor"
	"github.com/numax-mesh/numax/sandbox"
)

// modulesDir is where the modules are that a node keeps running.
const modulesDir = "modules"

// Shelf is the modules of a data directory, for commands when no node runs there.
func (c *Config) Shelf() supervisor.Shelf {
	return supervisor.Shelf{Dir: filepath.Join(c.Data, modulesDir)}
}

// openModules makes the sandbox and what keeps modules running in it.
func (n *Node) openModules() error {
	var err error
	if n.sandbox, err = sandbox.New(context.Background(), sandbox.Config{CacheDir: n.cfg.file(codeDir)}); err != nil {
		return err
	}
	n.modules = supervisor.New(supervisor.Config{
		Shelf: n.cfg.Shelf(), World: n.world(), Runtime: n.sandbox, Log: n.log, Signers: n.cfg.Signers,
		Count: n.metrics.counter, Value: n.Get, Bus: n.bus, Blobs: n.blobs,
	})
	return n.keeping().forgetRemoved(n.log)
}

// world is what guests see of the node.
func (n *Node) world() guest.World {
	w := guest.World{Replica: n.state.replica, Dataset: n.cfg.Datasets[0]}
	if !n.cfg.NoSync {
		w.Net = guestNet{n}
	}
	return w
}

// guestNet is guest.Net; without a host the node has an identity and no peers.
type guestNet struct{ n *Node }

func (g guestNet) ID() string { return g.n.ID() }

func (g guestNet) GuestPeers() []sandbox.Peer {
	if g.n.host == nil {
		return nil
	}
	var peers []sandbox.Peer
	for _, p := range g.n.host.Connected() {
		if len(peers) == math.MaxInt16 {
			break
		}
		peers = append(peers, sandbox.Peer{Addr: p.Addr, ID: p.ID})
	}
	return peers
}

// followPeers tells modules who comes and goes.
func (n *Node) followPeers(ctx context.Context) {
	known := make(map[string]string) // id → address
	tick := time.NewTicker(peersEvery)
	defer tick.Stop()
	for {
		now := make(map[string]string)
		for _, p := range n.host.Connected() {
			now[p.ID] = p.Addr
		}
		for id, addr := range now {
			if _, ok := known[id]; !ok {
				n.modules.PeerChanged(true, id, addr)
			}
		}
		for id, addr := range known {
			if _, ok := now[id]; !ok {
				n.modules.PeerChanged(false, id, addr)
			}
		}
		known = now
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// peersEvery is how often the peers are compared with what modules were told.
const peersEvery = 250 * time.Millisecond

// Web implements api.Modules.
func (n *Node) Web() http.Handler { return n.modules.Web() }

// Modules implements api.Modules.
func (n *Node) Modules() ([]api.Module, error) { return n.modules.List() }

// AddModule implements api.Modules.
func (n *Node) AddModule(ctx context.Context, bundle io.Reader, source string) (api.Module, error) {
	b, err := io.ReadAll(io.LimitReader(bundle, module.MaxBundle+1))
	if err != nil {
		return api.Module{}, fmt.Errorf("read the module: %w", err)
	}
	if len(b) > module.MaxBundle {
		return api.Module{}, fmt.Errorf("%w: the module has over %d MiB", api.ErrUsage, module.MaxBundle>>20)
	}
	p, err := module.Decode(b)
	if err != nil {
		return api.Module{}, fmt.Errorf("%w: %w", api.ErrUsage, err)
	}
	p.Path = source
	if err := n.modules.Admit(p); err != nil {
		return api.Module{}, err
	}
	return n.modules.Add(ctx, p, source)
}

// ReloadModule implements api.Modules.
func (n *Node) ReloadModule(ctx context.Context, name string) (api.Module, error) {
	source, err := n.cfg.Shelf().Source(name)
	if err != nil {
		return api.Module{}, err
	}
	p, err := module.Open(source)
	if err == nil {
		err = n.modules.Admit(p)
	}
	if err == nil && p.Manifest.Name != name {
		err = fmt.Errorf("%s is module %q now, not %q: add it under that name", source, p.Manifest.Name, name)
	}
	if err != nil {
		return api.Module{}, err
	}
	return n.modules.Add(ctx, p, source)
}

// StartModule implements api.Modules.
func (n *Node) StartModule(ctx context.Context, name string) error {
	err := n.modules.Change(ctx, name, func(name string) error { return n.cfg.Shelf().Want(name, true) })
	if err == nil {
		_, err = n.modules.Settled(ctx, name)
	}
	return err
}

// StopModule implements api.Modules.
func (n *Node) StopModule(ctx context.Context, name string) error {
	return n.modules.Change(ctx, name, func(name string) error { return n.cfg.Shelf().Want(name, false) })
}

// RestartModule implements api.Modules.
func (n *Node) RestartModule(ctx context.Context, name string) error {
	err := n.modules.Restart(name)
	if err == nil {
		_, err = n.modules.Settled(ctx, name)
	}
	return err
}
