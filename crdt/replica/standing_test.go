package replica_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/crdt/replica"
	"github.com/numax-mesh/numax/crdt/replica/replicatest"
)

// hearsay is what each node has heard of who may write. Its clocks run as told.
type hearsay struct {
	mu     sync.Mutex
	limits map[string]map[[32]byte]uint64 // by node, then by key; nothing: no limit
	late   time.Duration
}

func newHearsay() *hearsay { return &hearsay{limits: make(map[string]map[[32]byte]uint64)} }

func public(name string) (key [32]byte) {
	copy(key[:], replicatest.Key(name).Public().(ed25519.PublicKey))
	return key
}

// tell lets nodes hear that all of who beyond seq limit falls.
func (h *hearsay) tell(who string, limit uint64, nodes ...*replicatest.Node) {
	for _, x := range nodes {
		h.mu.Lock()
		if h.limits[x.Name] == nil {
			h.limits[x.Name] = make(map[[32]byte]uint64)
		}
		h.limits[x.Name][public(who)] = limit
		h.mu.Unlock()
	}
}

// heard has nodes act on it.
func heard(t *testing.T, nodes ...*replicatest.Node) {
	t.Helper()
	for _, x := range nodes {
		if err := x.Replica.Reauthorize(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
}

func (h *hearsay) change(name string, o *replica.Options) {
	o.Now = func() time.Time {
		h.mu.Lock()
		defer h.mu.Unlock()
		return time.Now().Add(h.late)
	}
	o.Authorize = func(_ replica.DatasetID, a crdt.Author) uint64 {
		b := a.Bytes()
		h.mu.Lock()
		defer h.mu.Unlock()
		if limit, ok := h.limits[name][[32]byte(b[:32])]; ok {
			return limit
		}
		return math.MaxUint64
	}
}

func (h *hearsay) wait(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.late += d
}

func closed(t *testing.T, seed uint64, names ...string) (*replicatest.Net, *hearsay, map[string]*replicatest.Node) {
	return closedKeeping(t, seed, replica.Retention{}, names...)
}

func closedKeeping(t *testing.T, seed uint64, keep replica.Retention, names ...string) (*replicatest.Net, *hearsay, map[string]*replicatest.Node) {
	n, h := replicatest.New(t, seed), newHearsay()
	n.Change, n.Retention = h.change, keep
	nodes := make(map[string]*replicatest.Node)
	for _, name := range names {
		nodes[name] = n.Start(name)
	}
	return n, h, nodes
}

func split(n *replicatest.Net, up bool, left, right []string) {
	for _, a := range left {
		for _, b := range right {
			if up {
				n.Heal(a, b)
			} else {
				n.Cut(a, b)
			}
		}
	}
}

// Who may only read gets everything and writes nothing.
func TestReadOnly(t *testing.T) {
	n, h, nodes := closed(t, 1, "a", "r")
	a, r := nodes["a"], nodes["r"]
	h.tell("r", 0, a, r)
	heard(t, a, r)
	a.Inc("k")
	n.Wait("a reader to see a write", sees(r, "k", "1"))
	_, err := r.D.Update(context.Background(), crdt.GCounter, "k", func(o crdt.Object, now replica.Now) (crdt.Op, bool) {
		return o.(*crdt.GCounterState).Inc(now.Author, 1), true
	})
	if !errors.Is(err, replica.ErrReadOnly) {
		t.Errorf("a reader writes: %v, want %v", err, replica.ErrReadOnly)
	}
	upkeep(a, r)
	if m := a.D.Members(); len(m) != 1 {
		t.Errorf("the reader became an author: %v", m)
	}
}

// What a writer had applied before it heard of a revocation stands everywhere;
// what comes after stands nowhere.
func TestRevokedAuthor(t *testing.T) {
	n, h, nodes := closed(t, 1, "admin", "writer", "reader", "x")
	admin, writer, reader, x := nodes["admin"], nodes["writer"], nodes["reader"], nodes["x"]
	members := []*replicatest.Node{admin, writer, reader}
	h.tell("reader", 0, members...)
	heard(t, members...)
	x.Inc("k")
	for _, m := range members {
		n.Wait("a first op", sees(m, "k", "1"))
	}
	split(n, false, []string{"admin"}, []string{"writer", "reader", "x"})
	x.Inc("k")
	x.Inc("k")
	n.Wait("two more ops on one side", sees(writer, "k", "3"))
	n.Wait("two more ops at a reader", sees(reader, "k", "3"))
	h.tell("x", 1, members...)
	heard(t, admin)
	if admin.Show(crdt.GCounter, "k") != "1" {
		t.Error("the administrator lost what it had")
	}
	heard(t, writer, reader)
	x.Inc("k") // it has not heard, or does not care
	x.Sync()
	split(n, true, []string{"admin"}, []string{"writer", "reader", "x"})
	n.Wait("what the writer had to stand", sees(admin, "k", "3"))
	n.Wait("equal logs", func() bool { return replicatest.Same(members...) })
	writer.Inc("other")
	n.Wait("life to go on", sees(reader, "other", "1"))
	for _, m := range members {
		wantShow(t, m, crdt.GCounter, "k", "3")
	}
	// What stands is known after a restart, too.
	writer.Stop()
	writer.Start()
	heard(t, writer)
	wantShow(t, writer, crdt.GCounter, "k", "3")
	n.Wait("equal logs after a restart", func() bool { return replicatest.Same(members...) })
}

// A reader cannot vouch: what only it has seen goes.
func TestReaderGivesUp(t *testing.T) {
	n, h, nodes := closed(t, 1, "admin", "writer", "reader", "x")
	admin, writer, reader, x := nodes["admin"], nodes["writer"], nodes["reader"], nodes["x"]
	members := []*replicatest.Node{admin, writer, reader}
	h.tell("reader", 0, members...)
	heard(t, members...)
	x.Inc("k")
	writer.Inc("w")
	for _, m := range members {
		n.Wait("first ops", func() bool { return sees(m, "k", "1")() && sees(m, "w", "1")() })
	}
	split(n, false, []string{"admin", "writer"}, []string{"reader", "x"})
	x.Inc("k")
	n.Wait("an op at the reader", sees(reader, "k", "2"))
	h.tell("x", 1, members...)
	heard(t, members...)
	split(n, false, []string{"reader"}, []string{"x"})
	split(n, true, []string{"admin", "writer"}, []string{"reader"})
	n.Wait("a state in its place", func() bool {
		h.wait(time.Minute) // nobody vouches meanwhile
		upkeep(reader)
		return reader.Replica.Stats().StatesJoined.Load() > 0
	})
	n.Wait("the op to be gone", sees(reader, "k", "1"))
	n.Wait("equal logs", func() bool { return replicatest.Same(members...) })
	writer.Inc("w")
	n.Wait("life to go on", sees(reader, "w", "2"))
}

// A writer that may only read from now on gives up what it wrote and nobody had.
func TestDemotedWriter(t *testing.T) {
	n, h, nodes := closed(t, 1, "admin", "x")
	admin, x := nodes["admin"], nodes["x"]
	x.Inc("k")
	n.Wait("a first op", sees(admin, "k", "1"))
	n.Cut("admin", "x")
	x.Inc("k")
	x.Sync()
	h.tell("x", 1, admin, x)
	heard(t, admin, x)
	n.Heal("admin", "x")
	admin.Inc("other")
	n.Wait("the op to be gone", func() bool {
		h.wait(time.Minute)
		upkeep(x)
		return sees(x, "k", "1")()
	})
	n.Wait("equal logs", func() bool { return replicatest.Same(admin, x) })
	n.Wait("life to go on", sees(x, "other", "1"))
}

// A state is taken from writers only: who may not write could put anything in it.
func TestNoStateOfAReader(t *testing.T) {
	n, h, nodes := closed(t, 1, "w")
	n.Retention = replica.Retention{Age: time.Nanosecond, Spare: -1, Every: time.Hour}
	w := nodes["w"]
	for _, name := range []string{"a", "r"} {
		h.tell("r", 0, &replicatest.Node{Name: name})
	}
	r := n.Start("r")
	w.Inc("k")
	n.Wait("a first op", sees(r, "k", "1"))
	upkeep(r, r, r) // its log is cut
	w.Crash()
	h.tell("r", math.MaxUint64, r) // it does not care
	a := n.Start("a")
	n.Wait("an exchange", func() bool { return a.Replica.Stats().Repairs.Load() > 2 || sees(a, "k", "1")() })
	if !sees(a, "k", "0")() {
		t.Error("the state of a reader was taken over")
	}
	w.Start()
	n.Wait("the writer's word", sees(a, "k", "1"))
}

// Whoever hears of what, when, whoever can reach whom, crashes, or has cut its
// logs: in the end all members have the same.
func TestStandingConverges(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			standingWorld(t, seed)
		})
	}
}

