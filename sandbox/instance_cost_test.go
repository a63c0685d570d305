package sandbox_test

import (
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/numax-mesh/numax/sandbox"
	"github.com/numax-mesh/numax/sandbox/meter"
	"github.com/numax-mesh/numax/sandbox/sandboxtest"
)

// What an instance begins with is made by the host, before the guest's deadline can end anything: it is bounded,
// whatever a module declares. Elements of 4 MiB took 580 ms and 356 MiB.
func TestInstancesAreBounded(t *testing.T) {
	section := func(id byte, body ...[]byte) []byte {
		b := slices.Concat(body...)
		return slices.Concat([]byte{id}, uleb(len(b)), b)
	}
	many := func(n int, item ...byte) []byte { return append(uleb(n), slices.Repeat(item, n)...) }
	// what a module has n of
	kinds := map[string]func(n int) []byte{
		"elements":         func(n int) []byte { return section(9, []byte{1, 1, 0}, many(n, 0)) },
		"null elements":    func(n int) []byte { return section(9, []byte{1, 5, 0x70}, many(n, 0xd0, 0x70, 0x0b)) },
		"element segments": func(n int) []byte { return section(9, many(n, 1, 0, 1, 0)) },
		"globals":          func(n int) []byte { return section(6, many(n, 0x7f, 0, 0x41, 0, 0x0b)) },
		"data segments":    func(n int) []byte { return section(11, many(n, 1, 0)) },
	}
	for name, kind := range kinds {
		with := func(n int) []byte {
			s := map[byte][]byte{
				1: section(1, []byte{1, 0x60, 0, 0}), 3: section(3, []byte{1, 0}), 5: section(5, []byte{1, 0, 1}),
				7: section(7, []byte{1, 3}, []byte("run"), []byte{0, 0}), 10: section(10, []byte{1, 2, 0, 0x0b}),
			}
			extra := kind(n)
			s[extra[0]] = extra
			wasm := slices.Clone(sandboxtest.Preamble)
			for _, id := range []byte{1, 3, 5, 6, 7, 9, 10, 11} {
				wasm = append(wasm, s[id]...)
			}
			return wasm
		}
		least, over := 1, 1<<20 // the most that is let in lies between
		for over-least > 1 {
			n := (least + over) / 2
			if _, err := meter.Instrument(with(n)); err != nil {
				over = n
			} else {
				least = n
			}
		}
		m := compile(t, with(least))
		var took []time.Duration
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		const runs = 3
		for range runs {
			began := time.Now()
			if err := m.Run(t.Context(), sandbox.Call{Deadline: time.Minute}); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			took = append(took, time.Since(began))
		}
		runtime.ReadMemStats(&after)
		each := (after.TotalAlloc - before.TotalAlloc) / runs
		t.Logf("%d %s: %d KiB an instance", least, name, each>>10)
		check(t, name+" of an instance took", took, 100*time.Millisecond)
		if each > 8<<20 {
			t.Errorf("an instance with %d %s took %d MiB, want at most 8", least, name, each>>20)
		}
	}
}
