package sandbox_test

import (
	"errors"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/numax-mesh/numax/sandbox"
	"github.com/numax-mesh/numax/sandbox/sandboxtest"
)

// callsWASI is a guest with 200 MB of memory that calls a function of WASI again and again, after it has run setup.
func callsWASI(name string, params types, setup []byte, args ...[]byte) []byte {
	m := new(sandboxtest.Module)
	f := m.Import("wasi_snapshot_preview1", name, params, types{i32})
	m.Memory(megabytes<<4, "memory")
	m.Export("run", m.Func(nil, nil, slices.Concat(setup, []byte{0x03, 0x40}, slices.Concat(args...), sandboxtest.CallFunc(f),
		[]byte{0x1a, 0x0c, 0, 0x0b})...))
	return m.Bytes()
}

func consts(values ...int32) (args [][]byte) {
	for _, v := range values {
		args = append(args, sandboxtest.Const32(v))
	}
	return args
}

// What one WASI call does is bounded: a guest that asks for more traps, and costs next to nothing.
func TestWASICallsAreBounded(t *testing.T) {
	const most = megabytes << 20
	four := slices.Repeat(types{i32}, 4)
	path := []byte{0xfc, 11, 0}
	fill := slices.Concat(sandboxtest.Const32(0), sandboxtest.Const32('x'), sandboxtest.Const32(most), path)
	open := slices.Concat(consts(3, 0, 0, most, 0), [][]byte{sandboxtest.Const64(0), sandboxtest.Const64(0)}, consts(0, most-4))
	for want, wasm := range map[string][]byte{
		"fd_write with iovs_len of":          callsWASI("fd_write", four, nil, consts(1, 0, most/8, most-4)...),
		"fd_read with iovs_len of":           callsWASI("fd_read", four, nil, consts(0, 0, most/8, most-4)...),
		"poll_oneoff with nsubscriptions of": callsWASI("poll_oneoff", four, nil, consts(0, 0, most/48-1, most-4)...),
		"path_open with path_len of":         callsWASI("path_open", types{i32, i32, i32, i32, i32, i64, i64, i32, i32}, fill, open...),
		"path_unlink_file with path_len of":  callsWASI("path_unlink_file", types{i32, i32, i32}, fill, consts(3, 0, most)...),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		var trap *sandbox.TrapError
		err := compile(t, wasm).Run(t.Context(), sandbox.Call{Deadline: time.Second})
		runtime.ReadMemStats(&after)
		if !errors.As(err, &trap) || !strings.HasPrefix(trap.Cause, want) {
			t.Errorf("got %v, want %s …", err, want)
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > 16<<20 {
			t.Errorf("%s …: took %d MiB of the host's memory", want, took>>20)
		}
	}
}

// A guest that prints without an end is stopped in time.
func TestPrintingEnds(t *testing.T) {
	const deadline = 60 * time.Millisecond
	// 1,024 pieces, each of all the memory.
	piece := slices.Concat([]byte{0x20, 0, 0x41, 8, 0x6c, 0x41, 4, 0x6a}, sandboxtest.Const32(megabytes<<20), []byte{0x36, 2, 0})
	m := new(sandboxtest.Module)
	write := m.Import("wasi_snapshot_preview1", "fd_write", slices.Repeat(types{i32}, 4), types{i32})
	m.Memory(megabytes<<4, "memory")
	set := m.Func(types{i32}, nil, piece...)
	var code []byte
	for i := range int32(1024) {
		code = append(code, append(sandboxtest.Const32(i), sandboxtest.CallFunc(set)...)...)
	}
	for _, a := range consts(1, 0, 1024, 1<<20) {
		code = append(code, a...)
	}
	m.Export("run", m.Func(nil, nil, slices.Concat(code, sandboxtest.CallFunc(write), sandboxtest.Drop())...))
	var took []time.Duration
	for range 3 {
		begin := time.Now()
		err := compile(t, m.Bytes()).Run(t.Context(), sandbox.Call{Deadline: deadline, Stdout: slowly{}})
		took = append(took, time.Since(begin)-deadline)
		if late := new(sandbox.DeadlineError); !errors.As(err, &late) {
			t.Fatal(err)
		}
	}
	check(t, "printing ended after its deadline by", took, late)
}

// slowly looks at each byte, as a log does.
type slowly struct{}

func (slowly) Write(p []byte) (int, error) {
	for range slices.Values(p) {
	}
	return io.Discard.Write(p)
}
