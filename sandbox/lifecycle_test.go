package sandbox_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/numax-mesh/numax/sandbox"
	"github.com/numax-mesh/numax/sandbox/sandboxtest"
)

type types = []sandboxtest.Type

const (
	i32 = sandboxtest.I32
	i64 = sandboxtest.I64
)

// speaker is a guest that imports nx.host_log and has a memory; exports maps names to what they log.
func speaker(exports map[string]string) *sandboxtest.Module {
	m := new(sandboxtest.Module)
	log := m.Import("nx", "host_log", types{i32, i32}, nil)
	m.Memory(1, "memory")
	for name, msg := range exports {
		m.Export(name, m.Logs(log, msg))
	}
	return m
}

func TestEntryPoints(t *testing.T) {
	for _, c := range []struct {
		why   string
		guest func() *sandboxtest.Module
		want  []string
	}{
		{"run", func() *sandboxtest.Module { return speaker(map[string]string{"run": "run"}) }, []string{"run"}},
		{"_start", func() *sandboxtest.Module { return speaker(map[string]string{"_start": "start"}) }, []string{"start"}},
		{"run wins", func() *sandboxtest.Module {
			return speaker(map[string]string{"_start": "start", "run": "run"})
		}, []string{"run"}},
		{"_initialize first", func() *sandboxtest.Module {
			return speaker(map[string]string{"_initialize": "init", "run": "run"})
		}, []string{"init", "run"}},
		{"run of another type gives way", func() *sandboxtest.Module {
			m := speaker(map[string]string{"_start": "start"})
			m.Export("run", m.Func(types{i32}, nil))
			return m
		}, []string{"start"}},
		{"_initialize of another type is not called", func() *sandboxtest.Module {
			m := speaker(map[string]string{"run": "run"})
			m.Export("_initialize", m.Func(types{i32}, nil, sandboxtest.Trap()...))
			return m
		}, []string{"run"}},
		{"start section before all", func() *sandboxtest.Module {
			m := new(sandboxtest.Module)
			log := m.Import("nx", "host_log", types{i32, i32}, nil)
			m.Memory(1, "memory")
			m.Start(m.Logs(log, "section"))
			m.Export("_initialize", m.Logs(log, "init"))
			m.Export("_start", m.Logs(log, "start"))
			return m
		}, []string{"section", "init", "start"}},
	} {
		node := sandboxtest.NewNode()
		if err := compile(t, c.guest().Bytes()).Run(t.Context(), sandbox.Call{Host: node.Host()}); err != nil {
			t.Errorf("%s: %v", c.why, err)
		}
		var want []string
		for _, w := range c.want {
			want = append(want, "[guest] "+w)
		}
		if got := node.Logs(); !slices.Equal(got, want) {
			t.Errorf("%s: logged %q, want %q", c.why, got, want)
		}
	}
}

// importing is a guest with one import.
func importing(module, name string, params, results types) []byte {
	m := new(sandboxtest.Module)
	m.Import(module, name, params, results)
	m.Export("run", m.Func(nil, nil))
	return m.Bytes()
}

