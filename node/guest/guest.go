package guest

import (
	"context"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/numax-mesh/numax/crdt/replica"
	"github.com/numax-mesh/numax/node/module"
	"github.com/numax-mesh/numax/sandbox"
)

// World is what there is on the node, for every guest the same.
type World struct {
	Replica *replica.Replica
	Dataset string // that crdt_* calls mean until a guest chooses another
	Net     Net    // nil = sync is off: CRDTs too
}

// Net is the network as guests see it.
type Net interface {
	ID() string
	GuestPeers() []sandbox.Peer
}

// Use is what the instances of one module share: what they may take, and what they took.
type Use struct {
	Writes *Rate  // nil = unbounded
	Space  *Space // nil = unbounded
}

// Guest is what one instance sees. It is for the goroutine that calls the instance.
type Guest struct {
	world  World
	grants *module.Grants // nil = the plain ABI: the default dataset, and nothing of what needs a grant
	writes *Rate
	ctx    context.Context // of the call under way
	wrote  bool            // since it was settled
}

// Host is the sandbox's view of a new guest, with no service, messages, web or blobs, which are the caller's to add. keySpace
// is where its db_* keys are; grants nil is a module run by hand.
func Host(w World, keySpace string, grants *module.Grants, use Use) (*Guest, sandbox.Host) {
	g := &Guest{world: w, grants: grants, writes: use.Writes, ctx: context.Background()}
	h := sandbox.Host{
		KV:      keys{g, w.Replica.Keys(keySpace), use.Space},
		CRDT:    noSync{w.Replica},
		Env:     g.env,
		Calling: func(ctx context.Context) { g.ctx = ctx },
	}
	if w.Net != nil {
		h.Net = net{g}
		h.CRDT = g.Data(g.first())
	}
	if grants != nil {
		h.WithholdTime, h.WithholdRandom = !grants.Time, !grants.Random
	}
	return g, h
}

func (g *Guest) env(name string) (string, error) {
	if g.grants != nil && !g.grants.CanEnv(name) {
		return "", sandbox.ErrDenied
	}
	if v, ok := os.LookupEnv(name); ok {
		return v, nil
	}
	return "", sandbox.ErrNotFound
}

// Settle waits until what the guest wrote is on disk. What a guest tells others comes after it, so that nobody hears
// of a write that a crash takes back.
func (g *Guest) Settle(ctx context.Context) error {
	if !g.wrote {
		return nil
	}
	err := guestError(g.world.Replica.Sync(ctx))
	g.wrote = err != nil
	return err
}

// Writes asks whether the guest may have so many bytes written elsewhere than among its keys and objects.
func (g *Guest) Writes(size int) error { return g.writes.take(1, size) }

// SettleCall is Settle within the time of the call under way.
func (g *Guest) SettleCall() error { return g.Settle(g.ctx) }

// first is the dataset a guest begins with: the node's default, unless it was granted others alone.
func (g *Guest) first() string {
	if g.grants == nil || g.grants.CanUse(g.world.Dataset) || len(g.grants.Data) == 0 {
		return g.world.Dataset
	}
	return g.grants.Data[0].Dataset
}

// First is the name of the dataset that the guest uses before it chooses.
func (g *Guest) First() string { return g.first() }

// Data is a dataset as the guest may use it; nil if the node does not have it.
func (g *Guest) Data(name string) sandbox.CRDT {
	if d := g.Dataset(name); d != nil && g.world.Net != nil {
		return data{g, d}
	}
	return nil
}

// Dataset is the dataset itself; nil if the node does not have it.
func (g *Guest) Dataset(name string) *replica.Dataset {
	all := g.world.Replica.Datasets()
	if i := slices.IndexFunc(all, func(d *replica.Dataset) bool { return d.Name() == name }); i >= 0 {
		return all[i]
	}
	return nil
}

// net is sandbox.Net.
type net struct{ *Guest }

func (n net) NodeID() (string, error) { return n.world.Net.ID(), nil }

func (n net) Peers() ([]sandbox.Peer, error) {
	if n.grants != nil && !n.grants.Peers {
		return nil, sandbox.ErrDenied
	}
	peers := n.world.Net.GuestPeers()
	slices.SortFunc(peers, func(a, b sandbox.Peer) int { return strings.Compare(a.Addr, b.Addr) })
	return peers[:min(len(peers), math.MaxInt16)], nil
}
