package meter_test

import (
	"context"
	_ "embed"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/numax-mesh/numax/sandbox/meter"
)

//go:embed testdata/programs.wasm
var programs []byte

// load instantiates a module under a tick that only refills.
func load(t testing.TB, rc wazero.RuntimeConfig, wasm []byte) api.Module {
	t.Helper()
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, rc)
	t.Cleanup(func() { r.Close(ctx) })
	i32 := []api.ValueType{api.ValueTypeI32}
	refill := api.GoModuleFunc(func(_ context.Context, _ api.Module, stack []uint64) { stack[0] = meter.Quantum })
	_, err := r.NewHostModuleBuilder(meter.Module).NewFunctionBuilder().WithGoModuleFunction(refill, i32, i32).Export(meter.Tick).Instantiate(ctx)
	if err != nil {
		t.Fatal(err)
	}
	m, err := r.Instantiate(ctx, wasm)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func instrument(t testing.TB, wasm []byte) []byte {
	t.Helper()
	out, err := meter.Instrument(wasm)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// BenchmarkCost runs programs with and without metering; compare the two of each.
func BenchmarkCost(b *testing.B) {
	rc := wazero.NewRuntimeConfig().WithCoreFeatures(api.CoreFeaturesV2)
	plain, metered := load(b, rc, programs), load(b, rc, instrument(b, programs))
	for _, p := range []struct {
		name string
		n    uint64
	}{{"sha", 2000}, {"sort", 5}, {"fib", 25}, {"sieve", 10}, {"indirect", 500_000}} {
		for _, m := range []struct {
			name   string
			module api.Module
		}{{"plain", plain}, {"metered", metered}} {
			b.Run(p.name+"/"+m.name, func(b *testing.B) {
				f := m.module.ExportedFunction(p.name)
				for b.Loop() {
					if _, err := f.Call(b.Context(), p.n); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
