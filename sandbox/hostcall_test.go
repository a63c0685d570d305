package sandbox_test

import (
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/numax-mesh/numax/sandbox"
	"github.com/numax-mesh/numax/sandbox/sandboxtest"
)

// What a host call costs over what it does: event_get without an event, which only checks its arguments, called from a
// loop that does nothing else; bare, and counted as a node counts.
func BenchmarkHostCall(b *testing.B) {
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "calls"})
	for name, host := range map[string]sandbox.Host{
		"bare":    {},
		"counted": {Count: func(_ string, calls uint64, _ time.Duration) { counter.Add(float64(calls)) }},
	} {
		b.Run(name, func(b *testing.B) {
			m := new(sandboxtest.Module)
			get := m.Import("nx", "event_get", types{i32, i32, i32, i32}, types{i32})
			m.Memory(1, "memory")
			const at, calls = 256, 1000
			call := slices.Concat(sandboxtest.Const32(0), sandboxtest.Const32(4), sandboxtest.Const32(8), sandboxtest.Const32(4),
				sandboxtest.CallFunc(get), sandboxtest.Drop())
			load := slices.Concat(sandboxtest.Const32(at), []byte{0x28, 2, 0})
			m.On(sandbox.OnTick, slices.Concat(
				sandboxtest.Const32(at), sandboxtest.Const32(calls), []byte{0x36, 2, 0},
				[]byte{0x03, 0x40}, call,
				sandboxtest.Const32(at), load, sandboxtest.Const32(1), []byte{0x6b, 0x36, 2, 0},
				load, []byte{0x0d, 0, 0x0b})...)
			i, err := compile(b, m.Bytes()).Start(b.Context(), sandbox.Call{Host: host, CPU: sandbox.NewCPU(0)})
			if err != nil {
				b.Fatal(err)
			}
			defer i.Close(b.Context())
			for b.Loop() {
				if err := i.Handle(b.Context(), &sandbox.Event{Name: sandbox.OnTick}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed())/float64(b.N)/calls, "ns/call")
		})
	}
}
