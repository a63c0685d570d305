package sandbox_test

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/numax-mesh/numax/sandbox"
	"github.com/numax-mesh/numax/sandbox/sandboxtest"
)

// Whoever waits for a compilation and stops waiting goes on at once, and so does who closes the sandbox: one function
// took over a minute, and SIGTERM waited for it. One module is compiled at a time.
func TestCompileIsLeft(t *testing.T) {
	r := newRuntime(t, sandbox.Config{})
	ctx, cancel := context.WithCancelCause(t.Context())
	reason := errors.New("the node stops")
	begun, done := make(chan struct{}), make(chan error)
	go func() {
		_, err := r.CompileBegun(ctx, "slow", sandboxtest.SlowToCompile(), func() error { close(begun); return nil })
		done <- err
	}()
	<-begun
	waits, give := context.WithTimeout(t.Context(), 1500*time.Millisecond)
	defer give()
	_, err := r.CompileBegun(waits, "second", sandboxtest.Runs(), func() error { t.Error("two are compiled at once"); return nil })
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while another is compiled: %v", err)
	}
	cancel(reason)
	began := time.Now()
	if err := <-done; !errors.Is(err, reason) {
		t.Errorf("left: %v", err)
	}
	if err := r.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if took, limit := time.Since(began), 5*time.Second; took > limit {
		t.Errorf("it took %v to leave a compilation, want at most %v", took, limit)
	}
	if _, err := r.Compile(t.Context(), "late", sandboxtest.Runs()); err == nil || !strings.Contains(err.Error(), "the sandbox was closed") {
		t.Errorf("compiled after all: %v", err)
	}
}

// Compiling leaves a core to the node.
func TestCompileLeavesACore(t *testing.T) {
	if n, all := sandbox.CompileWorkers(), runtime.GOMAXPROCS(0); n < 1 || all > 1 && n >= all {
		t.Errorf("%d workers on %d cores", n, all)
	}
}

// What does not compile is told from what was stopped: the former fails each time.
func TestUnfit(t *testing.T) {
	r := newRuntime(t, sandbox.Config{})
	costly := sandboxtest.Runs(bytes.Repeat([]byte{0x02, 0x40, 0x0b}, 20_000)...)
	if _, err := r.Compile(t.Context(), "x", costly); !errors.As(err, new(*sandbox.UnfitError)) {
		t.Errorf("too costly: %v", err)
	}
	invalid := sandboxtest.Runs(0x6a) // adds nothing to nothing
	if _, err := r.Compile(t.Context(), "x", invalid); !errors.As(err, new(*sandbox.UnfitError)) {
		t.Errorf("invalid: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Compile(ctx, "x", sandboxtest.Runs()); !errors.Is(err, context.Canceled) || errors.As(err, new(*sandbox.UnfitError)) {
		t.Errorf("stopped: %v", err)
	}
}

// Modules that were not tried before: each ends at its deadline.
func TestHostileKinds(t *testing.T) {
	for name, wasm := range hostileKinds() {
		t.Run(name, func(t *testing.T) {
			m := compile(t, wasm)
			var took []time.Duration
			for range 3 {
				began := time.Now()
				err := m.Run(t.Context(), sandbox.Call{Deadline: 60 * time.Millisecond})
				took = append(took, time.Since(began)-60*time.Millisecond)
				if !errors.As(err, new(*sandbox.DeadlineError)) {
					t.Fatal(err)
				}
			}
			check(t, name+" ended after its deadline by", took, late)
		})
	}
}

func hostileKinds() map[string][]byte {
	loop := func(code ...byte) []byte { return slices.Concat([]byte{0x03, 0x40}, code, []byte{0x0c, 0, 0x0b}) }
	tables := func(code ...byte) []byte {
		m := new(sandboxtest.Module)
		m.Table(1 << 20)
		m.Export("run", m.Func(nil, nil, loop(code...)...))
		return m.Bytes()
	}
	whole := sandboxtest.Const32(1 << 20)
	zero := sandboxtest.Const32(0)
	jumps := slices.Concat([]byte{0x02, 0x40}, zero, []byte{0x0e}, uleb(30_000), make([]byte, 30_001), []byte{0x0b})
	start := new(sandboxtest.Module)
	f := start.Func(nil, nil, loop(slices.Concat(zero, []byte{0xfd, 0x0f, 0xfd, 0x60, 0x1a})...)...)
	start.Start(f)
	start.Export("run", start.Func(nil, nil))
	return map[string][]byte{
		"table.fill":          tables(slices.Concat(zero, []byte{0xd0, 0x70}, whole, []byte{0xfc, 17, 0})...),
		"table.copy":          tables(slices.Concat(zero, zero, whole, []byte{0xfc, 14, 0, 0})...),
		"table.grow":          tables(slices.Concat([]byte{0xd0, 0x70}, whole, []byte{0xfc, 15, 0, 0x1a})...),
		"vectors":             sandboxtest.Runs(loop(slices.Concat(zero, []byte{0xfd, 0x0f, 0xfd, 0x60, 0x1a})...)...),
		"a br_table":          sandboxtest.Runs(loop(jumps...)...),
		"vectors at a start":  start.Bytes(),
		"recursion of tables": indirect(),
	}
}

// indirect calls itself twice through a table, 40 levels deep.
func indirect() []byte {
	m := new(sandboxtest.Module)
	m.Table(1)
	deeper := slices.Concat([]byte{0x20, 0}, sandboxtest.Const32(1), []byte{0x6b}, sandboxtest.Const32(0), []byte{0x11, 0, 0})
	f := m.Func(types{i32}, nil, slices.Concat([]byte{0x20, 0, 0x04, 0x40}, deeper, deeper, []byte{0x0b})...)
	m.Export("run", m.Func(nil, nil, slices.Concat(sandboxtest.Const32(0), []byte{0xd2}, uleb(int(f)), []byte{0x26, 0},
		sandboxtest.Const32(40), sandboxtest.Const32(0), []byte{0x11, 0, 0})...))
	m.Declare(f)
	return m.Bytes()
}
