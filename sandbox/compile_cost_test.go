package sandbox_test

import (
	"bytes"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/numax-mesh/numax/crdt/crdttest"
	"github.com/numax-mesh/numax/sandbox"
	"github.com/numax-mesh/numax/sandbox/meter"
	"github.com/numax-mesh/numax/sandbox/sandboxtest"
)

// Code that costs a compiler much, for its bytes. Each makes a module of n times something.
var costly = []struct {
	name string
	make func(n int) []byte
}{
	{"straight code", func(n int) []byte {
		return sandboxtest.Runs(bytes.Repeat([]byte{0x41, 1, 0x1a}, n)...)
	}},
	{"loads at different addresses", func(n int) []byte {
		return inMemory(nil, slices.Concat(sandboxtest.Const32(8), bytes.Repeat([]byte{0x28, 2, 0}, n), sandboxtest.Drop()))
	}},
	{"loads and stores of one address", func(n int) []byte {
		return inMemory(types{i32}, append([]byte{0x41, 8, 0x28, 2, 0, 0x21, 0},
			bytes.Repeat([]byte{0x20, 0, 0x20, 0, 0x28, 2, 4, 0x36, 2, 8}, n)...))
	}},
	{"calls with many results", func(n int) []byte {
		many := slices.Repeat(types{i32}, meter.MaxResults)
		m := new(sandboxtest.Module)
		f := m.Func(nil, many, bytes.Repeat([]byte{0x41, 1}, len(many))...)
		m.Export("run", m.Func(nil, nil, bytes.Repeat(append(sandboxtest.CallFunc(f), bytes.Repeat([]byte{0x1a}, len(many))...), n)...))
		return m.Bytes()
	}},
	{"blocks one after the other", func(n int) []byte {
		return sandboxtest.Runs(bytes.Repeat([]byte{0x02, 0x40, 0x0b}, n)...)
	}},
	{"blocks in blocks", func(n int) []byte {
		return sandboxtest.Runs(slices.Concat(bytes.Repeat([]byte{0x02, 0x40}, n), bytes.Repeat([]byte{0x0b}, n))...)
	}},
	{"loops in loops", func(n int) []byte {
		return sandboxtest.Runs(slices.Concat(bytes.Repeat([]byte{0x03, 0x40}, n), bytes.Repeat([]byte{0x0b}, n))...)
	}},
	{"loops one after the other", func(n int) []byte {
		return inLocals(1, bytes.Repeat([]byte{0x03, 0x40, 0x20, 0, 0x0d, 0, 0x0b}, n))
	}},
	{"branches to one label", func(n int) []byte {
		return inLocals(1, slices.Concat([]byte{0x02, 0x40}, bytes.Repeat([]byte{0x20, 0, 0x0d, 0}, n), []byte{0x0b}))
	}},
	{"branches out", func(n int) []byte {
		return inLocals(1, bytes.Repeat([]byte{0x20, 0, 0x0d, 0}, n))
	}},
	{"branches back", func(n int) []byte {
		return inLocals(1, slices.Concat([]byte{0x03, 0x40}, bytes.Repeat([]byte{0x20, 0, 0x0d, 0}, n), []byte{0x0b}))
	}},
	{"a br_table of many labels", func(n int) []byte {
		return inLocals(1, slices.Concat([]byte{0x02, 0x40, 0x20, 0, 0x0e}, uleb(n), bytes.Repeat([]byte{0}, n+1), []byte{0x0b}))
	}},
	{"a br_table into blocks in blocks", func(n int) []byte {
		code := append(bytes.Repeat([]byte{0x02, 0x40}, n), 0x20, 0, 0x0e)
		code = append(code, uleb(n-1)...)
		for i := range n {
			code = append(code, uleb(i)...)
		}
		return inLocals(1, append(code, bytes.Repeat([]byte{0x0b, 0x20, 0, 0x1a}, n)...))
	}},
	{"locals that are carried through branches", func(n int) []byte {
		return inLocals(n, slices.Concat(setAll(n), bytes.Repeat([]byte{0x20, 0, 0x04, 0x40, 0x41, 1, 0x21, 0, 0x0b}, n), getAll(n)))
	}},
	{"locals that change in a loop", func(n int) []byte {
		return inLocals(n, slices.Concat([]byte{0x03, 0x40}, bumpAll(n), bytes.Repeat([]byte{0x20, 0, 0x0d, 0}, n), []byte{0x0b}))
	}},
	{"locals that change in loops in loops", func(n int) []byte {
		return inLocals(n, slices.Concat(bytes.Repeat([]byte{0x03, 0x40}, n), bumpAll(n), bytes.Repeat([]byte{0x20, 0, 0x0d, 0, 0x0b}, n)))
	}},
	{"a high stack over branches", func(n int) []byte {
		return inMemory(types{i32}, slices.Concat(bytes.Repeat([]byte{0x20, 0, 0x28, 2, 0}, n), bytes.Repeat([]byte{0x20, 0, 0x04, 0x40, 0x41, 1, 0x21, 0, 0x0b}, n),
			bytes.Repeat([]byte{0x6a}, n-1), sandboxtest.Drop()))
	}},
	{"calls and mutable globals", func(n int) []byte {
		m := new(sandboxtest.Module)
		for range n {
			m.Global(0)
		}
		f := m.Func(nil, nil)
		m.Export("run", m.Func(nil, nil, bytes.Repeat(sandboxtest.CallFunc(f), n)...))
		return m.Bytes()
	}},
	{"many functions of many locals", func(n int) []byte {
		m := new(sandboxtest.Module)
		for range n {
			m.FuncOf(slices.Repeat(types{i32}, 40_000), nil, nil)
		}
		m.Export("run", m.Func(nil, nil))
		return m.Bytes()
	}},
	{"many functions of many branches", func(n int) []byte {
		m := new(sandboxtest.Module)
		for range n {
			m.FuncOf(types{i32}, nil, nil, bytes.Repeat([]byte{0x20, 0, 0x0d, 0}, 1<<12)...)
		}
		m.Export("run", m.Func(nil, nil))
		return m.Bytes()
	}},
	{"vectors", func(n int) []byte {
		return sandboxtest.Runs(slices.Concat([]byte{0x41, 1, 0xfd, 0x0f}, bytes.Repeat([]byte{0xfd, 0x60}, n), sandboxtest.Drop())...)
	}},
}

