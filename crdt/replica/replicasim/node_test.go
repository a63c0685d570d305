package replicasim

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/zeebo/blake3"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/crdt/replica"
	"github.com/numax-mesh/numax/datastore"
	"github.com/numax-mesh/numax/datastore/datastoretest"
)

// node is a machine: an identity, a disk and a clock that outlive its
// incarnations. Only its keeper starts and stops it.
type node struct {
	w        *world
	name     string
	identity string        // whose key it has: its name, but for a copy
	late     time.Duration // when it is started first
	copyOf   *node         // whose disk it begins with; its keeper starts it then
	suspect  bool          // its log forks: what it writes is not journaled, and has keys of its own
	rng      *rand.Rand    // the keeper's
	journals []*journal    // one a dataset

	// The keeper's too.
	disk *disk
	now  func() time.Time
	runs int

	mu  sync.Mutex   // guards cur
	cur *incarnation // nil while it is down
}

// incarnation is one run of a node, from start to stop or crash.
type incarnation struct {
	node    *node
	run     int
	store   *datastore.Store
	replica *replica.Replica
	sets    []*replica.Dataset
	inbox   chan gossip
	ctx     context.Context
	cancel  context.CancelFunc
	serving sync.WaitGroup
	ran     chan error
}

func newNode(w *world, name, identity string) *node {
	x := &node{w: w, name: name, identity: identity, rng: w.rng("keeper " + name), disk: newDisk()}
	for range w.datasets {
		x.journals = append(x.journals, &journal{})
	}
	x.setClock()
	return x
}

// setClock gives the node another wrong clock, or a right one.
//
// Readings keep Go's monotonic part, as time.Now does, which moves with the
// offset: so it changes only between two runs.
func (x *node) setClock() {
	start := time.Now()
	offset, drift := time.Duration(0), 0.0
	switch x.rng.IntN(6) {
	case 0:
		offset = time.Until(time.Unix(0, 0)) // a board without a battery
	case 1:
		offset = time.Until(time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC))
	case 2:
		drift = x.rng.Float64()*0.1 - 0.05
	case 3:
		offset = time.Duration(x.rng.IntN(240_000)-120_000) * time.Millisecond
	}
	x.now = func() time.Time {
		t := time.Now()
		return t.Add(offset + time.Duration(drift*float64(t.Sub(start))))
	}
}

func (x *node) current() *incarnation {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.cur
}

func identity(name string) ed25519.PrivateKey {
	seed := blake3.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

// start starts the node over its disk and checks what it finds there.
func (x *node) start() {
	i := &incarnation{node: x, inbox: make(chan gossip, inboxSize), ran: make(chan error, 1)}
	if err := i.open(); err != nil {
		x.w.failf("%s does not start: %v", x.name, err)
		return
	}
	x.runs++
	i.run = x.runs
	if !x.suspect && !x.w.forgetful {
		for k, d := range i.sets {
			x.journals[k].restarted(x.w, i, d, k)
		}
	}
	i.ctx, i.cancel = context.WithCancel(context.Background())
	go func() { i.ran <- i.replica.Run(i.ctx) }()
	i.serving.Go(i.listen)
	x.w.net.join(i)
	x.mu.Lock()
	x.cur = i
	x.mu.Unlock()
}

func (i *incarnation) open() (err error) {
	x := i.node
	if i.store, err = datastore.Open("", datastore.Options{Storage: x.disk}); err != nil {
		return err
	}
	if i.replica, err = replica.Open(replica.Options{
		Store: i.store, Key: identity(x.identity), Network: x.w.network, Mesh: i, Now: x.now, Retention: x.w.retention,
		Log: slog.New(&logTo{w: x.w, node: x.name}),
	}); err != nil {
		return err
	}
	for _, name := range x.w.datasets {
		d, err := i.replica.Dataset(name)
		if err != nil {
			return err
		}
		i.sets = append(i.sets, d)
	}
	return nil
}

// crash takes the power away, in the middle of a write if there is one.
func (x *node) crash() {
	i := x.depart()
	if i == nil {
		return
	}
	x.disk.Fail(datastoretest.FailShort, x.rng.IntN(4))
	time.Sleep(time.Duration(x.rng.IntN(10)) * time.Millisecond)
	_ = i.store.Crash()
	i.cancel()
	i.serving.Wait()
	<-i.ran
	next, err := x.disk.afterPowerCut(x.rng)
	if err != nil {
		x.w.failf("%s: disk: %v", x.name, err)
		return
	}
	x.disk = next
}

// stop stops the node properly: what it accepted is on disk then.
func (x *node) stop() {
	i := x.depart()
	if i == nil {
		return
	}
	for _, j := range x.journals {
		j.acknowledge(i.run)
	}
	i.cancel()
	i.serving.Wait()
	if err := <-i.ran; err != nil {
		x.w.failf("%s: Run: %v", x.name, err)
	}
	if err := i.store.Close(); err != nil {
		x.w.failf("%s: close: %v", x.name, err)
	}
}

// depart takes the node off the mesh and from its workers.
func (x *node) depart() *incarnation {
	x.mu.Lock()
	i := x.cur
	x.cur = nil
	x.mu.Unlock()
	if i != nil {
		x.w.net.leave(i)
		x.w.joined.Add(i.replica.Stats().StatesJoined.Load())
	}
	return i
}

// failDisk makes the disk fail for a while, which may be the end of the node.
func (x *node) failDisk(fault datastoretest.Fault, after int, for_ time.Duration, crash bool) {
	x.disk.Fail(fault, after)
	time.Sleep(for_)
	if crash {
		x.crash()
		time.Sleep(for_)
		x.start()
		return
	}
	x.disk.Fail(datastoretest.NoFault, 0)
}

// logTo keeps the last lines of all nodes, to be shown with a failure.
type logTo struct {
	w    *world
	node string
}

const maxLines = 200

func (*logTo) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelInfo }
func (l *logTo) WithAttrs([]slog.Attr) slog.Handler         { return l }
func (l *logTo) WithGroup(string) slog.Handler              { return l }

func (l *logTo) Handle(_ context.Context, r slog.Record) error {
	line := fmt.Sprintf("%8.3fs %s %v %s", l.w.elapsed().Seconds(), l.node, r.Level, r.Message)
	r.Attrs(func(a slog.Attr) bool { line += fmt.Sprintf(" %v", a); return true })
	if strings.Contains(line, "malformed") && strings.Contains(line, "peer=") && !strings.Contains(line, "peer="+evilName) {
		l.w.failf("blamed an honest peer: %s", line)
	}
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	if len(l.w.lines) == maxLines {
		l.w.lines = l.w.lines[1:]
	}
	l.w.lines = append(l.w.lines, line)
	return nil
}

// author is whom the node writes as. It has no reason ever to change.
func (i *incarnation) author() crdt.Author { return i.replica.Author() }
