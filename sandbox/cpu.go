package sandbox

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// CPU is the processor time that guests of one module share: a token bucket that fills at share cores. A guest that
// has used up more than there is waits at its next tick; its deadline goes on meanwhile. It is safe for concurrent
// use.
//
//	tokens ≤ burst ──► a guest runs: tokens fall, also below zero ──► tick: it sleeps until they are zero again
type CPU struct {
	share float64 // of one core

	mu     sync.Mutex // guards the rest
	tokens time.Duration
	filled time.Time
	used   time.Duration
	waited time.Duration
	ticked time.Time // when one of the guests last did
}

// cpuBurst is how long a guest that was quiet may run at full speed, before its share counts.
const cpuBurst = 100 * time.Millisecond

// NewCPU is for guests that may use share of one core on the average; 0 = as much as there is, and use is counted.
func NewCPU(share float64) *CPU { return &CPU{share: share, tokens: cpuBurst, filled: time.Now()} }

// Used is how long the guests ran and how long they had to wait because they ran too long.
func (c *CPU) Used() (ran, waited time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.used, c.waited
}

// charge takes what a guest used and returns how long it has to wait.
func (c *CPU) charge(now time.Time, took time.Duration) (wait time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.used += took
	if c.share <= 0 {
		return 0
	}
	c.tokens = min(c.tokens+time.Duration(float64(now.Sub(c.filled))*c.share), cpuBurst) - took
	c.filled = now
	if c.tokens >= 0 {
		return 0
	}
	wait = time.Duration(float64(-c.tokens) / c.share)
	c.waited += wait
	return wait
}

// Spend charges for what the host did for the module, and waits as a guest would that has used more than its share.
func (c *CPU) Spend(ctx context.Context, took time.Duration) error {
	wait := c.charge(time.Now(), took)
	if wait <= 0 {
		return nil
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// yieldEvery is how often the thread of a guest that computes gives way to others. More often, a busy machine's other
// programs would take nearly all of it, as each has a whole time slice then.
const yieldEvery = time.Millisecond

// restful is how long after a tick the next is no sign of computing: a tick is some 100 µs of work, so a module with
// longer pauses leaves nine tenths of a core to others.
const restful = time.Millisecond

// computes is asked at each tick: whether the last one was just now.
func (c *CPU) computes(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	last := c.ticked
	c.ticked = now
	return now.Sub(last) < restful
}

// slice is how long a guest keeps its turn while others wait for one.
const slice = 5 * time.Millisecond

// turns are how many guests may compute at once: one less than there are processors, so that the node itself always
// has one. A guest takes a turn at a tick that follows soon on another of its module, and gives it back when its call
// ends or waits. Ticks of calls that are short and few never need one: they would wait behind all who compute.
type turns struct {
	free    chan struct{}
	waiting atomic.Int32
}

func newTurns(n int) *turns {
	t := &turns{free: make(chan struct{}, n)}
	for range n {
		t.free <- struct{}{}
	}
	return t
}

// take ends the guest when its call ends first.
func (t *turns) take(g *guest) {
	select {
	case <-t.free:
		return
	default:
	}
	t.waiting.Add(1)
	defer t.waiting.Add(-1)
	select {
	case <-t.free:
	case <-g.ctx.Done():
		panic(errStopped)
	}
}

func (t *turns) give() { t.free <- struct{}{} }

// clock is the part of a guest that counts its time.
type clock struct {
	turns *turns
	cpu   *CPU
	since time.Time // when it last began to run; zero = it waits
	turn  time.Time // when it took its turn; zero = it has none

	yielded time.Time // when its thread last gave way
	calls   int       // of host functions
}

// enter is resume for a call that begins: if its module has used more than its share it waits first, so that many
// short calls get no more than a long one.
func (g *guest) enter() error {
	if g.cpu != nil {
		if wait := g.cpu.charge(time.Now(), 0); wait > 0 && !g.sleeps(wait) {
			return errStopped
		}
	}
	g.resume()
	return nil
}

// resume begins to count.
func (g *guest) resume() { g.since = time.Now() }

// pause stops counting: the guest waits for others, or its call is over.
func (g *guest) pause() {
	if g.cpu != nil && !g.since.IsZero() {
		now := time.Now()
		g.cpu.charge(now, now.Sub(g.since))
	}
	g.since = time.Time{}
	g.giveTurn()
}

func (g *guest) giveTurn() {
	if !g.turn.IsZero() {
		g.turn = time.Time{}
		g.turns.give()
	}
}

// wait is for host functions that wait for something else than the processor.
func (g *guest) wait(f func()) {
	g.pause()
	defer g.resume()
	f()
}

// spend is called while a guest computes. It gives way, and makes the guest wait when its module has used more than its
// share, and when it is others' turn.
func (g *guest) spend() {
	g.tell()
	now := time.Now()
	ran := now.Sub(g.since)
	// Who ran so long between two ticks had the host compute.
	computes := g.cpu == nil || g.cpu.computes(now) || ran > slice
	g.since = time.Time{} // what follows may end the call, and is no use of the processor
	if g.cpu != nil {
		if wait := g.cpu.charge(now, ran); wait > 0 {
			g.giveTurn()
			g.rest(wait)
		}
	}
	if !g.turn.IsZero() && now.Sub(g.turn) > slice && g.turns.waiting.Load() > 0 {
		g.giveTurn()
	}
	if computes && g.turn.IsZero() {
		g.turns.take(g)
		g.turn = time.Now()
	}
	runtime.Gosched()
	if now.Sub(g.yielded) > yieldEvery {
		yieldThread()
		g.yielded = now
	}
	g.since = time.Now()
}

// rest ends the guest when its call ends before.
func (g *guest) rest(d time.Duration) {
	if !g.sleeps(d) {
		panic(errStopped)
	}
}

// sleeps is false when the call ends before.
func (g *guest) sleeps(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-g.ctx.Done():
		return false
	}
}
