package meter_test

import (
	"context"
	_ "embed"
	"testing"
	"time"

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

// cost is how many times longer a program takes metered: the fastest of many runs of each, taken in turns, so that
// what else the machine does is left out.
func cost(t testing.TB, plain, metered api.Module, name string, n uint64, turns int) float64 {
	t.Helper()
	var best [2]time.Duration
	for range turns {
		for i, m := range []api.Module{plain, metered} {
			begin := time.Now()
			if _, err := m.ExportedFunction(name).Call(t.Context(), n); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(begin); best[i] == 0 || took < best[i] {
				best[i] = took
			}
		}
	}
	return float64(best[1]) / float64(best[0])
}

// BenchmarkCost reports the time of programs with metering, as a multiple of that without.
func BenchmarkCost(b *testing.B) {
	rc := wazero.NewRuntimeConfig().WithCoreFeatures(api.CoreFeaturesV2)
	plain, metered := load(b, rc, programs), load(b, rc, instrument(b, programs))
	for _, p := range []struct {
		name string
		n    uint64
	}{{"sha", 500}, {"sort", 1}, {"fib", 22}, {"sieve", 1}, {"indirect", 100_000}} {
		b.Run(p.name, func(b *testing.B) {
			var x float64
			for b.Loop() {
				x = cost(b, plain, metered, p.name, p.n, 300)
			}
			b.ReportMetric(x, "times-plain")
			b.ReportMetric(0, "ns/op")
		})
	}
}
