package sandbox

import (
	"context"
	"testing"

	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

// Open gives tests an instance whose exports they may call one by one, and the context to call them with.
func (m *Module) Open(t testing.TB, c Call) (context.Context, api.Module) {
	g := &guest{ctx: t.Context(), module: m.name, host: c.Host.withDefaults("")}
	memory := &guestMemory{limit: m.runtime.memory}
	t.Cleanup(memory.release)
	g.turns = m.runtime.turns
	ctx := experimental.WithMemoryAllocator(withGuest(t.Context(), g), memory)
	instance, err := m.runtime.wazero.InstantiateModule(ctx, m.code, m.config(g, c))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { instance.Close(context.Background()) })
	return ctx, instance
}

// SetEvent makes calls with ctx, which is from Open, be about an event.
func SetEvent(ctx context.Context, e *Event) { ctx.Value(guestKey{}).(*guest).event = e }

// TakeTurns leaves no turn for guests that compute, until give is called.
func (r *Runtime) TakeTurns() (give func()) {
	for range cap(r.turns.free) {
		<-r.turns.free
	}
	return func() {
		for range cap(r.turns.free) {
			r.turns.give()
		}
	}
}

// StackSize is what is kept for calls of an export; known = such stacks can be measured here.
func (i *Instance) StackSize(name string) (size int, known bool) {
	return i.calls[name].stackSize(), newExport(i.wasm.ExportedFunction(name)).stack.IsValid()
}

var (
	Lossy          = lossy
	OutlineOf      = outlineOf
	CheckPreamble  = checkPreamble
	MaxGuestStderr = maxGuestStderr
)

// CompileWorkers is how many goroutines compile.
var CompileWorkers = compileWorkers
