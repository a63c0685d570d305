package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/numax-mesh/numax/sandbox/meter"
)

// Config is how a Runtime is set up.
type Config struct {
	// CacheDir keeps compiled code between processes, which may share it; "" = none. What lies there is run as
	// native code, so the directory is made for its owner alone.
	CacheDir string
	// DefaultMemory is the cap, in bytes, of a guest whose Call names none; 0 = 256 MiB.
	DefaultMemory uint64
}

// Runtime compiles and holds modules. It is safe for concurrent use.
type Runtime struct {
	wazero   wazero.Runtime
	compiler compiler
	offers   map[string]map[string]api.FunctionDefinition
	memory   uint64
	turns    *turns
}

// New makes a Runtime. Code is compiled to the machine's on amd64 and arm64 and interpreted elsewhere.
func New(ctx context.Context, cfg Config) (*Runtime, error) {
	rc := wazero.NewRuntimeConfig().
		WithCoreFeatures(api.CoreFeaturesV2).
		WithCloseOnContextDone(false) // metering stops guests, also those without loops
	r := &Runtime{memory: cfg.DefaultMemory, turns: newTurns(max(1, runtime.GOMAXPROCS(0)-1))}
	if r.memory == 0 {
		r.memory = defaultMemory
	}
	cache := wazero.NewCompilationCache() // its code outlives the runtime, as a compiler that was left behind may
	if cfg.CacheDir != "" {
		var err error
		if err = os.MkdirAll(cfg.CacheDir, 0o700); err != nil {
			return nil, fmt.Errorf("sandbox: make code cache: %w", err)
		}
		if cache, err = wazero.NewCompilationCacheWithDir(cfg.CacheDir); err != nil {
			return nil, fmt.Errorf("sandbox: open code cache %s: %w", cfg.CacheDir, err)
		}
	}
	r.compiler.turn = make(chan struct{}, 1)
	r.compiler.release = func() error { return cache.Close(context.WithoutCancel(ctx)) }
	r.wazero = wazero.NewRuntimeWithConfig(ctx, rc.WithCompilationCache(cache))
	if err := r.provide(ctx); err != nil {
		r.Close(ctx)
		return nil, err
	}
	return r, nil
}

// provide makes the host modules and notes what the two for guests offer.
func (r *Runtime) provide(ctx context.Context) error {
	nx := r.wazero.NewHostModuleBuilder(nxModule)
	for _, f := range nxFunctions {
		nx.NewFunctionBuilder().WithGoModuleFunction(f, f.params, f.results).Export(f.name)
	}
	if _, err := nx.Instantiate(ctx); err != nil {
		return fmt.Errorf("sandbox: provide host module %s: %w", nxModule, err)
	}
	tickType := []api.ValueType{i32}
	_, err := r.wazero.NewHostModuleBuilder(meter.Module).NewFunctionBuilder().
		WithGoModuleFunction(api.GoModuleFunc(tick), tickType, tickType).Export(meter.Tick).Instantiate(ctx)
	if err != nil {
		return fmt.Errorf("sandbox: provide host module %s: %w", meter.Module, err)
	}
	if _, err := wasi_snapshot_preview1.Instantiate(experimental.WithFunctionListenerFactory(ctx, wasiCalls{}), r.wazero); err != nil {
		return fmt.Errorf("sandbox: provide WASI: %w", err)
	}
	r.offers = make(map[string]map[string]api.FunctionDefinition)
	for _, name := range []string{nxModule, wasi_snapshot_preview1.ModuleName} {
		r.offers[name] = r.wazero.Module(name).ExportedFunctionDefinitions()
	}
	return nil
}

// Close ends every guest that runs and frees all modules. It does not wait for a compilation whose context has ended.
func (r *Runtime) Close(ctx context.Context) error {
	err := r.wazero.Close(ctx)
	if err = errors.Join(err, r.compiler.close()); err != nil {
		return fmt.Errorf("sandbox: close: %w", err)
	}
	return nil
}

// Module is a compiled guest, ready to run. It is safe for concurrent use and lives as long as its Runtime, or until
// Close.
type Module struct {
	runtime *Runtime
	name    string
	code    wazero.CompiledModule
	entry   string // "run" or "_start"; "" = it only reacts
	reactor bool   // has _initialize
	minimum uint64 // bytes of memory it starts with
}

