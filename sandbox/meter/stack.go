package meter

// How high the stack of operands is, followed instruction by instruction. A compiler carries each
// value that waits on the stack through every block that comes meanwhile, so what a block costs
// depends on it. The compiler checks types later: of an invalid module the heights mean nothing, but
// they never go below what the block began with.

// types of the results and parameters of functions, as numbers.
type arity struct{ params, results uint32 }

// effect is what an instruction adds to the height of the stack. Calls, blocks and branches are
// followed where their types are known.
func effect(in instruction) int {
	switch op := in.op; {
	case op >= 0x28 && op <= 0x35: // loads
		return 0
	case op >= 0x36 && op <= 0x3e: // stores
		return -2
	case op >= 0x45 && op <= 0xc4:
		return numeric(op)
	}
	switch in.op {
	case opLocalGet, opGlobalGet, opMemorySize, opI32Const, opI64Const, opF32Const, opF64Const, opRefNull, opRefFunc:
		return 1
	case opLocalSet, opGlobalSet, opDrop:
		return -1
	case opSelect, opSelectTyped, opTableSet:
		return -2
	case opMisc:
		return miscEffect(in.sub)
	case opVector:
		return vectorEffect(in.sub)
	}
	return 0
}

// accesses says whether an instruction reads or writes memory at an address.
func accesses(in instruction) bool {
	if in.op == opVector {
		return in.sub <= 11 || in.sub >= 84 && in.sub <= 93
	}
	return in.op >= 0x28 && in.op <= 0x3e
}

const (
	opDrop     = 0x1a
	opTableSet = 0x26
)

// numeric instructions take one value or two, and leave one.
func numeric(op byte) int {
	switch {
	case op == 0x45, op == 0x50, // eqz
		op >= 0x67 && op <= 0x69, op >= 0x79 && op <= 0x7b, // clz, ctz, popcnt
		op >= 0x8b && op <= 0x91, op >= 0x99 && op <= 0x9f, // of floats, of one operand
		op >= 0xa7: // conversions
		return 0
	}
	return -1
}

func miscEffect(sub uint32) int {
	switch sub {
	case miscMemoryInit, miscMemoryCopy, miscMemoryFill, miscTableInit, miscTableCopy, miscTableFill:
		return -3
	case miscTableGrow:
		return -1
	case miscTableSize:
		return 1
	}
	return 0
}

func vectorEffect(sub uint32) int {
	switch {
	case sub == 12: // const
		return 1
	case sub == 11, sub == 82, sub >= 88 && sub <= 91: // store, bitselect, store lane
		return -2
	case sub <= 10, sub >= 15 && sub <= 20, sub == 77, sub == 83, sub >= 92 && sub <= 100: // loads, splat, not, any_true, …
		return 0
	case sub >= 21 && sub <= 34: // extract lane, replace lane
		switch sub {
		case 23, 26, 28, 30, 32, 34:
			return -1
		}
		return 0
	case sub >= 103 && sub <= 106, sub == 116, sub == 117, sub == 122, sub >= 124 && sub <= 129,
		sub == 131, sub == 132, sub >= 135 && sub <= 138, sub == 148, sub == 160, sub == 161,
		sub == 163, sub == 164, sub >= 167 && sub <= 170, sub == 192, sub == 193, sub == 195,
		sub == 196, sub >= 199 && sub <= 202, sub == 224, sub == 225, sub == 227, sub == 236,
		sub == 237, sub == 239, sub >= 248: // of one operand
		return 0
	}
	return -1
}
