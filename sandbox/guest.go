package sandbox

import (
	"bytes"
	"context"
	"encoding/binary"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tetratelabs/wazero/api"
)

// nxModule is the name guests import host functions from.
const nxModule = "nx"

// guest is what host functions know of the instance that calls them. It travels in the context of the call.
type guest struct {
	ctx     context.Context // of the call under way
	module  string
	host    Host
	event   *Event  // nil = the call is not about one
	running *export // nil = the start section
	clock
	tally []tally // by hostFunc.index; nil = not counted

	budget, used uint64  // units; a budget of 0 is none
	fetched      Fetched // what fetch_read reads; nil = nothing
}

type guestKey struct{}

func withGuest(ctx context.Context, g *guest) context.Context {
	return context.WithValue(ctx, guestKey{}, g)
}

// hostFunc is one nx function. It is an api.GoModuleFunction: wazero calls it without reflection.
type hostFunc struct {
	name            string
	index           int // in nxFunctions
	params, results []api.ValueType
	// One of the three. Most functions need the guest's memory and answer -3 when it exports none.
	withMemory func(c call, arg args) code
	scalar     func(g *guest, arg args) code
	number     func(g *guest) uint64
}

// callsPerTick is how many host calls count as a tick: a guest that does little between them must not compute on the
// host's side for longer than one that computes itself.
const callsPerTick = 64

// begin is the beginning of a host call.
func (g *guest) begin() {
	g.stopIfEnded()
	if g.calls++; g.calls%callsPerTick == 0 {
		g.spend()
	}
}

// tally counts the calls of one function since it was last told.
type tally struct {
	calls, timed uint64
	took         time.Duration // of the timed ones
}

// timedCalls is how many calls go by for one that is timed: to look at the clock twice takes as long as many a call.
const timedCalls = 16

func (t *tally) time(start time.Time) {
	t.timed++
	t.took += time.Since(start)
}

// tell tells the host what the guest called.
func (g *guest) tell() {
	for i := range g.tally {
		t := &g.tally[i]
		if t.calls == 0 {
			continue
		}
		took := time.Duration(0)
		if t.timed > 0 {
			took = t.took * time.Duration(t.calls) / time.Duration(t.timed)
		}
		g.host.Count(nxFunctions[i].name, t.calls, took)
		*t = tally{}
	}
}

// call is one call of a function that needs memory.
type call struct {
	*guest
	mem api.Memory
}

// args are the raw parameters.
type args []uint64

func (a args) u32(i int) uint32 { return uint32(a[i]) }

// Call implements api.GoModuleFunction.
func (f *hostFunc) Call(ctx context.Context, m api.Module, stack []uint64) {
	g := ctx.Value(guestKey{}).(*guest)
	g.begin()
	if g.tally != nil {
		t := &g.tally[f.index]
		t.calls++
		if g.calls%timedCalls == 0 {
			defer t.time(time.Now())
		}
	}
	if g.host.Observe != nil {
		defer func(start time.Time) { g.host.Observe(f.name, time.Since(start)) }(time.Now())
	}
	answer := codeInvalid
	if f.number != nil {
		stack[0] = f.number(g)
		answer = code(int64(stack[0])) // only looked at for -6
	} else if f.scalar != nil {
		answer = f.scalar(g, stack)
		// Not m.Memory(): that also hands out a memory the guest keeps to itself.
	} else if mem := m.ExportedMemory("memory"); mem != nil {
		answer = f.withMemory(call{g, mem}, stack)
	} else if f.name == "abort" {
		panic(&AbortError{Msg: "no `memory` export on guest"})
	}
	if answer == codeDenied && g.host.Denied != nil {
		g.host.Denied(f.name)
	}
	if len(f.results) == 1 && f.number == nil {
		stack[0] = api.EncodeI32(int32(answer))
	}
}

// read returns a view of guest memory, valid until the guest runs again.
func (c call) read(ptr, size, limit uint32) ([]byte, code) {
	if size > limit {
		return nil, codeInvalid
	}
	b, ok := c.mem.Read(ptr, size)
	if !ok {
		return nil, codeInvalid
	}
	return b, codeOK
}

