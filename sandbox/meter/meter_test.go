package meter_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/numax-mesh/numax/sandbox/meter"
	"github.com/numax-mesh/numax/sandbox/sandboxtest"
)

var engines = map[string]func() wazero.RuntimeConfig{
	"compiler":    wazero.NewRuntimeConfig,
	"interpreter": wazero.NewRuntimeConfigInterpreter,
}

// behaviour is everything of a run that can be seen from outside: results, traps, host calls, memory and globals.
func behaviour(t *testing.T, rc wazero.RuntimeConfig, wasm []byte, call func(api.Module) []string) string {
	t.Helper()
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, rc.WithCoreFeatures(api.CoreFeaturesV2))
	defer r.Close(ctx)
	i32 := []api.ValueType{api.ValueTypeI32}
	var seen []string
	host := api.GoModuleFunc(func(_ context.Context, _ api.Module, stack []uint64) {
		seen = append(seen, fmt.Sprint("host ", uint32(stack[0])))
		stack[0] = uint64(uint32(stack[0]) * 3)
	})
	tick := api.GoModuleFunc(func(_ context.Context, _ api.Module, stack []uint64) {
		if left := int32(stack[0]); left >= 0 {
			t.Errorf("tick with %d left", left)
		}
		stack[0] = 10 // often
	})
	for name, f := range map[string]api.GoModuleFunc{env + " host": host, meter.Module + " " + meter.Tick: tick} {
		module, field, _ := strings.Cut(name, " ")
		if _, err := r.NewHostModuleBuilder(module).NewFunctionBuilder().WithGoModuleFunction(f, i32, i32).Export(field).Instantiate(ctx); err != nil {
			t.Fatal(err)
		}
	}
	m, err := r.Instantiate(ctx, wasm)
	if err != nil {
		t.Fatalf("instantiate: %v", err)
	}
	seen = append(seen, call(m)...)
	if mem := m.ExportedMemory("M"); mem != nil {
		all, _ := mem.Read(0, mem.Size())
		seen = append(seen, fmt.Sprintf("memory %x", sum(all)))
	}
	if g := m.ExportedGlobal("G"); g != nil {
		seen = append(seen, fmt.Sprint("global ", g.Get()))
	}
	return strings.Join(seen, "\n")
}

func sum(b []byte) (h uint64) {
	for chunk := range slices.Chunk(b, 8) {
		h = h*1099511628211 + binary.LittleEndian.Uint64(chunk)
	}
	return h
}

// invoke calls a function and says what came of it.
func invoke(m api.Module, name string, args ...uint64) string {
	results, err := m.ExportedFunction(name).Call(context.Background(), args...)
	if err != nil {
		cause, _, _ := strings.Cut(err.Error(), "\n")
		return fmt.Sprint(name, args, " traps: ", cause)
	}
	return fmt.Sprint(name, args, " = ", results)
}

// difference is the first line that is another one.
func difference(metered, plain string) string {
	got, want := strings.Split(metered, "\n"), strings.Split(plain, "\n")
	for i, line := range got {
		if i >= len(want) || line != want[i] {
			return fmt.Sprintf("line %d: metered %q, plain %q", i, line, want[i:min(i+1, len(want))])
		}
	}
	return fmt.Sprintf("metered has %d lines, plain %d", len(got), len(want))
}

// A metered module does what the module did, on both engines.
func TestSameBehaviour(t *testing.T) {
	n := 150
	if testing.Short() {
		n = 50
	}
	traps := 0
	for seed := range uint64(n) {
		g := &generator{Rand: rand.New(rand.NewPCG(seed, 1))}
		wasm := g.module()
		call := func(m api.Module) (seen []string) {
			for f := range g.functions {
				for _, arg := range []uint64{0, 1, 0xffffffff, seed} {
					seen = append(seen, invoke(m, string(rune('a'+f)), arg, seed*7, 3, 1000, 0, 0, 0, 0))
				}
			}
			return seen
		}
		want := behaviour(t, engines["interpreter"](), wasm, call)
		metered := instrument(t, wasm)
		for name, rc := range engines {
			if got := behaviour(t, rc(), metered, call); got != want {
				t.Errorf("seed %d on the %s: %s", seed, name, difference(got, want))
			}
		}
		traps += strings.Count(want, "traps")
	}
	if traps == 0 {
		t.Error("no generated module traps")
	}
}

func TestSamePrograms(t *testing.T) {
	call := func(m api.Module) []string {
		return []string{invoke(m, "sha", 20), invoke(m, "sort", 1), invoke(m, "fib", 15), invoke(m, "sieve", 1), invoke(m, "indirect", 1000)}
	}
	want := behaviour(t, engines["compiler"](), programs, call)
	metered := instrument(t, programs)
	for name, rc := range engines {
		if got := behaviour(t, rc(), metered, call); got != want {
			t.Errorf("%s: %s", name, difference(got, want))
		}
	}
}

