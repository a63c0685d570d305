package replicasim

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/crdt/replica"
)

// Limits of what a dishonest peer may do to others.
const (
	evilTime   = 30 * time.Second
	evilWithin = 5 * time.Second
	evilHeap   = 64 << 20
	evilName   = "evil"
	evilPace   = 5 * time.Millisecond // between two bursts
)

// attack is a peer of every honest node, and of no mind to be useful.
type attack struct {
	w   *world
	rng *rand.Rand
	ctx context.Context
}

// sharedSource is drawn from by the goroutines of all streams.
type sharedSource struct {
	mu  sync.Mutex
	src rand.Source
}

// Uint64 implements rand.Source.
func (s *sharedSource) Uint64() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.src.Uint64()
}

// Whatever a peer sends, or does not: the others stay in step within the time
// they always take, and their memory within bounds.
func TestDishonest(t *testing.T) {
	if testing.Short() {
		t.Skip("takes minutes under the race detector, which runs with -short; make test runs it")
	}
	warmUp(t)
	for name, run := range map[string]func(*attack){
		"replays gossip":            (*attack).replay,
		"gossips garbage":           (*attack).garbage,
		"leaves out first entries":  (*attack).gaps,
		"signs two logs":            (*attack).equivocate,
		"wants without end":         (*attack).wants,
		"asks without end":          (*attack).asks,
		"sends heads without end":   (*attack).heads,
		"sends roots without end":   (*attack).roots,
		"sends forged entries":      (*attack).forge,
		"never reads":               (*attack).deaf,
		"never gives credit":        (*attack).mean,
		"stops in mid-frame":        (*attack).half,
		"never says hello":          (*attack).silent,
		"sends frames of two MiB":   (*attack).large,
		"opens streams without end": (*attack).streams,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { besiege(t, run) })
		})
	}
}

