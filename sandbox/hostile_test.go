package sandbox_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/numax-mesh/numax/sandbox"
	"github.com/numax-mesh/numax/sandbox/sandboxtest"
)

// forever is a guest that repeats code, which leaves nothing.
func forever(code ...byte) []byte {
	return sandboxtest.Runs(slices.Concat([]byte{0x03, 0x40}, code, []byte{0x0c, 0, 0x0b})...)
}

// bulk is a memory instruction over the first n bytes, or from byte 8 on to the first.
func bulk(n int32, from int32, op ...byte) []byte {
	return slices.Concat(sandboxtest.Const32(0), sandboxtest.Const32(from), sandboxtest.Const32(n), op)
}

// explodes calls itself twice, 40 levels deep, without a loop: 2⁴⁰ calls.
func explodes() []byte {
	m := new(sandboxtest.Module)
	deeper := slices.Concat([]byte{0x20, 0}, sandboxtest.Const32(1), []byte{0x6b}, sandboxtest.CallFunc(0))
	f := m.Func(types{i32}, nil, slices.Concat([]byte{0x20, 0, 0x04, 0x40}, deeper, deeper, []byte{0x0b})...)
	m.Export("run", m.Func(nil, nil, append(sandboxtest.Const32(40), sandboxtest.CallFunc(f)...)...))
	return m.Bytes()
}

// straight is a loop of code without branches, far longer than what is charged at once.
func straight() []byte {
	return forever(slices.Repeat([]byte{0x41, 1, 0x1a}, 100_000)...)
}

// skips is a loop whose branches go around the code where long paths are charged.
func skips() []byte {
	work := slices.Repeat([]byte{0x41, 1, 0x1a}, 60)
	return forever(slices.Repeat(slices.Concat([]byte{0x02, 0x40}, work, []byte{0x0c, 0}, slices.Repeat([]byte{0x01}, 200), []byte{0x0b}), 2000)...)
}

const megabytes = 200 // of memory that bulk guests move: below the default limit

// endless are guests that never return.
func endless() map[string][]byte {
	grown := slices.Concat(sandboxtest.Grow(megabytes<<4), sandboxtest.Drop())
	inLoop := func(code []byte) []byte {
		return sandboxtest.Runs(slices.Concat(grown, []byte{0x03, 0x40}, code, []byte{0x0c, 0, 0x0b})...)
	}
	const most = megabytes << 20
	host := new(sandboxtest.Module)
	now := host.Import("nx", "time_now", nil, types{i64})
	host.Export("run", host.Func(nil, nil, slices.Concat([]byte{0x03, 0x40}, sandboxtest.CallFunc(now), []byte{0x1a, 0x0c, 0, 0x0b})...))
	random := new(sandboxtest.Module)
	get := random.Import("wasi_snapshot_preview1", "random_get", types{i32, i32}, types{i32})
	random.Memory(megabytes<<4, "memory")
	random.Export("run", random.Func(nil, nil, slices.Concat([]byte{0x03, 0x40}, sandboxtest.Const32(0), sandboxtest.Const32(most),
		sandboxtest.CallFunc(get), []byte{0x1a, 0x0c, 0, 0x0b})...))
	start := new(sandboxtest.Module)
	start.Start(start.Func(nil, nil, sandboxtest.Forever()...))
	start.Export("run", start.Func(nil, nil))
	return map[string][]byte{
		"loop":                  forever(),
		"loop in start section": start.Bytes(),
		"straight line":         straight(),
		"around the charges":    skips(),
		"exponential recursion": explodes(),
		"memory bomb":           forever(append(sandboxtest.Grow(1), sandboxtest.Drop()...)...),
		"fill":                  inLoop(bulk(most, 7, 0xfc, 11, 0)),
		"copy":                  inLoop(bulk(most, 8, 0xfc, 10, 0, 0)),
		"copy of nothing":       inLoop(bulk(0, 0, 0xfc, 10, 0, 0)),
		"host calls":            host.Bytes(),
		"randomness":            random.Bytes(),
	}
}

