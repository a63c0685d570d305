package sandbox

import (
	"context"
	"errors"

	"github.com/tetratelabs/wazero/api"

	"github.com/numax-mesh/numax/sandbox/meter"
)

// errStopped is what a guest is ended with from outside, by a panic in a host function: its context has ended, or
// its Runtime is closed.
var errStopped = errors.New("stopped")

// tick is called by metered code, every meter.Quantum units or, after a long bulk operation, a little later. It is
// where a guest that calls nothing is stopped, and where it gives way: Go cannot interrupt compiled guests, and its
// garbage collector waits for them.
func tick(ctx context.Context, m api.Module, stack []uint64) {
	g := ctx.Value(guestKey{}).(*guest)
	g.stopIfEnded()
	if m.IsClosed() {
		panic(errStopped)
	}
	// What is left is negative: the last charge took more than there was.
	g.used += uint64(meter.Quantum - int64(int32(stack[0])))
	if g.budget > 0 && g.used > g.budget {
		panic(&BudgetError{Limit: g.budget})
	}
	if g.running.stackSize() > MaxStack {
		panic(errStack)
	}
	stack[0] = meter.Quantum
	g.spend()
}

// stopIfEnded ends the guest when its context has ended.
func (g *guest) stopIfEnded() {
	if g.ctx.Err() != nil {
		panic(errStopped)
	}
}
