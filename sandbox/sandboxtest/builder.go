package sandboxtest

import "slices"

// Type is a WebAssembly value type.
type Type byte

const (
	I32 Type = 0x7f
	I64 Type = 0x7e
)

// Module builds a core module, section by section as in the binary format:
//
//	\0asm 1 │ type │ import │ function │ table │ memory │ global │ export │ start │ element │ code
//
// Functions are numbered imports first, as in the format, so import before you define.
type Module struct {
	types, imports, funcs, tables, memories, globals, exports, elements, codes [][]byte
	start                                                                      []byte
	imported                                                                   uint32
}

// Preamble is what a core module starts with.
var Preamble = []byte("\x00asm\x01\x00\x00\x00")

// Import declares a function import and returns its index.
func (m *Module) Import(module, name string, params, results []Type) uint32 {
	m.imports = append(m.imports, slices.Concat(vec(module), vec(name), []byte{0}, uleb(m.typeOf(params, results))))
	m.imported++
	return m.imported - 1
}

// ImportRaw declares an import of any kind; desc is its kind byte and what follows.
func (m *Module) ImportRaw(module, name string, desc ...byte) {
	m.imports = append(m.imports, slices.Concat(vec(module), vec(name), desc))
}

// Func defines a function and returns its index. body is code without locals and without the final end.
func (m *Module) Func(params, results []Type, body ...byte) uint32 {
	return m.FuncOf(nil, params, results, body...)
}

// FuncOf is Func with locals, all of the type of the first.
func (m *Module) FuncOf(locals, params, results []Type, body ...byte) uint32 {
	m.funcs = append(m.funcs, uleb(m.typeOf(params, results)))
	head := []byte{0}
	if n := len(locals); n > 0 {
		head = append(append([]byte{1}, uleb(uint32(n))...), byte(locals[0]))
	}
	code := slices.Concat(head, body, []byte{opEnd})
	m.codes = append(m.codes, slices.Concat(uleb(uint32(len(code))), code))
	return m.imported + uint32(len(m.funcs)) - 1
}

// Memory defines the memory, of at least pages pages, and exports it unless export is "".
func (m *Module) Memory(pages uint32, export string) {
	m.memories = append(m.memories, slices.Concat([]byte{0}, uleb(pages)))
	if export != "" {
		m.exports = append(m.exports, slices.Concat(vec(export), []byte{2, 0}))
	}
}

// Table defines a table of functions.
func (m *Module) Table(elements uint32) {
	m.tables = append(m.tables, slices.Concat([]byte{0x70, 0}, uleb(elements)))
}

// Global defines a mutable i32.
func (m *Module) Global(value int32) {
	m.globals = append(m.globals, slices.Concat([]byte{byte(I32), 1}, Const32(value), []byte{opEnd}))
}

// Declare declares a function for ref.func.
func (m *Module) Declare(index uint32) {
	m.elements = append(m.elements, slices.Concat([]byte{3, 0, 1}, uleb(index)))
}

// Export exports a function.
func (m *Module) Export(name string, index uint32) {
	m.exports = append(m.exports, slices.Concat(vec(name), []byte{0}, uleb(index)))
}

// Start makes a function the start section's.
func (m *Module) Start(index uint32) { m.start = uleb(index) }

// Bytes is the binary.
func (m *Module) Bytes() []byte {
	out := slices.Clone(Preamble)
	section := func(id byte, items [][]byte) {
		if len(items) > 0 {
			body := slices.Concat(uleb(uint32(len(items))), slices.Concat(items...))
			out = slices.Concat(out, []byte{id}, uleb(uint32(len(body))), body)
		}
	}
	section(1, m.types)
	section(2, m.imports)
	section(3, m.funcs)
	section(4, m.tables)
	section(5, m.memories)
	section(6, m.globals)
	section(7, m.exports)
	if m.start != nil {
		out = slices.Concat(out, []byte{8}, uleb(uint32(len(m.start))), m.start)
	}
	section(9, m.elements)
	section(10, m.codes)
	return out
}

func (m *Module) typeOf(params, results []Type) uint32 {
	list := func(types []Type) []byte {
		b := uleb(uint32(len(types)))
		for _, t := range types {
			b = append(b, byte(t))
		}
		return b
	}
	t := slices.Concat([]byte{0x60}, list(params), list(results))
	for i, have := range m.types {
		if slices.Equal(have, t) {
			return uint32(i)
		}
	}
	m.types = append(m.types, t)
	return uint32(len(m.types) - 1)
}

// Instructions, as far as the guests here need them.
const (
	opUnreachable = 0x00
	opLoop        = 0x03
	opIf          = 0x04
	opEnd         = 0x0b
	opBr          = 0x0c
	opCall        = 0x10
	opDrop        = 0x1a
	opLocalGet    = 0x20
	opI32Const    = 0x41
	opI64Const    = 0x42
	opI32Store8   = 0x3a
	opI32Ne       = 0x47
	opMemoryGrow  = 0x40
	noResult      = 0x40
)

// CallFunc is a call of a function.
func CallFunc(index uint32) []byte { return append([]byte{opCall}, uleb(index)...) }

// Const32 pushes an i32.
func Const32(v int32) []byte { return append([]byte{opI32Const}, sleb(int64(v))...) }

// Const64 pushes an i64.
func Const64(v int64) []byte { return append([]byte{opI64Const}, sleb(v)...) }

// Drop drops what was pushed last.
func Drop() []byte { return []byte{opDrop} }

// Trap is unreachable.
func Trap() []byte { return []byte{opUnreachable} }

// Poke stores bytes in memory.
func Poke(at uint32, data []byte) []byte {
	var code []byte
	for i, b := range data {
		code = slices.Concat(code, Const32(int32(at)+int32(i)), Const32(int32(b)), []byte{opI32Store8, 0, 0})
	}
	return code
}

// Forever is an endless loop.
func Forever() []byte { return []byte{opLoop, noResult, opBr, 0, opEnd} }

// Grow grows memory and pushes the answer.
func Grow(pages int32) []byte { return append(Const32(pages), opMemoryGrow, 0) }

// TrapUnless32 traps unless the i32 on the stack is want.
func TrapUnless32(want int32) []byte {
	return slices.Concat(Const32(want), []byte{opI32Ne, opIf, noResult, opUnreachable, opEnd})
}

func vec(s string) []byte { return append(uleb(uint32(len(s))), s...) }

func uleb(v uint32) []byte {
	var b []byte
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

func sleb(v int64) []byte {
	var b []byte
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if v == 0 && c&0x40 == 0 || v == -1 && c&0x40 != 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}
