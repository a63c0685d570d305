package meter_test

import (
	"context"
	"slices"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/numax-mesh/numax/sandbox/meter"
	"github.com/numax-mesh/numax/sandbox/sandboxtest"
)

// charged runs f(n) and returns what it was charged, to a quantum.
func charged(t *testing.T, wasm []byte, n uint64) int64 {
	t.Helper()
	ctx := context.Background()
	r := wazero.NewRuntime(ctx)
	defer r.Close(ctx)
	var units int64
	tick := api.GoModuleFunc(func(_ context.Context, _ api.Module, stack []uint64) {
		units += meter.Quantum - int64(int32(stack[0]))
		stack[0] = meter.Quantum
	})
	i32 := []api.ValueType{api.ValueTypeI32}
	_, err := r.NewHostModuleBuilder(meter.Module).NewFunctionBuilder().WithGoModuleFunction(tick, i32, i32).Export(meter.Tick).Instantiate(ctx)
	if err != nil {
		t.Fatal(err)
	}
	m, err := r.Instantiate(ctx, instrument(t, wasm))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.ExportedFunction("f").Call(ctx, n); err != nil {
		t.Fatal(err)
	}
	return units
}

// No instruction runs without its charge, whichever way the code goes, and none costs many times what it should.
func TestCharges(t *testing.T) {
	nops := func(n int) []byte { return slices.Repeat([]byte{0x01}, n) }
	param := []sandboxtest.Type{sandboxtest.I32}
	// repeat is a loop over code, of n rounds with five instructions more.
	repeat := func(code []byte) []byte {
		return slices.Concat([]byte{0x03, 0x40}, code, []byte{0x20, 0, 0x41, 1, 0x6b, 0x22, 0, 0x0d, 0, 0x0b})
	}
	build := func(code []byte, others ...[]byte) []byte {
		m := new(sandboxtest.Module)
		m.Memory(1, "")
		m.Export("f", m.Func(param, nil, code...))
		for _, other := range others {
			m.Func(param, nil, other...)
		}
		return m.Bytes()
	}
	less := []byte{0x20, 0, 0x41, 1, 0x6b, 0x10, 0} // f(n-1)
	for _, c := range []struct {
		name         string
		wasm         []byte
		n            uint64
		instructions int64
		most         int64 // times too much
	}{
		{"tight loop", build(repeat(nil)), 1_000_000, 5 * 1_000_000, 2},
		{"long loop", build(repeat(nops(10_000))), 1000, 10_005 * 1000, 2},
		{"skipping", build(repeat(slices.Repeat(slices.Concat([]byte{0x02, 0x40}, nops(100), []byte{0x0c, 0}, nops(200), []byte{0x0b}), 50))), 1000, (103*50 + 5) * 1000, 3},
		{"skipping by table", build(repeat(slices.Repeat(slices.Concat([]byte{0x02, 0x40, 0x02, 0x40}, nops(60), []byte{0x41, 1, 0x0e, 1, 0, 1, 0x0b}, nops(200), []byte{0x0b}), 50))), 1000, (65*50 + 5) * 1000, 5},
		{"one arm of two", build(repeat(slices.Concat([]byte{0x20, 0, 0x04, 0x40}, nops(90), []byte{0x05}, nops(90), []byte{0x0b}))), 10_000, 97 * 10_000, 2},
		{"early return", build(repeat(slices.Concat([]byte{0x20, 0, 0x10, 1})), slices.Concat([]byte{0x20, 0, 0x04, 0x40, 0x20, 0, 0x10, 2}, nops(70), []byte{0x0f, 0x0b}, nops(300)), nil), 10_000, (7 + 77) * 10_000, 3},
		{"leaf", build(repeat([]byte{0x20, 0, 0x10, 1}), nops(50)), 100_000, (7 + 51) * 100_000, 2},
		{"recursion", build(slices.Concat([]byte{0x20, 0, 0x04, 0x40}, less, less, []byte{0x0b})), 18, 19 << 18, 2},
		{"recursion after work", build(slices.Concat([]byte{0x20, 0, 0x04, 0x40}, nops(120), less, less, nops(300), []byte{0x0b})), 14, 430 << 14, 2},
		{"fill", build(repeat([]byte{0x41, 0, 0x41, 0, 0x41, 0x80, 0x80, 0x02, 0xfc, 11, 0})), 10_000, (32 << 10) / 4 * 10_000, 2},
	} {
		got := charged(t, c.wasm, c.n)
		if got+meter.Quantum < c.instructions || got > c.most*c.instructions {
			t.Errorf("%s: charged %d units for %d instructions, want as many and at most %d times that", c.name, got, c.instructions, c.most)
		}
		t.Logf("%-22s %.2f units an instruction", c.name, float64(got)/float64(c.instructions))
	}
}
