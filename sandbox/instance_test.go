package sandbox_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/numax-mesh/numax/sandbox"
	"github.com/numax-mesh/numax/sandbox/sandboxtest"
)

// diary is a guest that logs the name of each export that is called, plus what more code does.
func diary(more map[string][]byte) []byte {
	m := new(sandboxtest.Module)
	log := m.Import("nx", "host_log", types{i32, i32}, nil)
	m.Memory(1, "memory")
	for _, name := range []string{"_initialize", "init", "run", "on_tick", "on_change", "shutdown"} {
		m.On(name, append(sandboxtest.SayCode(log, name), more[name]...)...)
	}
	return m.Bytes()
}

func start(t *testing.T, m *sandbox.Module, c sandbox.Call) *sandbox.Instance {
	t.Helper()
	i, err := m.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { i.Close(context.Background()) })
	return i
}

func tick(i *sandbox.Instance) error {
	return i.Handle(context.Background(), &sandbox.Event{Name: sandbox.OnTick})
}

// An instance is called in order, keeps its memory, and is over once it is closed.
func TestInstanceLives(t *testing.T) {
	count := slices.Concat(sandboxtest.Const32(100), []byte{0x41, 0xe4, 0x00, 0x28, 2, 0}, sandboxtest.Const32(1), []byte{0x6a, 0x36, 2, 0},
		[]byte{0x41, 0xe4, 0x00, 0x28, 2, 0}, sandboxtest.Const32(3), []byte{0x46, 0x04, 0x40, 0x00, 0x0b}) // the third tick traps
	m := compile(t, diary(map[string][]byte{"on_tick": count}))
	node := sandboxtest.NewNode()
	i := start(t, m, sandbox.Call{Host: node.Host()})
	for range 2 {
		if err := tick(i); err != nil {
			t.Fatal(err)
		}
	}
	var trap *sandbox.TrapError
	err := tick(i)
	if !errors.As(err, &trap) || !strings.Contains(err.Error(), "in on_tick: guest trap: unreachable") {
		t.Errorf("third tick: %v", err)
	}
	if err := tick(i); !errors.Is(err, sandbox.ErrEnded) {
		t.Errorf("after a trap: %v", err)
	}
	if err := i.Close(t.Context()); err != nil {
		t.Errorf("close after a trap: %v", err)
	}
	i = start(t, m, sandbox.Call{Host: node.Host()})
	if err := i.Close(t.Context()); err != nil {
		t.Error(err)
	}
	got := strings.ReplaceAll(strings.Join(node.Logs(), " "), "[guest] ", "")
	if want := "_initialize init on_tick on_tick on_tick _initialize init shutdown"; got != want {
		t.Errorf("called %s, want %s", got, want)
	}
}

func TestModuleReacts(t *testing.T) {
	m := compile(t, diary(nil))
	if !m.Reacts() || m.Entry() != "run" || !m.Handles(sandbox.OnChange) || m.Handles(sandbox.OnMessage) {
		t.Errorf("reacts %v, entry %s", m.Reacts(), m.Entry())
	}
	only := new(sandboxtest.Module)
	only.On(sandbox.OnTick)
	if m := compile(t, only.Bytes()); m.Entry() != "" || !m.Reacts() {
		t.Errorf("a guest with a handler alone: entry %q, reacts %v", m.Entry(), m.Reacts())
	} else if err := m.Run(t.Context(), sandbox.Call{}); err == nil || !strings.Contains(err.Error(), "reacts to events only") {
		t.Errorf("run of a guest without entry: %v", err)
	}
	wrong := new(sandboxtest.Module)
	wrong.Export("on_tick", wrong.Func(types{i32}, nil))
	wrong.On("run")
	_, err := newRuntime(t, sandbox.Config{}).Compile(t.Context(), "m", wrong.Bytes())
	if err == nil || !strings.Contains(err.Error(), "on_tick has the type (i32) -> ()") {
		t.Errorf("handler of a wrong type: %v", err)
	}
}

// The deadline is of each call, and a start that does not end is ended.
func TestInstanceDeadlines(t *testing.T) {
	const deadline = 50 * time.Millisecond
	call := sandbox.Call{Deadline: deadline}
	_, err := compile(t, diary(map[string][]byte{"init": sandboxtest.Forever()})).Start(t.Context(), call)
	if late := new(sandbox.DeadlineError); !errors.As(err, &late) {
		t.Errorf("init without end: %v", err)
	}
	i := start(t, compile(t, diary(map[string][]byte{"on_change": sandboxtest.Forever(), "shutdown": sandboxtest.Forever()})), call)
	time.Sleep(2 * deadline) // it has no deadline while it is not called
	if err := tick(i); err != nil {
		t.Errorf("a short call after a long life: %v", err)
	}
	err = i.Handle(t.Context(), &sandbox.Event{Name: sandbox.OnChange})
	if late := new(sandbox.DeadlineError); !errors.As(err, &late) {
		t.Errorf("handler without end: %v", err)
	}
	i = start(t, compile(t, diary(map[string][]byte{"shutdown": sandboxtest.Forever()})), call)
	if err := i.Close(t.Context()); err == nil {
		t.Error("shutdown without end: no error")
	}
}

