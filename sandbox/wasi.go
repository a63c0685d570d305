package sandbox

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

// Limits of a WASI call. wazero takes what the guest's memory holds: millions of pieces in one call, or a path of
// hundreds of megabytes, which it copies. Past them the guest traps.
const (
	maxWASIItems = 1024    // pieces of a read or write, subscriptions of a poll
	maxWASIPath  = 4 << 10 // bytes
)

// wasiCalls is told of each WASI call before it begins: what host functions of ours do at their beginning, and the
// limits above.
type wasiCalls struct{}

// NewFunctionListener implements experimental.FunctionListenerFactory.
func (wasiCalls) NewFunctionListener(f api.FunctionDefinition) experimental.FunctionListener {
	w := &wasiCall{limits: make([]uint32, len(f.ParamNames()))}
	for i, name := range f.ParamNames() {
		switch {
		case name == "iovs_len", name == "nsubscriptions":
			w.limits[i] = maxWASIItems
		case strings.HasSuffix(name, "path_len"):
			w.limits[i] = maxWASIPath
		}
	}
	return w
}

// wasiCall is one WASI function.
type wasiCall struct{ limits []uint32 } // by parameter; 0 = none

// Before implements experimental.FunctionListener.
func (w *wasiCall) Before(ctx context.Context, _ api.Module, f api.FunctionDefinition, params []uint64, _ experimental.StackIterator) {
	ctx.Value(guestKey{}).(*guest).begin()
	for i, limit := range w.limits {
		if limit > 0 && uint32(params[i]) > limit {
			panic(fmt.Errorf("%s with %s of %d: at most %d", f.Name(), f.ParamNames()[i], uint32(params[i]), limit))
		}
	}
}

// After and Abort implement experimental.FunctionListener.
func (*wasiCall) After(context.Context, api.Module, api.FunctionDefinition, []uint64) {}
func (*wasiCall) Abort(context.Context, api.Module, api.FunctionDefinition, error)    {}

// output takes what a guest prints in pieces, as random gives.
type output struct {
	guest *guest
	w     io.Writer
}

const outputPiece = 64 << 10

func (o *output) Write(p []byte) (n int, err error) {
	for err == nil && n < len(p) {
		o.guest.begin()
		var wrote int
		wrote, err = o.w.Write(p[n:min(n+outputPiece, len(p))])
		n += wrote
	}
	return n, err
}