// late is how much longer than its limit a guest may run.
const late = 50 * time.Millisecond

// check holds the median against a limit: a machine that does other things too is slow now and then, a guest that
// cannot be stopped always.
func check(t *testing.T, what string, took []time.Duration, limit time.Duration) {
	t.Helper()
	slices.Sort(took)
	median := took[len(took)/2]
	t.Logf("%s %v, at most %v", what, median, took[len(took)-1])
	limit *= 4 // what is logged is the figure; what is asserted is that it ends
	if raceEnabled {
		limit *= 10
	}
	if median > limit {
		t.Errorf("%s %v, want at most %v", what, median, limit)
	}
}

// Guests that never return end soon after their deadline, with an error that names it.
func TestHostileEnd(t *testing.T) {
	const deadline = 60 * time.Millisecond
	for name, wasm := range endless() {
		m := compile(t, wasm)
		var took []time.Duration
		for range 5 {
			begin := time.Now()
			err := m.Run(t.Context(), sandbox.Call{Deadline: deadline})
			took = append(took, time.Since(begin)-deadline)
			var late *sandbox.DeadlineError
			if !errors.As(err, &late) || !strings.Contains(err.Error(), "deadline of 60ms") {
				t.Fatalf("%s: %v", name, err)
			}
		}
		check(t, name+" ended after its deadline by", took, late)
	}
}

// Whatever guests do, the garbage collector, and with it every other goroutine, does not wait for them.
func TestHostileAndGC(t *testing.T) {
	for name, wasm := range endless() {
		m := compile(t, wasm)
		ctx, cancel := context.WithCancel(t.Context())
		var guests sync.WaitGroup
		for range 2 {
			guests.Go(func() {
				if err := m.Run(ctx, sandbox.Call{}); !errors.Is(err, context.Canceled) {
					t.Errorf("%s: %v", name, err)
				}
			})
		}
		var took []time.Duration
		for range 10 {
			begin := time.Now()
			runtime.GC()
			took = append(took, time.Since(begin))
		}
		cancel()
		guests.Wait()
		check(t, name+", and a collection took", took, 100*time.Millisecond)
	}
}

// The other limits: each has an error that names it.
func TestHostileLimits(t *testing.T) {
	tables := new(sandboxtest.Module)
	tables.Table(10)
	tables.Export("run", tables.Func(nil, nil, slices.Concat([]byte{0xd0, 0x70}, sandboxtest.Const32(1<<20), []byte{0xfc, 15, 0}, sandboxtest.TrapUnless32(-1))...))
	if err := compile(t, tables.Bytes()).Run(t.Context(), sandbox.Call{}); err != nil {
		t.Errorf("a table grew over its limit: %v", err)
	}
	var trap *sandbox.TrapError
	if err := compile(t, sandboxtest.Recurses()).Run(t.Context(), sandbox.Call{Deadline: time.Minute}); !errors.As(err, &trap) || !strings.HasPrefix(trap.Cause, "stack overflow") {
		t.Errorf("recursion: %v", err)
	}
	var budget *sandbox.BudgetError
	for name, wasm := range endless() {
		if name == "randomness" {
			continue // waits more than it computes: 500 calls to a tick
		}
		err := compile(t, wasm).Run(t.Context(), sandbox.Call{Budget: 5_000_000})
		if !errors.As(err, &budget) || !strings.Contains(err.Error(), "CPU budget of 5000000 units") {
			t.Errorf("%s over its budget: %v", name, err)
		}
	}
}