// Bulk operations larger than a step, upwards, downwards, and past the end, where nothing may have been written.
func TestBulk(t *testing.T) {
	m := new(sandboxtest.Module)
	m.Memory(80, "M") // 5 MiB
	three := []sandboxtest.Type{sandboxtest.I32, sandboxtest.I32, sandboxtest.I32}
	args := []byte{0x20, 0, 0x20, 1, 0x20, 2}
	m.Export("fill", m.Func(three, nil, append(args, 0xfc, 11, 0)...))
	m.Export("copy", m.Func(three, nil, append(args, 0xfc, 10, 0, 0)...))
	m.Export("poke", m.Func(three[:2], nil, 0x20, 0, 0x20, 1, 0x36, 2, 0))
	wasm := m.Bytes()
	const mib = 1 << 20
	call := func(m api.Module) (seen []string) {
		for i := range uint64(5 * mib / 4096) {
			invoke(m, "poke", i*4096+i, i*i)
		}
		for _, c := range []struct {
			name string
			args [3]uint64
		}{
			{"fill", [3]uint64{3, 7, 2*mib + 5}},
			{"fill", [3]uint64{4 * mib, 7, mib}},
			{"fill", [3]uint64{4 * mib, 9, mib + 1}},
			{"fill", [3]uint64{0xffffffff, 9, 0xffffffff}},
			{"fill", [3]uint64{5*mib + 1, 9, 0}},
			{"copy", [3]uint64{100, 3, 3*mib + 77}},
			{"copy", [3]uint64{3, 100, 3*mib + 77}},
			{"copy", [3]uint64{mib, 0, 2 * mib}},
			{"copy", [3]uint64{mib + 1, mib, 2*mib + 1}},
			{"copy", [3]uint64{2 * mib, 2 * mib, 3 * mib}},
			{"copy", [3]uint64{3*mib + 1, 0, 2 * mib}},
			{"copy", [3]uint64{0, 3*mib + 1, 2 * mib}},
			{"copy", [3]uint64{0, 0xffffffff, 0xffffffff}},
			{"copy", [3]uint64{0, 5 * mib, 0}},
		} {
			all, _ := m.ExportedMemory("M").Read(0, 5*mib)
			seen = append(seen, invoke(m, c.name, c.args[:]...), fmt.Sprintf("%x", sum(all)))
		}
		return seen
	}
	want := behaviour(t, engines["compiler"](), wasm, call)
	if got := behaviour(t, engines["compiler"](), instrument(t, wasm), call); got != want {
		t.Error(difference(got, want))
	}
}

