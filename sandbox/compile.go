package sandbox

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/numax-mesh/numax/sandbox/meter"
)

// CompilerVersion changes when modules are checked or compiled in another way, so that what was refused
// before may be tried again.
const CompilerVersion = meter.Version

// UnfitError says that a module does not compile, and will not when it is tried again.
type UnfitError struct{ err error }

func (e *UnfitError) Error() string { return e.err.Error() }
func (e *UnfitError) Unwrap() error { return e.err }

// compiler compiles one module at a time, and leaves a core to others. The compiler does not stop within a
// function, so whoever waits for it leaves it behind when its context ends.
//
//	Compile ── turn ── begun() ──► goroutine: meter, compile ──► result
//	   └─ its context ends: returns at once ┄┄► the goroutine frees what came of it, then gives the turn back
type compiler struct {
	turn chan struct{} // of one

	mu      sync.Mutex // guards the rest
	busy    bool
	closed  bool
	release func() error // frees the compiled code, when closed and not busy
}

// enter notes that the compiler works; it says whether it may.
func (c *compiler) enter() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy = !c.closed
	return c.busy
}

// leave ends what enter began.
func (c *compiler) leave() {
	c.mu.Lock()
	c.busy = false
	closed := c.closed
	c.mu.Unlock()
	if closed {
		_ = c.release() // the node has stopped; nobody is there to tell
	}
	<-c.turn
}

// close lets nothing begin any more. The compiled code goes now, or when the compiler is done.
func (c *compiler) close() error {
	c.mu.Lock()
	busy, was := c.busy, c.closed
	c.closed = true
	c.mu.Unlock()
	if busy || was {
		return nil
	}
	return c.release()
}

// compileWorkers is how many goroutines compile functions. Two or more look at the context between functions.
func compileWorkers() int { return max(1, runtime.GOMAXPROCS(0)-1) }

// largeModule is the size from which what compiling took is given back to the system at once.
const largeModule = 1 << 20

// compiled is what comes of compiling.
type compiled struct {
	code wazero.CompiledModule
	err  error
}

// compile waits for a turn, calls begun, and compiles. When ctx ends it returns with its cause at once.
func (r *Runtime) compile(ctx context.Context, wasm []byte, begun func() error) (wazero.CompiledModule, error) {
	select {
	case r.compiler.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if !r.compiler.enter() {
		<-r.compiler.turn
		return nil, errors.New("the sandbox was closed")
	}
	if begun != nil {
		if err := begun(); err != nil {
			r.compiler.leave()
			return nil, err
		}
	}
	done := make(chan compiled)
	go func() { // nobody waits for it when ctx has ended
		defer r.compiler.leave()
		code, err := r.translate(ctx, wasm)
		if err != nil || len(wasm) >= largeModule {
			debug.FreeOSMemory()
		}
		select {
		case done <- compiled{code, err}:
		case <-ctx.Done():
			if code != nil {
				_ = code.Close(context.WithoutCancel(ctx))
			}
		}
	}()
	select {
	case c := <-done:
		if c.err != nil && ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return c.code, c.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// translate meters and compiles a module.
func (r *Runtime) translate(ctx context.Context, wasm []byte) (code wazero.CompiledModule, err error) {
	defer func() {
		if p := recover(); p != nil {
			code, err = nil, &UnfitError{fmt.Errorf("the compiler fails on it: %v", p)}
		}
	}()
	metered, err := meter.Instrument(wasm)
	if err != nil {
		return nil, &UnfitError{err}
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	// The code cache goes by a hash of what is compiled, and so by the version of the metering too.
	code, err = r.wazero.CompileModule(experimental.WithCompilationWorkers(ctx, compileWorkers()), metered)
	switch {
	case err == nil:
		return code, nil
	case strings.Contains(err.Error(), "compilationcache"):
		return nil, fmt.Errorf("%w (the code cache is damaged: remove it and try again)", err)
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	}
	return nil, &UnfitError{err}
}