func TestCompileRefuses(t *testing.T) {
	r := newRuntime(t, sandbox.Config{})
	raw := func(desc ...byte) []byte {
		m := new(sandboxtest.Module)
		m.ImportRaw("env", "thing", desc...)
		m.Export("run", m.Func(nil, nil))
		return m.Bytes()
	}
	good := sandboxtest.Runs()
	noEntry, wrongEntry, table := new(sandboxtest.Module), new(sandboxtest.Module), new(sandboxtest.Module)
	noEntry.Memory(1, "memory")
	wrongEntry.Export("run", wrongEntry.Func(nil, types{i32}, sandboxtest.Const32(1)...))
	table.Table(1 << 24)
	table.Export("run", table.Func(nil, nil))
	for _, c := range []struct {
		why  string
		wasm []byte
		want string
	}{
		{"empty", nil, "the file is empty"},
		{"text", []byte("#!/bin/sh\n"), "not a WebAssembly binary"},
		{"short text", []byte("hi"), "not a WebAssembly binary"},
		{"ELF", []byte("\x7fELF\x02\x01\x01\x00\x00"), "not a WebAssembly binary"},
		{"cut in the magic", good[:3], "truncated"},
		{"cut in the version", good[:6], "truncated"},
		{"cut in a section", good[:len(good)-3], "truncated"},
		{"component", []byte("\x00asm\x0d\x00\x01\x00"), "component"},
		{"component hint", []byte("\x00asm\x0d\x00\x01\x00"), "wasm32-wasip1"},
		{"version 2", []byte("\x00asm\x02\x00\x00\x00"), "version 2"},
		{"nothing in it", sandboxtest.Preamble, "neither run"},
		{"no entry point", noEntry.Bytes(), "neither run: () -> () nor _start"},
		{"entry point of another type", wrongEntry.Bytes(), "its export run has the type () -> i32"},
		{"unknown nx function", importing("nx", "db_put", nil, nil), "nx.db_put, which does not exist"},
		{
			"mistyped nx function", importing("nx", "db_get", types{i32, i32, i64, i32}, types{i32}),
			"nx.db_get as (i32, i32, i64, i32) -> i32, but it is (i32, i32, i32, i32) -> i32",
		},
		{"nx function without result", importing("nx", "commit", nil, nil), "nx.commit as () -> (), but it is () -> i32"},
		{"unknown WASI function", importing("wasi_snapshot_preview1", "fork", nil, nil), "wasi_snapshot_preview1.fork"},
		{"mistyped WASI function", importing("wasi_snapshot_preview1", "proc_exit", nil, nil), "proc_exit as () -> (), but it is (i32) -> ()"},
		{"unknown module", importing("env", "abort", nil, nil), `no module "env"`},
		{"imported memory", raw(2, 0, 1), "imports memory env.thing"},
		{"imported table", raw(1, 0x70, 0, 1), "imports table env.thing"},
		{"imported global", raw(3, 0x7f, 0), "imports global env.thing"},
		{"huge table", table.Bytes(), "tables have 16777216 elements"},
		{"bad code", sandboxtest.Runs(0xff), "compile dir/x.wasm"},
	} {
		_, err := r.Compile(t.Context(), "dir/x.wasm", c.wasm)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "dir/x.wasm") {
			t.Errorf("%s: got %v, want %q", c.why, err, c.want)
		}
	}
}

// Who runs a guest by hand that only reacts is told how it runs.
func TestRunOfReactor(t *testing.T) {
	m := new(sandboxtest.Module)
	m.On(sandbox.OnChange)
	code, err := newRuntime(t, sandbox.Config{}).Compile(t.Context(), "x.wasm", m.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	err = code.Run(t.Context(), sandbox.Call{})
	if err == nil || !strings.Contains(err.Error(), "numax-node module add") {
		t.Errorf("got %v, want how it is kept running", err)
	}
}

// exiting is a guest that calls proc_exit.
func exiting(code int32) []byte {
	m := new(sandboxtest.Module)
	exit := m.Import("wasi_snapshot_preview1", "proc_exit", types{i32}, nil)
	m.Memory(1, "memory")
	m.Export("_start", m.Func(nil, nil, slices.Concat(sandboxtest.Const32(code), sandboxtest.CallFunc(exit), sandboxtest.Trap())...))
	return m.Bytes()
}

func TestEndings(t *testing.T) {
	abort := new(sandboxtest.Module)
	abortFn := abort.Import("nx", "abort", types{i32, i32}, nil)
	setFn := abort.Import("nx", "crdt_gcounter_inc", types{i32, i32, i64}, types{i32})
	abort.Memory(1, "memory")
	abort.Export("run", abort.Func(nil, nil, slices.Concat(
		sandboxtest.Const32(0), sandboxtest.Const32(0), sandboxtest.Const64(5), sandboxtest.CallFunc(setFn), sandboxtest.Drop(),
		sandboxtest.SayCode(abortFn, "no luck"))...))

	node := sandboxtest.NewNode()
	run := func(wasm []byte, c sandbox.Call) error {
		c.Host = node.Host()
		return compile(t, wasm).Run(t.Context(), c)
	}
	if err := run(exiting(0), sandbox.Call{}); err != nil {
		t.Errorf("proc_exit(0): %v", err)
	}
	for _, code := range []int32{3, -1, -17} { // the last two are wazero's own codes for an ended context
		var exit *sandbox.ExitError
		if err := run(exiting(code), sandbox.Call{}); !errors.As(err, &exit) || exit.Code != uint32(code) {
			t.Errorf("proc_exit(%d): %v", code, err)
		}
	}
	var trap *sandbox.TrapError
	for cause, wasm := range map[string][]byte{
		"unreachable":    sandboxtest.Runs(sandboxtest.Trap()...),
		"stack overflow": sandboxtest.Recurses(),
		"out of bounds":  sandboxtest.Runs(sandboxtest.Poke(1<<20, []byte{1})...),
	} {
		if err := run(wasm, sandbox.Call{}); !errors.As(err, &trap) || !strings.Contains(trap.Cause, cause) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", cause, err)
		}
	}
	var ab *sandbox.AbortError
	if err := run(abort.Bytes(), sandbox.Call{}); !errors.As(err, &ab) || !strings.HasSuffix(err.Error(), "guest abort: no luck") {
		t.Errorf("abort: %v", err)
	}
	if v, _ := node.Host().CRDT.GCounterValue(""); v != 5 {
		t.Errorf("what was written before the abort is %d, want 5", v)
	}
	var late *sandbox.DeadlineError
	err := run(sandboxtest.Runs(sandboxtest.Forever()...), sandbox.Call{Deadline: 20 * time.Millisecond})
	if !errors.As(err, &late) || !strings.Contains(err.Error(), "20ms") || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("deadline: %v", err)
	}
}

