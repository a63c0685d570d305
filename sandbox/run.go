package sandbox

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/sys"
)

// Call is one run of a module.
type Call struct {
	Host Host
	Args []string // WASI args, by custom the program's name first

	Memory   uint64        // cap of linear memory in bytes; 0 = the Runtime's default
	Deadline time.Duration // of the whole run; 0 = none. ctx bounds it in any case
	Budget   uint64        // of the whole run, in units of which an instruction costs one or a few; 0 = none

	Stdin          io.Reader // nil = at its end
	Stdout, Stderr io.Writer // nil = dropped; stderr is cut off after 64 KiB
}

// Run makes a fresh instance and calls it:
//
//	instantiate (start section) ─► _initialize, if exported ─► run, else _start ─► close
//
// It returns nil when the entry point returns or the guest exits with 0, and otherwise *TrapError, *AbortError,
// *ExitError, *DeadlineError, *BudgetError, the error of ctx when that ended, or an error that says why the guest could not start.
// Whatever the guest wrote before it failed stays written.
func (m *Module) Run(ctx context.Context, c Call) error {
	limit := c.Memory
	if limit == 0 {
		limit = m.runtime.memory
	}
	limit = min(limit, maxWasmMemory)
	if m.minimum > limit {
		return fmt.Errorf("sandbox: start %s: it needs %d KiB of memory, over its limit of %d KiB", m.name, m.minimum>>10, limit>>10)
	}
	run := ctx
	if c.Deadline > 0 {
		var cancel context.CancelFunc
		run, cancel = context.WithTimeout(ctx, c.Deadline)
		defer cancel()
	}
	if err := run.Err(); err != nil {
		return outcome(ctx, run, c.Deadline, errStopped)
	}
	g := &guest{ctx: run, module: m.name, host: c.Host.withDefaults(), budget: c.Budget}
	memory := &guestMemory{limit: limit}
	defer memory.release()
	if err := m.call(experimental.WithMemoryAllocator(withGuest(run, g), memory), g, c); err != nil {
		if err = outcome(ctx, run, c.Deadline, err); err != nil {
			return fmt.Errorf("sandbox: run %s: %w", m.name, err)
		}
	}
	return nil
}

// call is the life of one instance.
func (m *Module) call(ctx context.Context, g *guest, c Call) error {
	instance, err := m.runtime.wazero.InstantiateModule(ctx, m.code, m.config(g, c))
	if err != nil {
		return err
	}
	// Closed with a context that cannot have ended, or resources would stay.
	defer instance.Close(context.WithoutCancel(ctx))
	if m.reactor {
		if _, err := instance.ExportedFunction("_initialize").Call(ctx); err != nil {
			return err
		}
	}
	_, err = instance.ExportedFunction(m.entry).Call(ctx)
	return err
}

// config is the WASI side: stdio, arguments, clocks and randomness; no environment, no folders.
func (m *Module) config(g *guest, c Call) wazero.ModuleConfig {
	cfg := wazero.NewModuleConfig().
		WithName(""). // several instances at once
		WithStartFunctions().
		WithArgs(c.Args...).
		WithRandSource(&random{g}).
		WithSysNanotime().
		WithWalltime(func() (int64, int32) {
			now := g.host.Now()
			return now.Unix(), int32(now.Nanosecond())
		}, sys.ClockResolution(time.Microsecond)).
		WithOsyield(runtime.Gosched).
		WithNanosleep(g.sleep)
	if c.Stdin != nil {
		cfg = cfg.WithStdin(&stdin{guest: g, r: c.Stdin})
	}
	if c.Stdout != nil {
		cfg = cfg.WithStdout(c.Stdout)
	}
	if c.Stderr != nil {
		cfg = cfg.WithStderr(&boundedWriter{w: c.Stderr, limit: maxGuestStderr})
	}
	return cfg
}

// sleep waits, and ends the guest when the run ends before.
func (g *guest) sleep(ns int64) {
	t := time.NewTimer(time.Duration(ns))
	defer t.Stop()
	select {
	case <-t.C:
	case <-g.ctx.Done():
		panic(errStopped)
	}
}