func uleb(n int) (b []byte) {
	for ; n >= 0x80; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}

// inLocals is a function with n locals.
func inLocals(n int, code []byte) []byte {
	m := new(sandboxtest.Module)
	m.Export("run", m.FuncOf(slices.Repeat(types{i32}, n), nil, nil, code...))
	return m.Bytes()
}

// inMemory is a function with a memory, and locals.
func inMemory(locals types, code []byte) []byte {
	m := new(sandboxtest.Module)
	m.Memory(1, "memory")
	m.Export("run", m.FuncOf(locals, nil, nil, code...))
	return m.Bytes()
}

func each(n int, code func(local []byte) []byte) (all []byte) {
	for i := range n {
		all = append(all, code(uleb(i))...)
	}
	return all
}

func setAll(n int) []byte {
	return each(n, func(l []byte) []byte {
		return slices.Concat([]byte{0x20, 0, 0x41, 1, 0x6a, 0x21}, l)
	})
}

func getAll(n int) []byte {
	return each(n, func(l []byte) []byte { return slices.Concat([]byte{0x20}, l, []byte{0x1a}) })
}

func bumpAll(n int) []byte {
	return each(n, func(l []byte) []byte {
		return slices.Concat([]byte{0x20}, l, []byte{0x41, 1, 0x6a, 0x21}, l)
	})
}

// most is the largest that is let in of what a generator makes.
func most(t *testing.T, make func(n int) []byte) (wasm []byte, n int) {
	t.Helper()
	for n = 1; n <= 1<<17; n *= 2 {
		next := make(n)
		if _, err := meter.Instrument(next); err != nil {
			if !strings.Contains(err.Error(), "too much to compile") && !strings.Contains(err.Error(), "for one function: split it") &&
				!strings.Contains(err.Error(), "which take too long to compile") {
				t.Fatal(err)
			}
			break
		}
		wasm = next
	}
	return wasm, n / 2
}

// Whatever a module is made of, compiling it takes some seconds at most and memory in proportion to its
// bytes; what would take more is refused before. Calls with many results took 2.9 GB for 12 KB.
func TestCompileIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("measures time")
	}
	for _, c := range costly {
		t.Run(c.name, func(t *testing.T) {
			wasm, n := most(t, c.make)
			r := newRuntime(t, sandbox.Config{})
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			began := time.Now()
			m, err := r.Compile(t.Context(), c.name, wasm)
			took := time.Since(began)
			if err != nil {
				t.Fatal(err)
			}
			m.Close(t.Context())
			runtime.ReadMemStats(&after)
			used, limit := after.TotalAlloc-before.TotalAlloc, uint64(768<<20+256*len(wasm))
			t.Logf("%d times, %d KiB: %v, %d MiB", n, len(wasm)>>10, took, used>>20)
			if used > limit {
				t.Errorf("%d MiB, want at most %d", used>>20, limit>>20)
			}
			if limit := 60 * time.Second; took > limit && !raceEnabled {
				t.Errorf("%v, want at most %v", took, limit)
			}
		})
	}
}

// The cost of many functions, each of them costly, is in proportion to the module's bytes.
func TestCompileCost(t *testing.T) {
	few := func(code []byte, locals int) func(n int) func() {
		return func(n int) func() {
			m := new(sandboxtest.Module)
			for range n {
				m.FuncOf(slices.Repeat(types{i32}, locals), nil, nil, code...)
			}
			m.Export("run", m.Func(nil, nil))
			r, wasm := newRuntime(t, sandbox.Config{}), m.Bytes()
			return func() {
				code, err := r.Compile(t.Context(), "costly", wasm)
				if err != nil {
					t.Fatal(err)
				}
				code.Close(t.Context())
			}
		}
	}
	for _, c := range []struct {
		name    string
		prepare func(n int) func()
	}{
		{"branches", few(bytes.Repeat([]byte{0x20, 0, 0x0d, 0}, 500), 1)},
		{"loops", few(bytes.Repeat([]byte{0x03, 0x40, 0x20, 0, 0x0d, 0, 0x0b}, 200), 1)},
		{"locals", few(slices.Concat(setAll(100), bytes.Repeat([]byte{0x20, 0, 0x04, 0x40, 0x41, 1, 0x21, 0, 0x0b}, 50), getAll(100)), 100)},
	} {
		t.Run(c.name, func(t *testing.T) { crdttest.CheckCost(t, 20, c.prepare) })
	}
}