func TestRefuses(t *testing.T) {
	code := func(code ...byte) []byte { return sandboxtest.Runs(code...) }
	private := new(sandboxtest.Module)
	private.Import(meter.Module, "anything", nil, nil)
	// many is a section of n items.
	many := func(id byte, n int, item ...byte) []byte {
		return section(id, append(uleb(uint64(n)), bytes.Repeat(item, n)...))
	}
	typed := slices.Concat(sandboxtest.Preamble, section(1, vec([]byte{0x60, 0, 0})))
	oneFunc := slices.Concat(typed, section(3, vec([]byte{0})))
	half := slices.Concat([]byte{1, 0}, uleb(1<<15+1), make([]byte, 1<<15+1)) // of the elements
	for want, wasm := range map[string][]byte{
		"16385 types, over the limit":       slices.Concat(sandboxtest.Preamble, many(1, 16_385, 0x60, 0, 0)),
		"262145 functions, over the limit":  slices.Concat(typed, many(3, 262_145, 0)),
		"65537 globals, over the limit":     slices.Concat(sandboxtest.Preamble, many(6, 65_537, 0x7f, 0, 0x41, 0, 0x0b)),
		"65537 exports, over the limit":     slices.Concat(oneFunc, many(7, 65_537, 0, 0, 0)),
		"16385 element segments, over":      slices.Concat(oneFunc, many(9, 16_385, 1, 0, 0)),
		"over 65536 elements in all":        slices.Concat(oneFunc, section(9, vec(half, half))),
		"100001 data segments, over the":    slices.Concat(sandboxtest.Preamble, section(5, vec([]byte{0, 1})), many(11, 100_001, 1, 0)),
		"4097 custom sections, over the":    slices.Concat(sandboxtest.Preamble, bytes.Repeat([]byte{0, 1, 0}, 4097)),
		"which is for metering alone":       private.Bytes(),
		"global 0 of 0 does not exist":      code(0x23, 0, 0x1a),
		"local 0 of 0 does not exist":       code(0x20, 0, 0x1a),
		"function 1 of 1 does not exist":    code(0x10, 1),
		"label 1 of 1 does not exist":       code(0x0c, 1),
		"0xfe is not of WebAssembly 2.0":    code(0xfe, 0),
		"0x12 is not of WebAssembly 2.0":    code(0x12, 0),
		"without relaxed SIMD":              code(0xfd, 0x80, 2),
		"alignment over 2^63":               code(0x41, 0, 0x28, 0x42, 0, 0, 0x1a),
		"not a core module":                 []byte("\x00asm\x0d\x00\x01\x00"),
		"comes twice or too late":           slices.Concat(sandboxtest.Runs(), []byte{1, 1, 0}),
		"section 13 is not of":              slices.Concat(sandboxtest.Preamble, []byte{13, 1, 0}),
		"malformed":                         sandboxtest.Runs()[:20],
		"over 40000 blocks and branches":    code(slices.Concat([]byte{0x41, 0, 0x0e}, uleb(40000), make([]byte, 40001))...),
		"type 0 has 0 parameters and 1001":  slices.Concat(sandboxtest.Preamble, section(1, vec(slices.Concat([]byte{0x60, 0}, uleb(1001), bytes.Repeat([]byte{0x7f}, 1001))))),
		"over the limit of 1048576 for one": code(make([]byte, 1<<20)...),
		"too much to compile: its calls":    code(bytes.Repeat([]byte{0x02, 0x40, 0x0b}, 20_000)...),
		"in all functions, over the limit":  branchy(100),
		"50000 locals, over the limit of":   slices.Concat(sandboxtest.Preamble, section(1, vec([]byte{0x60, 0, 0})), section(3, vec([]byte{0})), section(10, vec(sized(append(vec(append(uleb(50000), 0x7f)), 0x0b))))),
	} {
		if _, err := meter.Instrument(wasm); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// branchy has n functions, each of which takes less than one may.
func branchy(n int) []byte {
	m := new(sandboxtest.Module)
	for range n {
		m.Func(nil, nil, bytes.Repeat([]byte{0x02, 0x40, 0x0b}, 5000)...)
	}
	return m.Bytes()
}

// Sections about places in the code are dropped; others are kept, and names follow their functions.
func TestCustomSections(t *testing.T) {
	custom := func(name, body string) []byte { return section(0, append(sized([]byte(name)), body...)) }
	out := instrument(t, slices.Concat(sandboxtest.Preamble, custom("first", "x"), sandboxtest.Runs()[8:], custom(".debug_line", "x"), custom("reloc.CODE", "x"),
		custom("name", "\x01\x06\x01\x00\x03run\x03\x01\x00")))
	want := slices.Concat(custom("first", "x"), custom("name", "\x01\x06\x01\x01\x03run"))
	if !bytes.HasSuffix(out, want) || bytes.Contains(out, []byte("debug")) || bytes.Contains(out, []byte("reloc")) {
		t.Errorf("instrumented: %q, want it to end in %q", out, want)
	}
	malformed := custom("name", "\x01\x05\xff\xff\xff\xff\x0f") // 2³² names
	if got := instrument(t, slices.Concat(sandboxtest.Runs(), malformed)); !bytes.Equal(got, instrument(t, sandboxtest.Runs())) {
		t.Errorf("a malformed name section is kept: %q", got)
	}
}

// Whatever comes in, nothing panics; what compiles still compiles, and what does not does not begin to.
func FuzzInstrument(f *testing.F) {
	hello, err := os.ReadFile("../../examples/hello-c/hello.wasm")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(hello)
	f.Add(programs)
	f.Add(sandboxtest.Forwarder(1, "memory"))
	for seed := range uint64(10) {
		f.Add((&generator{Rand: rand.New(rand.NewPCG(seed, 2))}).module())
	}
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter().WithCoreFeatures(api.CoreFeaturesV2))
	f.Cleanup(func() { r.Close(ctx) })
	f.Fuzz(func(t *testing.T, wasm []byte) {
		out, err := meter.Instrument(wasm)
		if err != nil {
			return
		}
		if limit := 4096 + 60*len(wasm); len(out) > limit {
			t.Errorf("%d bytes became %d", len(wasm), len(out))
		}
		if name := []byte("\x04name"); bytes.Contains(wasm, name) && !bytes.Contains(out, name) {
			return // malformed, and what the compiler does then is its own affair
		}
		before, was := r.CompileModule(ctx, wasm)
		after, is := r.CompileModule(ctx, out)
		if (was == nil) != (is == nil) {
			t.Errorf("compile: %v; metered: %v", was, is)
		}
		for _, m := range []wazero.CompiledModule{before, after} {
			if m != nil {
				m.Close(ctx)
			}
		}
	})
}