// Ctrl-C ends a guest that spins, one that sleeps for an hour and one that waits for input, and a run that had not begun.
func TestCancel(t *testing.T) {
	sleeper := new(sandboxtest.Module)
	poll := sleeper.Import("wasi_snapshot_preview1", "poll_oneoff", types{i32, i32, i32, i32}, types{i32})
	log := sleeper.Import("nx", "host_log", types{i32, i32}, nil)
	sleeper.Memory(1, "memory")
	hour := []byte{0, 0xa0, 0xb8, 0x30, 0x46, 0x03, 0, 0} // 3.6e12 ns, little-endian
	sleeper.Export("run", sleeper.Func(nil, nil, slices.Concat(
		sandboxtest.SayCode(log, "up"), sandboxtest.Poke(0, make([]byte, 16)), // a subscription: user data, tag 0 = clock
		sandboxtest.Poke(24, hour),
		sandboxtest.Const32(0), sandboxtest.Const32(64), sandboxtest.Const32(1), sandboxtest.Const32(128), sandboxtest.CallFunc(poll),
		sandboxtest.Drop(), sandboxtest.Forever())...))

	spinner := new(sandboxtest.Module)
	log = spinner.Import("nx", "host_log", types{i32, i32}, nil)
	spinner.Memory(1, "memory")
	spinner.Export("run", spinner.Func(nil, nil, append(sandboxtest.SayCode(log, "up"), sandboxtest.Forever()...)...))

	reader := new(sandboxtest.Module)
	read := reader.Import("wasi_snapshot_preview1", "fd_read", types{i32, i32, i32, i32}, types{i32})
	log = reader.Import("nx", "host_log", types{i32, i32}, nil)
	reader.Memory(1, "memory")
	reader.Export("run", reader.Func(nil, nil, slices.Concat(
		sandboxtest.SayCode(log, "up"), sandboxtest.Poke(0, []byte{64, 0, 0, 0, 8, 0, 0, 0}),
		sandboxtest.Const32(0), sandboxtest.Const32(0), sandboxtest.Const32(1), sandboxtest.Const32(32), sandboxtest.CallFunc(read),
		sandboxtest.Drop(), sandboxtest.Forever())...))

	for name, m := range map[string]*sandboxtest.Module{"sleep": sleeper, "spin": spinner, "read": reader} {
		guest := compile(t, m.Bytes())
		ctx, cancel := context.WithCancel(t.Context())
		host := sandbox.Host{Log: func(string) { cancel() }}
		stdin, feed, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := guest.Run(ctx, sandbox.Call{Host: host, Stdin: stdin}); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want context.Canceled", name, err)
		}
		feed.Close()
		if err := guest.Run(ctx, sandbox.Call{}); !errors.Is(err, context.Canceled) {
			t.Errorf("%s after the end: %v, want context.Canceled", name, err)
		}
	}
}

