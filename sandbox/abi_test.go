package sandbox_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero/api"

	"github.com/numax-mesh/numax/sandbox"
	"github.com/numax-mesh/numax/sandbox/sandboxtest"
)

// The ABI is tested through a guest that only forwards calls, so that a test chooses every argument and sees all of
// the guest's memory. Inputs are laid out from inputBase, output goes to outputBase, and both lie in a memory of
// memoryPages pages filled with untouched.
const (
	memoryPages = 48
	memoryEnd   = memoryPages << 16
	inputBase   = 0
	outputBase  = 3 << 19
	untouched   = 0xaa

	kib = 1 << 10
	mib = 1 << 20
)

// arg adds parameters of a call.
type arg func(p *params)

type params struct {
	mem  api.Memory
	next uint32
	args []uint64
}

// in places bytes in memory and passes pointer and length.
func in(s string) arg {
	return func(p *params) {
		if !p.mem.Write(p.next, []byte(s)) {
			panic("test input does not fit")
		}
		p.args = append(p.args, uint64(p.next), uint64(len(s)))
		p.next += uint32(len(s))
	}
}

// size passes a good pointer and n bytes of memory as it is, without placing anything.
func size(n uint32) arg { return at(inputBase, n) }

// at passes any pointer and length.
func at(ptr, n uint32) arg {
	return func(p *params) { p.args = append(p.args, uint64(ptr), uint64(n)) }
}

// out offers room for n bytes of output.
func out(n uint32) arg { return at(outputBase, n) }

// num passes a number.
func num(n uint64) arg { return func(p *params) { p.args = append(p.args, n) } }

// fixture is a guest and the node it runs on.
type fixture struct {
	*sandboxtest.Node
	t      testing.TB
	module *sandbox.Module
	host   sandbox.Host
	denied []string // calls that answered -6

	ctx  context.Context
	wasm api.Module
	mem  api.Memory
}

func newFixture(t testing.TB, m *sandbox.Module) *fixture {
	f := &fixture{Node: sandboxtest.NewNode(), t: t, module: m}
	f.host = f.Host()
	f.host.Rand = bytes.NewReader(bytes.Repeat([]byte{7}, mib))
	f.host.Denied = func(call string) { f.denied = append(f.denied, call) }
	f.open()
	return f
}

// open makes a new instance, on the host as it is now.
func (f *fixture) open() {
	f.ctx, f.wasm = f.module.Open(f.t, sandbox.Call{Host: f.host})
	f.mem = f.wasm.ExportedMemory("memory")
	f.clear()
}

// serve gives the guest a service.
func (f *fixture) serve(s *sandboxtest.Service) {
	f.host.Service, f.host.Messages, f.host.Fetch, f.host.Blobs = s, s, s, s.Blobs()
	f.open()
}

var blank = bytes.Repeat([]byte{untouched}, memoryEnd)

func (f *fixture) clear() { f.mem.Write(0, blank) }

func (f *fixture) call(name string, args ...arg) int64 {
	f.t.Helper()
	p := &params{mem: f.mem, next: inputBase}
	for _, a := range args {
		a(p)
	}
	fn := f.wasm.ExportedFunction(name)
	got, err := fn.Call(f.ctx, p.args...)
	if err != nil {
		f.t.Fatalf("%s: %v", name, err)
	}
	if len(got) == 0 {
		return 0
	}
	if fn.Definition().ResultTypes()[0] == api.ValueTypeI64 {
		return int64(got[0])
	}
	return int64(int32(got[0]))
}

// output is what lies where out pointed.
func (f *fixture) output(n int) string {
	b, _ := f.mem.Read(outputBase, uint32(n))
	return string(b)
}

// quiet fails if output was touched from n on.
func (f *fixture) quiet(n int64) {
	f.t.Helper()
	b, _ := f.mem.Read(outputBase, 4*kib)
	for i, c := range b[max(0, n):] {
		if c != untouched {
			f.t.Fatalf("output byte %d is %#x: written beyond the answer %d", max(0, n)+int64(i), c, n)
		}
	}
}

func compileForwarder(t testing.TB) *sandbox.Module {
	return compile(t, sandboxtest.Forwarder(memoryPages, "memory"))
}

func compile(t testing.TB, wasm []byte) *sandbox.Module {
	t.Helper()
	m, err := newRuntime(t, sandbox.Config{}).Compile(t.Context(), "dir/guest.wasm", wasm)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func newRuntime(t testing.TB, cfg sandbox.Config) *sandbox.Runtime {
	t.Helper()
	r, err := sandbox.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(t.Context()) })
	return r
}

// row is one line of the ABI's table put to the test: a call, its answer, and what is written or changed.
type row struct {
	call string
	why  string
	args []arg
	want int64
	out  string               // written, if want >= 0
	node func(f *fixture)     // before
	then func(f *fixture) any // after; must be nil
}

func runRows(t *testing.T, rows []row) {
	m := compileForwarder(t)
	for _, r := range rows {
		t.Run(r.call+"/"+r.why, func(t *testing.T) {
			f := newFixture(t, m)
			if r.node != nil {
				r.node(f)
				f.clear()
			}
			got := f.call(r.call, r.args...)
			if got != r.want {
				t.Fatalf("%s = %d, want %d", r.call, got, r.want)
			}
			if r.out != "" {
				if wrote := f.output(len(r.out)); wrote != r.out {
					t.Errorf("wrote %q, want %q", wrote, r.out)
				}
			}
			f.quiet(int64(len(r.out)))
			if r.then != nil {
				if bad := r.then(f); bad != nil {
					t.Error(bad)
				}
			}
		})
	}
}

// le is little-endian u32s and strings, one after the other.
func le(parts ...any) string {
	var b []byte
	for _, p := range parts {
		switch p := p.(type) {
		case int:
			b = binary.LittleEndian.AppendUint32(b, uint32(p))
		case string:
			b = append(b, p...)
		default:
			panic(fmt.Sprintf("le: %T", p))
		}
	}
	return string(b)
}

func le64(v uint64) string { return string(binary.LittleEndian.AppendUint64(nil, v)) }

var long = strings.Repeat("k", 8*kib)