// Compile checks all that can be known of a module without running it, and compiles it, one at a time. name is what
// the guest's module_id answers and what errors call it: the path as the user typed it. When ctx ends it returns at
// once with its cause, and what it was compiling is dropped when that is done, some seconds later at worst.
func (r *Runtime) Compile(ctx context.Context, name string, wasm []byte) (*Module, error) {
	return r.CompileBegun(ctx, name, wasm, nil)
}

// CompileBegun is Compile that calls begun when it is the module's turn; an error of it ends the compilation. It is
// not called for what is refused at sight.
func (r *Runtime) CompileBegun(ctx context.Context, name string, wasm []byte, begun func() error) (*Module, error) {
	fail := func(err error) (*Module, error) { return nil, fmt.Errorf("sandbox: compile %s: %w", name, err) }
	if err := checkPreamble(wasm); err != nil {
		return fail(err)
	}
	out, err := outlineOf(wasm)
	if err != nil {
		return fail(err)
	}
	if len(out.foreign) > 0 {
		i := out.foreign[0]
		return fail(fmt.Errorf("it imports %s %s.%s, and only functions can be imported here", kindNames[i.kind], i.module, i.name))
	}
	if out.tableElements > meter.MaxTableElements {
		return fail(fmt.Errorf("its tables have %d elements, over the limit of %d", out.tableElements, meter.MaxTableElements))
	}
	code, err := r.compile(ctx, wasm, begun)
	if err != nil {
		return fail(err)
	}
	m := &Module{runtime: r, name: name, code: code, minimum: out.memoryPages * wasmPageSize}
	if err := r.checkImports(code); err != nil {
		code.Close(ctx)
		return fail(err)
	}
	if err := m.findEntry(); err != nil {
		code.Close(ctx)
		return fail(err)
	}
	return m, nil
}

// Name is the name the module was compiled under.
func (m *Module) Name() string { return m.name }

// Close frees the compiled code. Guests that run go on.
func (m *Module) Close(ctx context.Context) error { return m.code.Close(ctx) }

// plain says whether the guest exports a function of that name and the type () -> ().
func (m *Module) plain(name string) bool {
	f, ok := m.code.ExportedFunctions()[name]
	return ok && len(f.ParamTypes()) == 0 && len(f.ResultTypes()) == 0
}

// findEntry settles what Run will call: run, if it has exactly the type () → (), else _start. A guest that reacts
// needs neither.
func (m *Module) findEntry() error {
	for _, name := range handlers {
		if f, ok := m.code.ExportedFunctions()[name]; ok && !m.plain(name) {
			return fmt.Errorf("its export %s has the type %s: it must be () -> ()", name, signature(f))
		}
	}
	m.reactor = m.plain("_initialize")
	for _, name := range []string{"run", "_start"} {
		if m.plain(name) {
			m.entry = name
			return nil
		}
	}
	if m.Reacts() {
		return nil
	}
	return m.noEntry()
}

func (m *Module) noEntry() error {
	for _, name := range []string{"run", "_start"} {
		if f, ok := m.code.ExportedFunctions()[name]; ok {
			return fmt.Errorf("its export %s has the type %s: run or _start must be () -> ()", name, signature(f))
		}
	}
	return fmt.Errorf("it exports neither run: () -> () nor _start: () -> (), nor a handler such as on_change, so there is nothing to call")
}

// checkImports names the first import that is not offered, or is with another type.
func (r *Runtime) checkImports(code wazero.CompiledModule) error {
	for _, f := range code.ImportedFunctions() {
		module, name, _ := f.Import()
		if module == meter.Module {
			continue
		}
		offered, known := r.offers[module]
		offer, ok := offered[name]
		switch {
		case !known:
			return fmt.Errorf("it imports function %s.%s, but no module %q is provided (there are %s and %s)",
				module, name, module, nxModule, wasi_snapshot_preview1.ModuleName)
		case !ok:
			return fmt.Errorf("it imports function %s.%s, which does not exist", module, name)
		case signature(f) != signature(offer):
			return fmt.Errorf("it imports function %s.%s as %s, but it is %s", module, name, signature(f), signature(offer))
		}
	}
	return nil
}

// signature writes a function type as (i32, i64) -> i32.
func signature(f api.FunctionDefinition) string {
	list := func(types []api.ValueType) string {
		names := make([]string, len(types))
		for i, t := range types {
			names[i] = api.ValueTypeName(t)
		}
		return strings.Join(names, ", ")
	}
	results := list(f.ResultTypes())
	if len(f.ResultTypes()) != 1 {
		results = "(" + results + ")"
	}
	return "(" + list(f.ParamTypes()) + ") -> " + results
}
