package sandbox

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/sys"
)

// Call is how an instance of a module is run.
type Call struct {
	Host Host
	CPU  *CPU     // what the guest shares with others of its module; nil = as much as there is, uncounted
	Args []string // WASI args, by custom the program's name first

	Memory   uint64        // cap of linear memory in bytes; 0 = the Runtime's default
	Deadline time.Duration // of a Run, of Start, of each Handle; 0 = none. ctx bounds them in any case
	Budget   uint64        // of the whole life, in units of which an instruction costs one or a few; 0 = none

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
	if m.entry == "" && m.Reacts() {
		return fmt.Errorf("sandbox: run %s: it exports neither run nor _start, and reacts to events only: keep it running with numax-node module add", m.name)
	}
	if m.entry == "" {
		return fmt.Errorf("sandbox: run %s: %w", m.name, m.noEntry())
	}
	return m.Answer(ctx, c, &Event{Name: m.entry})
}

// Answer is Run for an event: it makes a fresh instance and calls the export of that name, or what Run calls if there
// is none.
func (m *Module) Answer(ctx context.Context, c Call, e *Event) error {
	run, cancel := within(ctx, c.Deadline)
	defer cancel()
	i, err := m.instantiate(run, c)
	if i != nil {
		defer i.free(ctx)
	}
	if err == nil {
		export := e.Name
		if !m.plain(export) && m.entry != "" {
			export = m.entry
		}
		err = i.call(run, export, e)
	}
	if err = outcome(ctx, run, c.Deadline, err); err != nil {
		return fmt.Errorf("sandbox: run %s: %w", m.name, err)
	}
	return nil
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
			if g.host.WithholdTime {
				return 0, 0
			}
			now := g.host.Now()
			return now.Unix(), int32(now.Nanosecond())
		}, sys.ClockResolution(time.Microsecond)).
		WithOsyield(runtime.Gosched).
		WithNanosleep(g.sleep)
	if c.Stdin != nil {
		cfg = cfg.WithStdin(&stdin{guest: g, r: c.Stdin})
	}
	if c.Stdout != nil {
		cfg = cfg.WithStdout(&output{g, c.Stdout})
	}
	if c.Stderr != nil {
		cfg = cfg.WithStderr(&output{g, &boundedWriter{w: c.Stderr, limit: maxGuestStderr}})
	}
	return cfg
}

// sleep waits, and ends the guest when its call ends before.
func (g *guest) sleep(ns int64) { g.wait(func() { g.rest(time.Duration(ns)) }) }
