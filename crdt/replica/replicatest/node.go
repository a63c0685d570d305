package replicatest

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"sync"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/crdt/replica"
	"github.com/numax-mesh/numax/datastore"
)

// DatasetName is the dataset that every node opens.
const DatasetName = "shared"

// Node is a replica with a store that outlives it. Store, Replica and D are
// those of the present run.
type Node struct {
	Name    string
	key     string // whose identity it has; Name, but for copies
	Store   *datastore.Store
	Replica *replica.Replica
	D       *replica.Dataset

	net     *Net
	dir     string
	opt     datastore.Options
	inbox   chan gossip
	running bool // guarded by Net.mu
	ctx     context.Context
	cancel  context.CancelFunc
	serving sync.WaitGroup // streams that peers opened, and the inbox
	ran     chan error     // what Run returned
}

type gossip struct {
	from    string
	dataset replica.DatasetID
	message []byte
}

// Start makes and starts a node with a directory of its own.
func (n *Net) Start(name string) *Node {
	n.t.Helper()
	return n.StartOver(name, n.t.TempDir(), datastore.Options{})
}

// StartOver makes and starts a node over a store.
func (n *Net) StartOver(name, dir string, o datastore.Options) *Node {
	n.t.Helper()
	return n.start(name, name, dir, o)
}

// StartAs makes and starts a node over a copy of another's directory: it has its
// identity.
func (n *Net) StartAs(name, identity, dir string) *Node {
	n.t.Helper()
	return n.start(name, identity, dir, datastore.Options{})
}

func (n *Net) start(name, identity, dir string, o datastore.Options) *Node {
	n.t.Helper()
	x := &Node{Name: name, key: identity, net: n, dir: dir, opt: o, inbox: make(chan gossip, inboxSize)}
	n.mu.Lock()
	n.nodes[name] = x
	n.mu.Unlock()
	n.t.Cleanup(func() {
		if x.isRunning() {
			x.halt((*datastore.Store).Crash, false)
		}
	})
	x.Start()
	return x
}

func (x *Node) isRunning() bool {
	x.net.mu.Lock()
	defer x.net.mu.Unlock()
	return x.running
}

// Start starts a stopped node again.
func (x *Node) Start() {
	t := x.net.t
	t.Helper()
	var err error
	if x.Store, err = datastore.Open(x.dir, x.opt); err != nil {
		t.Fatal(err)
	}
	o := replica.Options{
		Store: x.Store, Key: Key(x.key), Network: replica.OpenNetwork(NetworkName), Mesh: end{x.net, x},
		Retention: x.net.Retention,
	}
	if x.net.Change != nil {
		x.net.Change(x.Name, &o)
	}
	if x.Replica, err = replica.Open(o); err != nil {
		t.Fatal(err)
	}
	if x.D, err = x.Replica.Dataset(DatasetName); err != nil {
		t.Fatal(err)
	}
	x.ctx, x.cancel = context.WithCancel(context.Background())
	x.ran = make(chan error, 1)
	r, ran, ctx := x.Replica, x.ran, x.ctx
	go func() { ran <- r.Run(ctx) }()
	x.serving.Go(func() { x.listen(ctx, r) })
	x.net.mu.Lock()
	x.running = true
	x.net.mu.Unlock()
	x.net.peersChanged()
}

func (x *Node) listen(ctx context.Context, r *replica.Replica) {
	for {
		select {
		case g := <-x.inbox:
			if verdict, token := r.Validate(g.from, g.dataset, g.message); verdict == replica.Accept {
				r.Receive(ctx, g.from, token)
			}
		case <-ctx.Done():
			return
		}
	}
}

// Stop stops the node properly.
func (x *Node) Stop() {
	x.net.t.Helper()
	x.leave()
	x.cancel()
	x.serving.Wait()
	if err := <-x.ran; err != nil {
		x.net.t.Errorf("Run of %s: %v", x.Name, err)
	}
	if err := x.Store.Close(); err != nil {
		x.net.t.Error(err)
	}
}

// Crash takes the store away under the running node: what is not on disk now
// never will be.
func (x *Node) Crash() { x.halt((*datastore.Store).Crash, true) }

func (x *Node) halt(stop func(*datastore.Store) error, report bool) {
	x.leave()
	if err := stop(x.Store); err != nil && report {
		x.net.t.Error(err)
	}
	x.cancel()
	x.serving.Wait()
	<-x.ran
}

// leave takes the node off the mesh.
func (x *Node) leave() {
	n := x.net
	n.mu.Lock()
	x.running = false
	for l, streams := range n.live {
		if l[0] == x.Name || l[1] == x.Name {
			for _, s := range streams {
				_ = s.Close()
			}
			delete(n.live, l)
		}
	}
	n.mu.Unlock()
	n.peersChanged()
}

// Sync waits until what was written is on disk.
func (x *Node) Sync() {
	x.net.t.Helper()
	if err := x.Replica.Sync(context.Background()); err != nil {
		x.net.t.Fatal(err)
	}
}

// Do applies an op that make returns.
func (x *Node) Do(f crdt.Family, key string, make func(crdt.Object, replica.Now) crdt.Op) crdt.Dot {
	x.net.t.Helper()
	dot, err := x.D.Update(context.Background(), f, key, func(o crdt.Object, now replica.Now) (crdt.Op, bool) {
		return make(o, now), true
	})
	if err != nil {
		x.net.t.Fatalf("%s: update %s %q: %v", x.Name, f, key, err)
	}
	return dot
}

// Inc counts a grow-only counter up by one.
func (x *Node) Inc(key string) {
	x.net.t.Helper()
	x.Do(crdt.GCounter, key, func(o crdt.Object, now replica.Now) crdt.Op {
		return o.(*crdt.GCounterState).Inc(now.Author, 1)
	})
}

// Set writes a register.
func (x *Node) Set(key string, value []byte) {
	x.net.t.Helper()
	x.Do(crdt.LWWRegister, key, func(o crdt.Object, now replica.Now) crdt.Op {
		return o.(*crdt.RegisterState).Set(now.Time, value)
	})
}

// Show is an object as a user sees it.
func (x *Node) Show(f crdt.Family, key string) string {
	x.net.t.Helper()
	var s string
	if err := x.D.View(f, key, func(o crdt.Object) { s = show(o) }); err != nil {
		x.net.t.Fatal(err)
	}
	return s
}

func show(o crdt.Object) string {
	var list []string
	switch o := o.(type) {
	case *crdt.GCounterState:
		return fmt.Sprint(o.Value())
	case *crdt.PNCounterState:
		return fmt.Sprint(o.Value())
	case *crdt.RegisterState:
		v, ok := o.Get()
		return fmt.Sprintf("%q %v", v, ok)
	case *crdt.MapState:
		o.Range(func(f, v []byte) bool { list = append(list, fmt.Sprintf("%q=%q", f, v)); return true })
		sort.Strings(list)
	case *crdt.SetState:
		o.Range(func(e []byte) bool { list = append(list, fmt.Sprintf("%q", e)); return true })
		sort.Strings(list)
	case *crdt.SequenceState:
		o.Range(func(d crdt.Dot, v []byte) bool { list = append(list, fmt.Sprintf("%q", v)); return true })
	}
	return strings.Join(list, " ")
}

// Same reports whether the nodes hold equal logs.
func Same(nodes ...*Node) bool {
	for _, x := range nodes[1:] {
		if x.D.Digest() != nodes[0].D.Digest() {
			return false
		}
	}
	return true
}
