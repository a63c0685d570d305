package meter

import "slices"

// The functions the pass adds to a module, after the module's own.
type helper uint32

const (
	helperTick  helper = iota // () → (): calls the host, which says how much is left from now on
	helperBulk                // (n) → n: charges an operation over n bytes or elements
	helperPages               // (n) → n: charges the growth of the memory by n pages
	helperFill                // (at, value, n) → (): memory.fill in steps
	helperCopy                // (to, from, n) → (): memory.copy in steps
	helperCount

	// helperPlain is how many there are in a module without a memory.
	helperPlain = helperFill
)

const (
	bulkShift = 2         // a unit pays for 4 bytes, so that a tick comes after about as much time as elsewhere
	bulkStep  = 256 << 10 // bytes moved between two charges
	pageCost  = 4096      // of a page of 64 KiB that is added

	opSelect    = 0x1b
	opI32LtS    = 0x48
	opI32GtU    = 0x4b
	opI32LeU    = 0x4d
	opI64GtU    = 0x56
	opI32Add    = 0x6a
	opI32Sub    = 0x6b
	opI32Mul    = 0x6c
	opI32Or     = 0x72
	opI32ShrU   = 0x76
	opI64Add    = 0x7c
	opI64Shl    = 0x86
	opI64Extend = 0xad // i64.extend_i32_u
)

// Types of the helpers, and of the import, in the order in which they are added.
const (
	typeOfTick = iota // () → ()
	typeOfBulk        // (i32) → i32
	typeOfMove        // (i32, i32, i32) → ()
	addedTypes
)

var addedTypeBytes = []byte{
	0x60, 0, 0,
	0x60, 1, typeI32, 1, typeI32,
	0x60, 3, typeI32, typeI32, typeI32, 0,
}

var helperTypes = [helperCount]uint32{
	helperTick: typeOfTick, helperBulk: typeOfBulk, helperPages: typeOfBulk, helperFill: typeOfMove, helperCopy: typeOfMove,
}

func (m *module) helpers() helper {
	if m.memories == 0 {
		return helperPlain
	}
	return helperCount
}

// appendHelper appends a call of a helper.
func (m *module) appendHelper(out []byte, h helper) []byte {
	return appendU32(append(out, opCall), m.space.functions+1+uint32(h))
}

// helperBody is the code of a helper with its size.
func (m *module) helperBody(h helper) []byte {
	call := func(h helper) []byte { return m.appendHelper(nil, h) }
	get := func(local byte) []byte { return []byte{opLocalGet, local} }
	set := func(local byte) []byte { return []byte{opLocalSet, local} }
	num := func(v int32) []byte { return appendI32([]byte{opI32Const}, v) }
	left := appendU32([]byte{opGlobalGet}, m.left)
	setLeft := appendU32([]byte{opGlobalSet}, m.left)
	code := func(parts ...[]byte) []byte {
		return appendVec(nil, slices.Concat([]byte{0}, slices.Concat(parts...), []byte{opEnd}))
	}
	ops := func(b ...byte) []byte { return b }
	// charge takes what is on the stack; it is at most 2^30, so that left does not wrap.
	charge := func(cost ...[]byte) []byte {
		return slices.Concat(left, slices.Concat(cost...), ops(opI32Sub), setLeft,
			left, num(0), ops(opI32LtS, opIf, typeEmpty), call(helperTick), ops(opEnd))
	}
	end := func(at []byte) []byte { // the 64-bit sum of an address and n
		return slices.Concat(at, ops(opI64Extend), get(2), ops(opI64Extend, opI64Add))
	}
	memoryEnd := ops(opMemorySize, 0, opI64Extend, opI64Const, 16, opI64Shl)
	step := num(bulkStep)
	fill, copy := ops(opMisc, miscMemoryFill, 0), ops(opMisc, miscMemoryCopy, 0, 0)
	whole := slices.Concat(get(0), get(1), get(2), call(helperBulk))
	advance := func(local byte) []byte { return slices.Concat(get(local), step, ops(opI32Add), set(local)) }
	shorten := slices.Concat(get(2), step, ops(opI32Sub), set(2))
	// inSteps is move where n is small or the end is out of bounds, so that it traps before it has written anything.
	inSteps := func(move, furthest, steps []byte) []byte {
		return code(
			get(2), step, ops(opI32LeU), end(furthest), memoryEnd, ops(opI64GtU, opI32Or, opIf, typeEmpty), whole, move, ops(opReturn, opEnd),
			steps, whole, move)
	}
	// while repeats a step as long as more than one is left.
	while := func(parts ...[]byte) []byte {
		return slices.Concat(ops(opLoop, typeEmpty), slices.Concat(parts...), get(2), step, ops(opI32GtU, opBrIf, 0, opEnd))
	}
	switch h {
	case helperTick:
		return code(left, appendU32([]byte{opCall}, m.imported), setLeft)
	case helperBulk:
		return code(charge(get(0), num(bulkShift), ops(opI32ShrU)), get(0))
	case helperPages: // a growth over 4 GiB fails, and costs as much as one of 4 GiB
		return code(charge(get(0), num(1<<16), get(0), num(1<<16), ops(opI32LeU, opSelect), num(pageCost), ops(opI32Mul)), get(0))
	case helperFill:
		return inSteps(fill, get(0), while(get(0), get(1), step, call(helperBulk), fill, advance(0), shorten))
	default: // helperCopy: upwards if it goes down in memory, and the other way round, as the two may overlap
		max := slices.Concat(get(0), get(1), get(0), get(1), ops(opI32GtU, opSelect))
		up := while(get(0), get(1), step, call(helperBulk), copy, advance(0), advance(1), shorten)
		down := while(shorten, get(0), get(2), ops(opI32Add), get(1), get(2), ops(opI32Add), step, call(helperBulk), copy)
		return inSteps(copy, max, slices.Concat(get(0), get(1), ops(opI32LeU, opIf, typeEmpty), up, ops(opElse), down, ops(opEnd)))
	}
}