// A guest's stack is bounded: recursion is fine that far, and an instance does not keep what one deep call needed.
func TestStack(t *testing.T) {
	deep := func(levels int32) []byte { // f(n) = n == 0 ? 0 : f(n-1)
		m := new(sandboxtest.Module)
		f := m.Func(types{i32}, nil, slices.Concat([]byte{0x20, 0, 0x04, 0x40, 0x20, 0}, sandboxtest.Const32(1), []byte{0x6b},
			sandboxtest.CallFunc(0), []byte{0x0b})...)
		m.On(sandbox.OnTick, append(sandboxtest.Const32(levels), sandboxtest.CallFunc(f)...)...)
		return m.Bytes()
	}
	i := start(t, compile(t, deep(40_000)), sandbox.Call{})
	for range 2 {
		if err := tick(i); err != nil {
			t.Fatalf("40,000 levels: %v", err)
		}
	}
	if size, known := i.StackSize(sandbox.OnTick); size != 0 {
		t.Errorf("the instance keeps a stack of %d bytes", size)
	} else if !known {
		t.Skip("guests are interpreted here, with another bound")
	}
	i = start(t, compile(t, deep(1<<30)), sandbox.Call{})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err := tick(i)
	runtime.ReadMemStats(&after)
	if err == nil || !strings.Contains(err.Error(), "stack overflow: over 8 MiB") {
		t.Errorf("without an end: %v", err)
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > 8*sandbox.MaxStack {
		t.Errorf("an overflow took %d MiB", took>>20)
	}
}

// A list that does not fit in what the guest offers is not visited to its end, as a dataset is locked meanwhile.
func TestListsEnd(t *testing.T) {
	m := new(sandboxtest.Module)
	var code []byte
	for _, name := range []string{"crdt_lww_map_entries", "crdt_orset_elements", "crdt_rga_values"} {
		f := m.Import("nx", name, types{i32, i32, i32, i32}, types{i32})
		for _, a := range consts(0, 1, 1024, 100) {
			code = append(code, a...)
		}
		code = slices.Concat(code, sandboxtest.CallFunc(f), sandboxtest.TrapUnless32(-2))
	}
	m.Memory(1, "memory")
	m.Export("run", m.Func(nil, nil, code...))
	h := sandboxtest.NewNode().Host()
	data := &large{CRDT: h.CRDT}
	h.CRDT = data
	if err := compile(t, m.Bytes()).Run(t.Context(), sandbox.Call{Host: h}); err != nil {
		t.Fatal(err)
	}
	if most := 3 * 100 / 4; data.visits == 0 || data.visits > most {
		t.Errorf("%d elements visited, at most %d fit", data.visits, most)
	}
}

// large is a dataset of large objects.
type large struct {
	sandbox.CRDT
	visits int
}

func (l *large) visit(one func() bool) error {
	for range 1 << 20 {
		if l.visits++; !one() {
			break
		}
	}
	return nil
}

func (l *large) MapEntries(_ string, visit func(string, []byte) bool) error {
	return l.visit(func() bool { return visit("f", []byte("v")) })
}

func (l *large) SetElements(_ string, visit func(string) bool) error {
	return l.visit(func() bool { return visit("e") })
}

func (l *large) RGAValues(_ string, visit func([]byte) bool) error {
	return l.visit(func() bool { return visit([]byte("v")) })
}

// Close ends guests that run.
func TestCloseEndsGuests(t *testing.T) {
	r := newRuntime(t, sandbox.Config{})
	m := new(sandboxtest.Module)
	log := m.Import("nx", "host_log", types{i32, i32}, nil)
	m.Memory(1, "memory")
	m.Export("run", m.Func(nil, nil, append(sandboxtest.SayCode(log, "up"), sandboxtest.Forever()...)...))
	guest, err := r.Compile(t.Context(), "x", m.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	up, done := make(chan struct{}), make(chan error)
	go func() {
		done <- guest.Run(t.Context(), sandbox.Call{Host: sandbox.Host{Log: func(string) { close(up) }}})
	}()
	<-up
	if err := r.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-done; err == nil || !strings.Contains(err.Error(), "the sandbox was closed") {
		t.Errorf("run: %v", err)
	}
}