func TestMemoryCap(t *testing.T) {
	grow := func(pages, want int32) []byte {
		return sandboxtest.Runs(append(sandboxtest.Grow(pages), sandboxtest.TrapUnless32(want)...)...)
	}
	const page = 64 << 10
	run := func(wasm []byte, limit uint64) error {
		return compile(t, wasm).Run(t.Context(), sandbox.Call{Memory: limit})
	}
	if err := run(grow(3, 1), 4*page); err != nil {
		t.Errorf("grow to the cap: %v", err)
	}
	if err := run(grow(4, -1), 4*page); err != nil {
		t.Errorf("grow beyond the cap: %v", err)
	}
	if err := run(grow(4096, -1), 0); err != nil {
		t.Errorf("grow beyond the default of 256 MiB: %v", err)
	}
	at := func(address, want int32) []byte {
		return slices.Concat(sandboxtest.Const32(address), []byte{0x2d, 0, 0}, sandboxtest.TrapUnless32(want)) // i32.load8_u
	}
	moved := sandboxtest.Runs(slices.Concat(sandboxtest.Poke(page-1, []byte{42}), sandboxtest.Grow(5), sandboxtest.Drop(),
		sandboxtest.Poke(2*page, []byte{43}), sandboxtest.Grow(100), sandboxtest.Drop(), sandboxtest.Grow(100), sandboxtest.Drop(),
		at(page-1, 42), at(2*page, 43), at(page, 0), at(6*page, 0), at(206*page-1, 0))...)
	if err := run(moved, 0); err != nil {
		t.Errorf("growth changed the memory: %v", err)
	}
	m := new(sandboxtest.Module)
	m.Memory(5, "") // counts though it is not exported
	m.Export("run", m.Func(nil, nil))
	if err := run(m.Bytes(), 4*page); err == nil || !strings.Contains(err.Error(), "needs 320 KiB of memory, over its limit of 256 KiB") {
		t.Errorf("too large at start: %v", err)
	}
}