func standingWorld(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 2))
	names := []string{"admin", "w1", "w2", "r", "x", "y"}
	keep := replica.Retention{Every: time.Hour}
	if seed%2 == 1 {
		keep = replica.Retention{Every: time.Hour, Age: 20 * time.Millisecond, Spare: -1}
	}
	n, h, nodes := closedKeeping(t, seed, keep, names...)
	members := []*replicatest.Node{nodes["admin"], nodes["w1"], nodes["w2"], nodes["r"]}
	h.tell("r", 0, slicesOf(nodes)...)
	heard(t, slicesOf(nodes)...)
	writers := []string{"admin", "w1", "w2", "x", "y"}
	revoked := make(map[string]uint64)
	for range 60 {
		switch i := rng.IntN(10); {
		case i < 6:
			who := writers[rng.IntN(len(writers))]
			nodes[who].Inc("k of " + who)
		case i < 8:
			a, b := names[rng.IntN(len(names))], names[rng.IntN(len(names))]
			if a != b && rng.IntN(2) == 0 {
				n.Cut(a, b)
			} else if a != b {
				n.Heal(a, b)
			}
		case i == 8:
			who := []string{"x", "y"}[rng.IntN(2)]
			if _, done := revoked[who]; !done && rng.IntN(3) == 0 {
				revoked[who] = nodes["admin"].D.Applied()[nodes[who].Replica.Author()]
				h.tell(who, revoked[who], nodes["admin"])
				heard(t, nodes["admin"])
			}
		case i == 9:
			m := members[rng.IntN(len(members))]
			for who, limit := range revoked {
				h.tell(who, limit, m)
			}
			heard(t, m)
		}
		x := nodes[names[rng.IntN(len(names))]]
		switch rng.IntN(8) {
		case 0, 1:
			x.Sync()
		case 2:
			upkeep(x)
		case 3:
			x.Crash()
			x.Start()
			heard(t, x)
		}
	}
	for _, who := range []string{"x", "y"} {
		if _, done := revoked[who]; !done {
			revoked[who] = nodes["admin"].D.Applied()[nodes[who].Replica.Author()]
		}
		h.tell(who, revoked[who], members...)
		split(n, false, []string{who}, []string{"admin", "w1", "w2", "r", "y"})
	}
	heard(t, members...)
	for i, a := range members {
		for _, b := range members[i+1:] {
			n.Heal(a.Name, b.Name)
		}
	}
	n.WaitFor(10*time.Second, "equal members", func() bool {
		h.wait(time.Minute)
		upkeep(nodes["r"])
		return replicatest.Same(members...)
	})
	// Who takes over a state has its version a moment before its objects.
	n.WaitFor(10*time.Second, "members that show the same", func() bool {
		for _, who := range writers {
			key := "k of " + who
			for _, m := range members[1:] {
				if m.Show(crdt.GCounter, key) != members[0].Show(crdt.GCounter, key) {
					return false
				}
			}
		}
		return true
	})
}

func slicesOf(nodes map[string]*replicatest.Node) (all []*replicatest.Node) {
	for x := range maps.Values(nodes) {
		all = append(all, x)
	}
	return all
}