func besiege(t *testing.T, run func(*attack)) {
	w := bareWorld(66)
	w.datasets, w.public = []string{"set 0"}, make([]public, 1)
	w.retention = replica.Retention{Age: 5 * time.Second, Spare: -1, Every: 2 * time.Second} // there are states to ask for
	w.forked = evilName                                                                      // it may have signed what it likes
	names := []string{"a", "b", "c"}
	for _, name := range names {
		w.nodes = append(w.nodes, newNode(w, name, name))
	}
	w.net = newNetwork(w, names)
	for _, x := range w.nodes {
		x.now = time.Now
		x.start()
	}
	end := w.began.Add(evilTime)
	ctx, cancel := context.WithCancel(context.Background())
	var siege, work sync.WaitGroup
	siege.Go(func() { run(&attack{w: w, rng: rand.New(&sharedSource{src: w.rng("evil")}), ctx: ctx}) })
	for _, x := range w.nodes {
		k := &worker{w: w, x: x, rng: w.rng("worker " + x.name), j: x.journals[0]}
		work.Go(func() { k.run(end) })
	}
	before := heap()
	time.Sleep(time.Until(end) * 9 / 10)
	if grew := heap() - before; grew > evilHeap {
		t.Errorf("the heap grew by %d MiB", grew>>20)
	}
	work.Wait()
	began := time.Now()
	for w.equal() != nil && time.Since(began) < convergeWithin {
		time.Sleep(pollEvery)
	}
	if took := time.Since(began); took > evilWithin {
		t.Errorf("equal %v after the last write, want within %v: %v", took, evilWithin, w.equal())
	}
	cancel()
	siege.Wait()
	w.converge("the end of the siege")
	w.checkOracle(0)
	for _, x := range w.nodes {
		x.stop()
	}
	if w.failed() {
		t.Error(w.story())
	}
	time.Sleep(storeLinger)
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// gossip delivers a message to some nodes, as much of it as their inboxes take.
func (e *attack) gossip(message []byte, to ...*node) {
	id := e.w.nodes[0].current().sets[0].ID()
	for _, x := range to {
		select {
		case x.current().inbox <- gossip{evilName, id, message}:
		default:
		}
	}
}

// bursts calls f until the end.
func (e *attack) bursts(f func()) {
	for e.ctx.Err() == nil {
		f()
		time.Sleep(evilPace)
	}
}

func (e *attack) replay() {
	e.bursts(func() {
		e.w.net.mu.Lock()
		sent := e.w.net.announced
		e.w.net.mu.Unlock()
		for range min(10, len(sent)) {
			e.gossip(sent[e.rng.IntN(len(sent))], e.w.nodes...)
		}
	})
}

func (e *attack) garbage() {
	e.bursts(func() {
		m := make([]byte, e.rng.IntN(1000))
		for k := range m {
			m[k] = byte(e.rng.Uint32())
		}
		e.gossip(m, e.w.nodes...)
		e.w.net.mu.Lock()
		sent := e.w.net.announced
		e.w.net.mu.Unlock()
		if len(sent) > 0 { // nearly right
			m = append([]byte(nil), sent[e.rng.IntN(len(sent))]...)
			m[e.rng.IntN(len(m))] ^= 1 << e.rng.IntN(8)
			e.gossip(m, e.w.nodes...)
		}
	})
}

// signed makes announcements of an author of its own, twice over: two logs that
// part behind their first entries.
func (e *attack) signed() (common, one, two [][]byte) {
	w := bareWorld(67)
	w.datasets = e.w.datasets
	w.net = newNetwork(w, []string{evilName, evilName + "'"})
	x, y := newNode(w, evilName, evilName), newNode(w, evilName+"'", evilName)
	x.suspect, y.suspect = true, true
	w.net.change([]way{{x.name, y.name}, {y.name, x.name}}, func(l *link) { l.down++ })
	write := func(x *node, n int) (made [][]byte) {
		before := len(w.net.announced)
		i := x.current()
		for k := range n {
			_, _ = i.sets[0].Update(i.ctx, crdt.ORSet, "evil", func(o crdt.Object, _ replica.Now) (crdt.Op, bool) {
				return o.(*crdt.SetState).Add(fmt.Appendf(make([]byte, 0, 8<<10), "%08000d", k)), true
			})
			_ = i.replica.Sync(i.ctx)
		}
		w.net.mu.Lock()
		defer w.net.mu.Unlock()
		return w.net.announced[before:len(w.net.announced):len(w.net.announced)]
	}
	x.start()
	common = write(x, 1)
	y.disk = x.backup()
	y.start()
	one, two = write(x, 200), write(y, 200)
	x.stop()
	y.stop()
	return common, one, two
}

func (e *attack) gaps() {
	_, log, _ := e.signed()
	e.bursts(func() { e.gossip(log[1+e.rng.IntN(len(log)-1)], e.w.nodes...) })
}

func (e *attack) equivocate() {
	common, one, two := e.signed()
	e.gossip(common[0], e.w.nodes...)
	time.Sleep(time.Second)
	k := 0
	e.bursts(func() {
		e.gossip(one[k%len(one)], e.w.nodes[0])
		e.gossip(two[k%len(two)], e.w.nodes[1])
		k++
	})
	for _, x := range e.w.nodes {
		known := false
		for _, m := range x.current().sets[0].Members() {
			known = known || m.Forked
		}
		if !known {
			e.w.failf("%s does not know of the fork", x.name)
		}
	}
}

// frame encodes a frame (frame.go).
func frame(kind byte, parts ...[]byte) []byte {
	var payload []byte
	for _, p := range parts {
		payload = append(payload, p...)
	}
	return append(append(binary.AppendUvarint(nil, uint64(len(payload)+1)), kind), payload...)
}

// stream is a sync stream with a node, opened again whenever it ends.
func (e *attack) stream(x *node, talk func(c conn)) {
	for e.ctx.Err() == nil {
		i := x.current()
		there, back := newHalf(time.Millisecond, rateFull), newHalf(time.Millisecond, rateFull)
		c := conn{back, there}
		stop := context.AfterFunc(e.ctx, func() { _ = c.Close() })
		i.serving.Go(func() { _ = i.replica.Serve(i.ctx, evilName, conn{there, back}) })
		talk(c)
		stop()
		_ = c.Close()
		time.Sleep(100 * time.Millisecond)
	}
}

// talk holds streams with all nodes, and greets as peers do. What they send is
// read, unless listen is false.
func (e *attack) talk(listen bool, say func(c conn)) {
	var wg sync.WaitGroup
	defer wg.Wait()
	id := e.w.nodes[0].current().sets[0].ID()
	for _, x := range e.w.nodes {
		wg.Go(func() {
			e.stream(x, func(c conn) {
				var ears sync.WaitGroup
				defer ears.Wait()
				defer c.Close()
				if listen {
					ears.Go(func() {
						buf := make([]byte, 64<<10)
						for {
							if _, err := c.Read(buf); err != nil {
								return
							}
						}
					})
				}
				_, _ = c.Write(append(frame(1, []byte{1}, e.w.network[:]), frame(2, id[:])...))
				say(c)
			})
		})
	}
}

// repeat sends frames until the stream ends.
func (e *attack) repeat(listen bool, make func(n uint64) []byte) {
	e.talk(listen, func(c conn) {
		for n := uint64(1); e.ctx.Err() == nil; n++ {
			if _, err := c.Write(make(n)); err != nil {
				return
			}
			time.Sleep(evilPace / 5)
		}
	})
}

func (e *attack) dataset() []byte {
	id := e.w.nodes[0].current().sets[0].ID()
	return id[:]
}

func uvarint(v uint64) []byte { return binary.AppendUvarint(nil, v) }

// want asks for everything, a few bytes ahead: an empty version.
func (e *attack) want(n, credit uint64) []byte {
	return frame(5, uvarint(n), e.dataset(), uvarint(credit), uvarint(0))
}

func (e *attack) wants() { e.repeat(true, func(n uint64) []byte { return e.want(n, 1<<20) }) }
func (e *attack) asks() {
	e.repeat(true, func(n uint64) []byte { return frame(12, uvarint(n), e.dataset(), uvarint(1)) })
}

func (e *attack) heads() {
	e.repeat(true, func(uint64) []byte {
		list := make([]byte, 48*200)
		for k := range list {
			list[k] = byte(e.rng.Uint32())
		}
		return frame(9, e.dataset(), list)
	})
}

func (e *attack) roots() {
	e.repeat(true, func(n uint64) []byte { return frame(3, binary.BigEndian.AppendUint64(make([]byte, 8), n)) })
}

func (e *attack) forge() {
	e.repeat(true, func(n uint64) []byte {
		e.w.net.mu.Lock()
		defer e.w.net.mu.Unlock()
		if len(e.w.net.announced) == 0 {
			return e.want(n, 1)
		}
		m := append([]byte(nil), e.w.net.announced[e.rng.IntN(len(e.w.net.announced))][1:]...)
		m[e.rng.IntN(len(m))] ^= 1
		return frame(11, e.dataset(), m, m) // a proof of nothing
	})
}

func (e *attack) deaf() { e.repeat(false, func(n uint64) []byte { return e.want(n, 16<<20) }) }

func (e *attack) mean() {
	e.talk(true, func(c conn) {
		for n := range uint64(50) {
			_, _ = c.Write(e.want(n, 1))
		}
		<-e.ctx.Done()
	})
}

func (e *attack) half() {
	e.talk(true, func(c conn) {
		_, _ = c.Write(append(uvarint(2<<20), 6))
		<-e.ctx.Done()
	})
}

func (e *attack) silent() {
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, x := range e.w.nodes {
		wg.Go(func() { e.stream(x, func(conn) { time.Sleep(time.Minute) }) })
	}
}

func (e *attack) large() {
	body := make([]byte, 2<<20)
	e.talk(true, func(c conn) {
		for e.ctx.Err() == nil {
			if _, err := c.Write(frame(200, body)); err != nil { // of a later version
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
	})
}

func (e *attack) streams() {
	e.talk(true, func(c conn) { time.Sleep(time.Millisecond) })
}