// A module may run many times and at once; every run starts from nothing.
func TestFreshInstances(t *testing.T) {
	counting := sandboxtest.Runs(append(sandboxtest.Grow(1), sandboxtest.TrapUnless32(1)...)...)
	m := compile(t, counting)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				if err := m.Run(t.Context(), sandbox.Call{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// A guest may write what it likes to stderr; what is over the bound is dropped and it does not notice.
func TestStderrIsBounded(t *testing.T) {
	m := new(sandboxtest.Module)
	write := m.Import("wasi_snapshot_preview1", "fd_write", types{i32, i32, i32, i32}, types{i32})
	m.Memory(1, "memory")
	code := sandboxtest.Poke(0, []byte{16, 0, 0, 0, 0xe8, 3, 0, 0})
	for range 100 {
		code = slices.Concat(code, sandboxtest.Const32(2), sandboxtest.Const32(0), sandboxtest.Const32(1), sandboxtest.Const32(8),
			sandboxtest.CallFunc(write), sandboxtest.TrapUnless32(0))
	}
	m.Export("run", m.Func(nil, nil, code...))
	var stderr bytes.Buffer
	if err := compile(t, m.Bytes()).Run(t.Context(), sandbox.Call{Stderr: &stderr}); err != nil {
		t.Fatal(err)
	}
	note := "\n[sandbox] stderr is over 64 KiB, the rest is dropped\n"
	if got, want := stderr.Len(), sandbox.MaxGuestStderr+len(note); got != want || !strings.HasSuffix(stderr.String(), note) {
		t.Errorf("%d bytes of stderr, want %d", got, want)
	}
}

func TestObserve(t *testing.T) {
	var seen []string
	host := sandbox.Host{Observe: func(call string, d time.Duration) { seen = append(seen, fmt.Sprint(call, d >= 0)) }}
	if err := compile(t, speaker(map[string]string{"run": "x"}).Bytes()).Run(t.Context(), sandbox.Call{Host: host}); err != nil {
		t.Fatal(err)
	}
	if want := []string{"host_logtrue"}; !slices.Equal(seen, want) {
		t.Errorf("observed %q, want %q", seen, want)
	}
}

// Every call is counted, whether it is timed or not.
func TestCount(t *testing.T) {
	counted := map[string]uint64{}
	host := sandbox.Host{Count: func(call string, calls uint64, took time.Duration) {
		counted[call] += calls
		if took < 0 {
			t.Errorf("%s took %v", call, took)
		}
	}}
	m := new(sandboxtest.Module)
	log := m.Import("nx", "host_log", types{i32, i32}, nil)
	now := m.Import("nx", "time_now", nil, types{i64})
	m.Memory(1, "memory")
	code := append(sandboxtest.CallFunc(now), sandboxtest.Drop()...)
	m.On("run", slices.Concat(slices.Repeat(code, 1000), sandboxtest.SayCode(log, "x"))...)
	if err := compile(t, m.Bytes()).Run(t.Context(), sandbox.Call{Host: host}); err != nil {
		t.Fatal(err)
	}
	if want := map[string]uint64{"time_now": 1000, "host_log": 1}; !maps.Equal(counted, want) {
		t.Errorf("counted %v, want %v", counted, want)
	}
}

// Runtimes, as of several processes, share one directory, and damaged code there is refused, not run.
func TestCodeCache(t *testing.T) {
	dir := t.TempDir()
	try := func() error {
		m, err := newRuntime(t, sandbox.Config{CacheDir: dir}).Compile(t.Context(), "x", sandboxtest.Runs())
		if err != nil {
			return err
		}
		return m.Run(t.Context(), sandbox.Call{})
	}
	for range 2 {
		if err := try(); err != nil {
			t.Fatal(err)
		}
	}
	kept := 0
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		kept++
		code, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		code[len(code)/2] ^= 0xff
		return os.WriteFile(path, code, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	if kept == 0 {
		t.Skip("nothing is compiled on this machine")
	}
	if err := try(); err == nil || !strings.Contains(err.Error(), "code cache is damaged") {
		t.Errorf("damaged code: %v", err)
	}
}

func FuzzOutline(f *testing.F) {
	f.Add(sandboxtest.Forwarder(1, "memory"))
	f.Add(sandboxtest.Recurses())
	f.Add([]byte("\x00asm\x01\x00\x00\x00\x02\xff\xff\xff\xff\x0f"))
	f.Fuzz(func(t *testing.T, data []byte) {
		_ = sandbox.CheckPreamble(data)
		_, _ = sandbox.OutlineOf(data)
	})
}

// No arguments whatever make a host function panic or write where it should not be able to.
func FuzzArguments(f *testing.F) {
	m := compile(f, sandboxtest.Forwarder(1, "memory"))
	f.Add(uint8(2), uint32(0), uint32(4), uint32(8), uint32(16), []byte("key"))
	f.Fuzz(func(t *testing.T, which uint8, a, b, c, d uint32, mem []byte) {
		fn := sandboxtest.Functions[int(which)%len(sandboxtest.Functions)]
		ctx, instance := m.Open(t, sandbox.Call{Host: sandboxtest.NewNode().Host()})
		instance.ExportedMemory("memory").Write(0, mem[:min(len(mem), 1<<16)])
		args := []uint64{uint64(a), uint64(b), uint64(c), uint64(d), uint64(a), uint64(b), uint64(c), uint64(d)}
		_, err := instance.ExportedFunction(fn.Name).Call(ctx, args[:len(fn.Params)]...)
		var abort *sandbox.AbortError
		if err != nil && !errors.As(err, &abort) {
			t.Errorf("%s(%d, %d, %d, %d): %v", fn.Name, a, b, c, d, err)
		}
	})
}

// A module that takes long to compile can be given up.
func TestCompileEnds(t *testing.T) {
	r := newRuntime(t, sandbox.Config{})
	late := errors.New("too late")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(late)
	if _, err := r.Compile(ctx, "x", sandboxtest.Runs()); !errors.Is(err, late) {
		t.Errorf("got %v", err)
	}
}
