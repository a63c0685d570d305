package sandbox

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

// Instance is a guest that lives on between calls. Its methods are for one goroutine at a time: a guest is in one call
// at once. After a call that failed it is over, as a guest that trapped may be in any state.
//
//	Start: start section ─► _initialize ─► init ──► Handle … Handle ──► Close: shutdown
type Instance struct {
	module   *Module
	guest    *guest
	deadline time.Duration
	wasm     api.Module
	memory   *guestMemory
	calls    map[string]*export
	over     bool
}

// Start makes an instance and calls its _initialize and init, if it exports them, under one deadline. The errors are
// those of Run. The caller closes the instance.
func (m *Module) Start(ctx context.Context, c Call) (*Instance, error) {
	run, cancel := within(ctx, c.Deadline)
	defer cancel()
	i, err := m.instantiate(run, c)
	if err == nil && m.plain(OnInit) {
		err = i.call(run, OnInit, &Event{Name: OnInit})
	}
	if err == nil {
		return i, nil
	}
	if i != nil {
		i.free(ctx)
	}
	if err = outcome(ctx, run, c.Deadline, err); err == nil {
		err = &ExitError{} // the guest went before it came
	}
	return nil, fmt.Errorf("sandbox: start %s: %w", m.name, err)
}

// Handles says whether the guest wants to hear of such an event.
func (m *Module) Handles(event string) bool { return m.plain(event) }

// Reacts says whether there is anything that an instance would live on for.
func (m *Module) Reacts() bool { return slices.ContainsFunc(handlers, m.plain) }

// Entry is the export that Run calls: "run" or "_start", or "" if there is none.
func (m *Module) Entry() string { return m.entry }

// Exports are the names of all functions the guest exports that are () -> (), sorted.
func (m *Module) Exports() []string {
	var names []string
	for name := range m.code.ExportedFunctions() {
		if m.plain(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Handle tells the guest of an event by calling the export of that name, which it must have; the Call's deadline
// bounds it. When it returns an error the instance is over; a guest that exits with 0 ends it with ErrEnded.
func (i *Instance) Handle(ctx context.Context, e *Event) error {
	if i.over {
		return ErrEnded
	}
	run, cancel := within(ctx, i.deadline)
	defer cancel()
	err := i.call(run, e.Name, e)
	if err == nil {
		return nil
	}
	i.free(ctx)
	if err = outcome(ctx, run, i.deadline, err); err == nil {
		err = ErrEnded
	}
	return fmt.Errorf("sandbox: run %s: %w", i.module.name, &EventError{e.Name, err})
}

// Unbounded takes the deadline off the calls that follow.
func (i *Instance) Unbounded() { i.deadline = 0 }

// Close ends the instance; before, it calls shutdown if the guest exports it. It may be called again.
func (i *Instance) Close(ctx context.Context) error {
	if i.over {
		return nil
	}
	var err error
	if i.module.plain(OnShutdown) {
		err = i.Handle(ctx, &Event{Name: OnShutdown})
	}
	if !i.over {
		i.free(ctx)
	}
	return err
}

// free gives back what the instance holds.
func (i *Instance) free(ctx context.Context) {
	i.over = true
	// Closed with a context that cannot have ended, or resources would stay.
	_ = i.wasm.Close(context.WithoutCancel(ctx))
	i.memory.release()
	i.guest.discardBlob()
}

// call calls an export with what the guest may know meanwhile.
func (i *Instance) call(ctx context.Context, name string, e *Event) error {
	x := i.calls[name]
	if x == nil {
		f := i.wasm.ExportedFunction(name)
		if f == nil {
			return fmt.Errorf("it does not export %s", name)
		}
		x = newExport(f)
	}
	i.guest.running = x
	err := i.guest.during(ctx, e, func(ctx context.Context) error {
		_, err := x.Call(ctx)
		return err
	})
	i.guest.running = nil
	if name != OnInit && x.stackSize() <= keptStack {
		i.calls[name] = x
	} else {
		delete(i.calls, name)
	}
	return err
}

// during runs f as a call of the guest.
func (g *guest) during(ctx context.Context, e *Event, f func(context.Context) error) error {
	g.ctx, g.event = ctx, e
	if g.host.Calling != nil {
		g.host.Calling(ctx)
	}
	if err := g.enter(); err != nil {
		return err
	}
	defer func() {
		g.pause()
		g.tell()
		g.endFetch()
		g.event = nil
	}()
	return f(withGuest(ctx, g))
}

// instantiate is the beginning of a guest: its start section and _initialize. Whoever gets an instance frees it.
func (m *Module) instantiate(ctx context.Context, c Call) (*Instance, error) {
	limit := c.Memory
	if limit == 0 {
		limit = m.runtime.memory
	}
	limit = min(limit, maxWasmMemory)
	if m.minimum > limit {
		return nil, fmt.Errorf("it needs %d KiB of memory, over its limit of %d KiB", m.minimum>>10, limit>>10)
	}
	if ctx.Err() != nil {
		return nil, errStopped
	}
	g := &guest{module: m.name, host: c.Host.withDefaults(m.name), budget: c.Budget}
	g.turns, g.cpu = m.runtime.turns, c.CPU
	if g.host.Count != nil {
		g.tally = make([]tally, len(nxFunctions))
	}
	i := &Instance{
		module: m, guest: g, deadline: c.Deadline, memory: &guestMemory{limit: limit}, calls: make(map[string]*export),
	}
	err := g.during(ctx, nil, func(ctx context.Context) (err error) {
		i.wasm, err = m.runtime.wazero.InstantiateModule(experimental.WithMemoryAllocator(ctx, i.memory), m.code, m.config(g, c))
		return err
	})
	if err != nil {
		i.memory.release()
		g.discardBlob()
		return nil, err
	}
	if m.reactor {
		if err := i.call(ctx, "_initialize", &Event{Name: "_initialize"}); err != nil {
			return i, err
		}
	}
	return i, nil
}

// within bounds a call; a deadline of 0 is none.
func within(ctx context.Context, deadline time.Duration) (context.Context, context.CancelFunc) {
	if deadline <= 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, deadline)
}