// A guest that exits in a call is over, without blame.
func TestInstanceExits(t *testing.T) {
	m := new(sandboxtest.Module)
	exit := m.Import("wasi_snapshot_preview1", "proc_exit", types{i32}, nil)
	m.On(sandbox.OnTick, append(sandboxtest.Const32(0), sandboxtest.CallFunc(exit)...)...)
	i := start(t, compile(t, m.Bytes()), sandbox.Call{})
	if err := tick(i); !errors.Is(err, sandbox.ErrEnded) {
		t.Errorf("proc_exit(0): %v", err)
	}
}

// Answer makes a fresh instance for each event.
func TestAnswer(t *testing.T) {
	once := slices.Concat([]byte{0x41, 0xe4, 0x00, 0x28, 2, 0, 0x04, 0x40, 0x00, 0x0b}, sandboxtest.Const32(100), sandboxtest.Const32(1), []byte{0x36, 2, 0})
	m := compile(t, diary(map[string][]byte{"on_tick": once})) // traps if it was called before
	for range 3 {
		if err := m.Answer(t.Context(), sandbox.Call{}, &sandbox.Event{Name: sandbox.OnTick}); err != nil {
			t.Fatal(err)
		}
	}
}

// Many short calls, which never tick, get no more of a core than one long call.
func TestShortCallsShare(t *testing.T) {
	work := slices.Repeat([]byte{0x41, 1, 0x1a}, 10_000) // below a quantum
	m := new(sandboxtest.Module)
	m.On(sandbox.OnTick, work...)
	cpu := sandbox.NewCPU(0.1)
	i := start(t, compile(t, m.Bytes()), sandbox.Call{CPU: cpu})
	for end := time.Now().Add(20 * time.Second); ; {
		if err := tick(i); err != nil {
			t.Fatal(err)
		}
		ran, waited := cpu.Used()
		if waited > 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("calls ran %v with a tenth of a core, and never waited", ran)
		}
	}
}

// Guests that compute share their part of the machine: a share of a core is kept to within what a burst allows, and
// nobody of those who wait for a turn starves.
func TestShares(t *testing.T) {
	spin := forever()
	r := newRuntime(t, sandbox.Config{})
	m, err := r.Compile(t.Context(), "m", spin)
	if err != nil {
		t.Fatal(err)
	}
	const runs, length = 4, 400 * time.Millisecond
	tenth := sandbox.NewCPU(0.1)
	cpus := []*sandbox.CPU{tenth, tenth}
	for range runs - 2 {
		cpus = append(cpus, sandbox.NewCPU(0))
	}
	var wg sync.WaitGroup
	for _, cpu := range cpus {
		wg.Go(func() { _ = m.Run(t.Context(), sandbox.Call{Deadline: length, CPU: cpu}) })
	}
	wg.Wait()
	ran, waited := tenth.Used()
	// A machine that does other things takes its time between two looks at the clock, or leaves them less than that.
	const quota = 100*time.Millisecond + length/10 // a burst and a tenth
	t.Logf("two guests with a tenth of a core ran %v of %v", ran, length)
	if ran > length || ran > quota+50*time.Millisecond && waited == 0 {
		t.Errorf("two guests with a tenth of a core ran %v of %v and waited %v", ran, length, waited)
	}
	for _, cpu := range cpus[2:] {
		if ran, _ := cpu.Used(); ran == 0 {
			t.Errorf("a guest ran %v of %v", ran, length)
		}
	}
}

// A module that does little goes on while guests that compute have all the turns there are.
func TestShortCallsNeedNoTurn(t *testing.T) {
	r := newRuntime(t, sandbox.Config{})
	m, err := r.Compile(t.Context(), "short", diary(map[string][]byte{
		"on_tick": slices.Repeat([]byte{0x41, 1, 0x1a}, 25_000), // a tick of the metering every other call
	}))
	if err != nil {
		t.Fatal(err)
	}
	i := start(t, m, sandbox.Call{Host: sandboxtest.NewNode().Host(), CPU: sandbox.NewCPU(0.5), Deadline: 10 * time.Second})
	defer r.TakeTurns()()
	every := time.NewTicker(5 * time.Millisecond)
	defer every.Stop()
	for range 20 {
		if err := tick(i); err != nil {
			t.Fatal(err)
		}
		<-every.C
	}
}

// Work that the host does for a guest is computing too: it needs a turn, however seldom the guest's ticks come.
func TestHostWorkNeedsATurn(t *testing.T) {
	p := new(sandboxtest.Module)
	sum := p.Import("nx", "hash_sha256", types{i32, i32, i32, i32}, types{i32})
	p.Memory(17, "memory")
	p.Export("run", p.Func(nil, nil, slices.Concat([]byte{0x03, 0x40}, slices.Concat(consts(0, 1<<20, 1<<20, 32)...), sandboxtest.CallFunc(sum),
		[]byte{0x1a, 0x0c, 0, 0x0b})...))
	r := newRuntime(t, sandbox.Config{})
	m, err := r.Compile(t.Context(), "hashes", p.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	defer r.TakeTurns()()
	hashed := uint64(0)
	h := sandboxtest.NewNode().Host()
	h.Count = func(_ string, calls uint64, _ time.Duration) { hashed += calls }
	err = m.Run(t.Context(), sandbox.Call{Host: h, CPU: sandbox.NewCPU(0), Deadline: 200 * time.Millisecond})
	if late := new(sandbox.DeadlineError); !errors.As(err, &late) || hashed > 64 {
		t.Errorf("%d MiB hashed without a turn: %v", hashed, err)
	}
}
