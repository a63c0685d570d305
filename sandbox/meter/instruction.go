package meter

// Opcodes the pass looks at. All others it only has to find the end of.
const (
	opUnreachable  = 0x00
	opBlock        = 0x02
	opLoop         = 0x03
	opIf           = 0x04
	opElse         = 0x05
	opEnd          = 0x0b
	opBr           = 0x0c
	opBrIf         = 0x0d
	opBrTable      = 0x0e
	opReturn       = 0x0f
	opCall         = 0x10
	opCallIndirect = 0x11
	opSelectTyped  = 0x1c
	opLocalGet     = 0x20
	opLocalSet     = 0x21
	opLocalTee     = 0x22
	opGlobalGet    = 0x23
	opGlobalSet    = 0x24
	opMemorySize   = 0x3f
	opMemoryGrow   = 0x40
	opI32Const     = 0x41
	opI64Const     = 0x42
	opF32Const     = 0x43
	opF64Const     = 0x44
	opRefNull      = 0xd0
	opRefFunc      = 0xd2
	opMisc         = 0xfc
	opVector       = 0xfd

	miscMemoryInit = 8
	miscDataDrop   = 9
	miscMemoryCopy = 10
	miscMemoryFill = 11
	miscTableInit  = 12
	miscElemDrop   = 13
	miscTableCopy  = 14
	miscTableGrow  = 15
	miscTableSize  = 16
	miscTableFill  = 17

	typeI32    = 0x7f
	typeExtern = 0x6f
	typeFunc   = 0x70
	typeVector = 0x7b
	typeEmpty  = 0x40 // a block without a type
)

// instruction is one instruction: opcode, for a prefix the opcode after it, and its immediates.
//
//	opcode(1) [opcode(leb128)] immediates
type instruction struct {
	op     byte
	sub    uint32   // after opMisc and opVector
	index  uint32   // of the label, function, local, global or, for call_indirect, type it names
	arity  arity    // of a block
	labels []uint32 // of br_table, without the default, which is index; valid until the next instruction
}

// decoder reads instructions against the index spaces of a module.
type decoder struct {
	reader
	space  *space
	locals uint32
	labels []uint32
}

// space is how many there are of what instructions name, and what types say.
type space struct {
	types, functions, globals uint32
	arities                   []arity // of each type
}

func (d *decoder) next() instruction {
	in := instruction{op: d.byte()}
	switch op := in.op; {
	case op == opBlock || op == opLoop || op == opIf:
		in.arity = d.blockType()
	case op == opBr || op == opBrIf:
		in.index = d.u32()
	case op == opBrTable:
		d.labels = d.labels[:0]
		d.items(func(uint32) { d.labels = append(d.labels, d.u32()) })
		in.labels, in.index = d.labels, d.u32()
	case op == opCall || op == opRefFunc:
		in.index = d.index("function", d.space.functions)
	case op == opCallIndirect:
		in.index = d.index("type", d.space.types)
		d.u32()
	case op == opSelectTyped:
		d.items(func(uint32) { d.valueType() })
	case op >= opLocalGet && op <= opLocalTee:
		in.index = d.index("local", d.locals)
	case op == opGlobalGet || op == opGlobalSet:
		in.index = d.index("global", d.space.globals)
	case op == 0x25 || op == 0x26: // table.get, table.set
		d.u32()
	case op >= 0x28 && op <= 0x3e: // loads and stores
		d.memoryArgument()
	case op == opMemorySize || op == opMemoryGrow:
		d.zero()
	case op == opI32Const:
		d.skipLEB(5)
	case op == opI64Const:
		d.skipLEB(10)
	case op == opF32Const:
		d.bytes(4)
	case op == opF64Const:
		d.bytes(8)
	case op == opRefNull:
		d.valueType()
	case op == opMisc:
		in.sub = d.u32()
		d.misc(in.sub)
	case op == opVector:
		in.sub = d.u32()
		d.vector(in.sub)
	case op <= 0x01, op == opElse, op == opEnd, op == opReturn, op == 0x1a, op == 0x1b, // nop, drop, select
		op >= 0x45 && op <= 0xc4, op == 0xd1: // arithmetic, ref.is_null
	default:
		d.fail("instruction 0x%02x is not of WebAssembly 2.0: build without threads, exceptions, tail calls and garbage collection", op)
	}
	return in
}

func (d *decoder) misc(sub uint32) {
	switch sub {
	case 0, 1, 2, 3, 4, 5, 6, 7: // saturating conversions
	case miscMemoryInit:
		d.u32()
		d.zero()
	case miscMemoryCopy:
		d.zero()
		d.zero()
	case miscMemoryFill:
		d.zero()
	case miscDataDrop, miscElemDrop, miscTableGrow, miscTableSize, miscTableFill:
		d.u32()
	case miscTableInit, miscTableCopy:
		d.u32()
		d.u32()
	default:
		d.fail("instruction 0xfc %d is not of WebAssembly 2.0", sub)
	}
}

func (d *decoder) vector(sub uint32) {
	switch {
	case sub <= 11 || sub == 92 || sub == 93: // loads, the store
		d.memoryArgument()
	case sub == 12 || sub == 13: // const, shuffle
		d.bytes(16)
	case sub >= 21 && sub <= 34: // extract and replace lane
		d.byte()
	case sub >= 84 && sub <= 91: // load and store lane
		d.memoryArgument()
		d.byte()
	case sub > 0xff:
		d.fail("instruction 0xfd %d is not of WebAssembly 2.0: build without relaxed SIMD", sub)
	}
}

// memoryArgument skips alignment and offset. Bit 6 of the alignment would add the index of a memory.
func (d *decoder) memoryArgument() {
	if d.u32() >= 1<<6 {
		d.fail("memory access with an alignment over 2^63, or of a second memory")
	}
	d.u32()
}

// zero reads the index of the one memory there is.
func (d *decoder) zero() {
	if d.byte() != 0 && d.err == nil {
		d.fail("memory other than 0: build without multiple memories")
	}
}

func (r *reader) valueType() {
	if t := r.byte(); (t < typeVector || t > typeI32) && t != typeFunc && t != typeExtern && r.err == nil {
		r.fail("value type 0x%02x is not of WebAssembly 2.0", t)
	}
}

// blockType is 0x40, a value type or, as a 33-bit number that is not negative, the index of a type.
func (d *decoder) blockType() (a arity) {
	if d.at >= len(d.data) {
		d.fail("%w", errMalformed)
		return a
	}
	switch first := d.data[d.at]; {
	case first == typeEmpty:
		d.at++
	case first&0xc0 == 0x40: // one byte, negative
		d.valueType()
		a.results = 1
	default:
		if t := d.index("type", d.space.types); d.err == nil {
			a = d.space.arities[t]
		}
	}
	return a
}

// constant reads a constant expression and appends it to out with functions renumbered.
func (d *decoder) constant(out []byte, renumber func(uint32) uint32) []byte {
	for d.err == nil {
		start := d.at
		in := d.next()
		switch in.op {
		case opI32Const, opI64Const, opF32Const, opF64Const, opGlobalGet, opRefNull:
		case opRefFunc:
			out = appendU32(append(out, opRefFunc), renumber(in.index))
			continue
		case opEnd:
			return append(out, opEnd)
		case opVector:
			if in.sub == 12 {
				break
			}
			fallthrough
		default:
			d.fail("instruction 0x%02x in a constant expression is not of WebAssembly 2.0", in.op)
		}
		out = append(out, d.data[start:d.at]...)
	}
	return out
}