// key reads a key as raw bytes: length, bounds, prefix.
func (c call) key(ptr, size uint32) ([]byte, code) {
	b, bad := c.read(ptr, size, maxKey)
	if bad != codeOK {
		return nil, bad
	}
	if bytes.HasPrefix(b, []byte(reservedPrefix)) {
		return nil, codeReserved
	}
	return b, codeOK
}

// text reads a field, an element or an id: length, bounds, UTF-8.
func (c call) text(ptr, size uint32) (string, code) {
	b, bad := c.read(ptr, size, maxKey)
	if bad != codeOK {
		return "", bad
	}
	if !utf8.Valid(b) {
		return "", codeInvalid
	}
	return string(b), codeOK
}

// ckey reads a CRDT key: as key, and UTF-8, which is tested before the prefix.
func (c call) ckey(ptr, size uint32) (string, code) {
	s, bad := c.text(ptr, size)
	if bad != codeOK {
		return "", bad
	}
	if strings.HasPrefix(s, reservedPrefix) {
		return "", codeReserved
	}
	return s, codeOK
}

// value reads a value and copies it: the host keeps it after the call, the guest may overwrite its memory.
func (c call) value(ptr, size uint32) ([]byte, code) {
	b, bad := c.read(ptr, size, maxValue)
	return bytes.Clone(b), bad
}

// capacity checks what the guest offers for output, before anything is read or done.
func capacity(size uint32) code {
	if size > maxOutput {
		return codeInvalid
	}
	return codeOK
}

// write answers the length of data, or -2 without a trace when it does not fit.
func (c call) write(ptr, size uint32, data []byte) code {
	if uint64(len(data)) > uint64(size) {
		return codeTooSmall
	}
	if !c.mem.Write(ptr, data) {
		return codeInvalid
	}
	return code(len(data))
}

// list encodes rows for the guest: a count, then fields with lengths before them, all little-endian u32. It stops
// collecting when the rows can no longer fit, so that it never holds more than the guest offered room for.
type list struct {
	buf   []byte
	limit int
	count uint32
	full  bool
}

func newList(limit uint32) *list {
	return &list{buf: make([]byte, 4), limit: int(limit), full: limit < 4}
}

// row counts a row and says whether its size bytes still fit.
func (l *list) row(size int) bool {
	l.count++
	l.full = l.full || len(l.buf)+size > l.limit
	return !l.full
}

func (l *list) size(n int) { l.buf = binary.LittleEndian.AppendUint32(l.buf, uint32(n)) }

func (c call) writeList(ptr, size uint32, l *list) code {
	if l.full {
		return codeTooSmall
	}
	binary.LittleEndian.PutUint32(l.buf, l.count)
	return c.write(ptr, size, l.buf)
}

// lossy decodes UTF-8 as browsers and Rust do: one U+FFFD for each longest run of bytes that could have begun a
// character and did not go on to be one.
func lossy(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	var out strings.Builder
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 {
			n = brokenPrefix(b)
		}
		out.WriteRune(r)
		b = b[n:]
	}
	return out.String()
}

// brokenPrefix is how many bytes at the start of b, which is no character, look like the start of one.
func brokenPrefix(b []byte) int {
	need, low, high := 0, byte(0x80), byte(0xbf)
	switch first := b[0]; {
	case first >= 0xc2 && first <= 0xdf:
		need = 1
	case first >= 0xe0 && first <= 0xef:
		need = 2
		if first == 0xe0 {
			low = 0xa0 // shorter forms exist
		} else if first == 0xed {
			high = 0x9f // surrogates
		}
	case first >= 0xf0 && first <= 0xf4:
		need = 3
		if first == 0xf0 {
			low = 0x90
		} else if first == 0xf4 {
			high = 0x8f // beyond U+10FFFF
		}
	}
	n := 1
	for ; n <= need && n < len(b) && b[n] >= low && b[n] <= high; n++ {
		low, high = 0x80, 0xbf
	}
	return n
}
