package supervisor

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/numax-mesh/numax/node/bus"
	"github.com/numax-mesh/numax/sandbox"
	"github.com/numax-mesh/numax/sandbox/sandboxtest"
)

// works is code that computes for some milliseconds, and ends.
func works() []byte {
	return slices.Concat(sandboxtest.Const32(3_000_000), []byte{0x21, 0, 0x03, 0x40, 0x20, 0, 0x41, 1, 0x6b, 0x22, 0, 0x0d, 0, 0x0b})
}

// A module that ends, or fails, and starts again all the time has its share of a core and its writes a second, and not
// those anew each time: with a hundredth of a core it had half of one.
func TestRestartsShare(t *testing.T) {
	const most, starts = 8, 4 // writes a second, and runs that there are at least
	for _, kind := range []string{"ends", "fails", "fails in init"} {
		t.Run(kind, func(t *testing.T) {
			w := newWorld(t)
			p := newProgram()
			code := works()
			for range most {
				code = append(code, p.count("n")...)
			}
			export := "run"
			if kind != "ends" {
				code = append(code, sandboxtest.Trap()...)
			}
			if kind == "fails in init" {
				export = sandbox.OnInit
				p.On(sandbox.OnTick)
			}
			p.Export(export, p.FuncOf(types{i32}, nil, nil, code...))
			began := time.Now()
			_, _ = w.super.Add(t.Context(), w.pack("again", "1.0.0",
				"[limits]\ncpu = \"1%\"\nops = 8\n[restart]\npolicy = \"always\"\nbackoff = \"10ms\"\nmax-backoff = \"10ms\"\ntries = 1000\n"+all, p.Bytes()), "")
			// It ended before it was looked at, which Add says.
			w.wait("some starts", func() bool { return w.super.status("again").Restarts >= starts })
			u := w.super.unit("again")
			u.mu.Lock()
			cpu := u.shared.cpu
			u.mu.Unlock()
			counted, took := w.counted("n"), time.Since(began)
			t.Logf("%d writes in %v", counted, took)
			if limit := uint64(most * (2 + took.Seconds())); counted > limit {
				t.Errorf("%d writes in %v, want at most %d", counted, took, limit)
			}
			w.wait("it to have used up its share", func() bool { _, waited := cpu.Used(); return waited > 0 })
		})
	}
}

// A module that fails at once waits at least as long as it was compiled before it starts again: else a large one would
// have the node compile all the time.
func TestRestartsAfterCompiling(t *testing.T) {
	w := newWorld(t)
	p := newProgram()
	p.On(sandbox.OnTick)
	p.On(sandbox.OnInit, sandboxtest.Trap()...)
	for range 100 { // some 20 ms
		p.Func(nil, nil, bytes.Repeat([]byte{0x41, 0, 0x28, 2, 0, 0x1a}, 500)...)
	}
	_, _ = w.super.Add(t.Context(), w.pack("large", "1.0.0", "[restart]\nbackoff = \"10ms\"\nmax-backoff = \"10ms\"\ntries = 1000\n", p.Bytes()), "")
	w.wait("some starts", func() bool { return w.super.status("large").Restarts >= 3 })
	waits := 0
	for _, line := range w.said("large") {
		if _, after, ok := strings.Cut(line, "starts again in "); ok {
			if waits++; waits > 1 && strings.HasPrefix(after, "10ms:") {
				t.Errorf("%s", line)
			}
		}
	}
	if waits < 3 {
		t.Errorf("%d waits in %q", waits, w.said("large"))
	}
}

// All instances of a function share what it may use of a core, however many run at once.
func TestInstancesShare(t *testing.T) {
	w := newWorld(t)
	p := newProgram()
	p.Export(sandbox.OnMessage, p.FuncOf(types{i32}, nil, nil, append(works(), p.count("done")...)...))
	w.add(w.pack("many", "1.0.0", "kind = \"function\"\n[limits]\ncpu = \"1%\"\ndeadline = \"1s\"\ninstances = 16\n[grants]\nsubscribe = [\"m\"]\n"+all+
		"[[triggers]]\nmessage = \"m\"\n", p.Bytes()))
	const calls = 60
	var done sync.WaitGroup
	late := 0
	var mu sync.Mutex
	began := time.Now()
	for range calls {
		done.Add(1)
		took, err := w.bus.tell(bus.Message{Subject: "m", Done: func(err error) {
			mu.Lock()
			defer mu.Unlock()
			if errors.As(err, new(*sandbox.DeadlineError)) {
				late++
			}
			done.Done()
		}})
		if took != 1 {
			t.Fatal(err)
		}
	}
	done.Wait()
	s, length := w.super.status("many"), time.Since(began)
	t.Logf("%d calls of %d were late; %.3f s in %v, %.1f s throttled", late, calls, s.CPU, length, s.Throttled)
	// A burst, a hundredth of the time, and for each instance what it does before it looks.
	if most := 0.1 + length.Seconds()/100 + 16*0.02; s.CPU > 2*most || s.Throttled == 0 {
		t.Errorf("it used %.3f s of a core in %v, want some %.3f s", s.CPU, length, most)
	}
	if late == 0 {
		t.Error("each call had the time it asked for")
	}
}
