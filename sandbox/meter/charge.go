package meter

// How a function is charged. Branches lead forward, to the end of a block, or back to the head of a loop, so one walk
// over the code knows at each instruction the longest path that leads there and was not yet charged:
//
//	                 path
//	block              3   begins with what led here
//	  …                9
//	  br_if 0         10 ─┐
//	  …               14  │
//	end               14 ◄┘ the longer of the two
//	loop  ◄───────┐    0   charge: the longest of the entry (14) and the branches back (12)
//	  …           │    …
//	  if          │    8
//	  …           │   11
//	  br 1  ──────┘   12
//	  end              8   only the path without the branch goes on
//	end
//
//	a path of maxPath  0   charge: what the path has come to
//	a call            +1   and the callee charges itself; a leaf is too small to, and its caller pays for it
//	the entry              charge: the longest path that ends in a return, or waits in a call
//
// So no instruction runs without its charge, every loop and every recursion has one, and no charge is larger than
// the path before it. A charge is
//
//	left -= cost; if left < 0 { call tick }
const (
	maxPath  = 128 // instructions without a charge
	maxLeaf  = 64  // instructions of a function without loops and calls that does not charge itself
	hostCost = 200 // units of a call of an import: about what crossing over costs

	// unreached is the path to code that no path leads to. It is so low that it stays negative for millions of
	// instructions; after that such code has charges, too.
	unreached = -1 << 30
)

// block is a block that the walk is in.
type block struct {
	op    byte
	begin int // path to its first instruction
	exit  int // longest path of the branches to its label
	patch int // of a loop: where the cost of its charge goes

	base  int // height of the stack below its parameters
	arity arity
	ways  ways
}

// body is a function on its way through the walk. One serves all functions of a module, for its buffers.
type body struct {
	*module
	decoder
	out    []byte
	blocks []block
	path   int
	calls  int // longest path to a call
	cost   cost
}

// leafCost is the cost of a function that its callers are charged for, or 0 if it is charged itself.
func leafCost(d *decoder) int {
	cost := 0
	for d.more() {
		in := d.next()
		switch cost++; in.op {
		case opLoop, opCall, opCallIndirect, opMemoryGrow:
			return 0
		case opMisc:
			if in.sub >= miscMemoryInit {
				return 0
			}
		}
		if cost > maxLeaf {
			return 0
		}
	}
	return cost
}

// open makes b read another function; code is what follows its size.
func (b *body) open(code []byte) {
	b.reader = reader{data: code}
	b.out, b.blocks, b.path, b.calls = b.out[:0], b.blocks[:0], 0, unreached
	b.cost.begin()
}

// meter appends the instrumented function to out.
func (b *body) meter(out []byte, typ arity, leaf bool) ([]byte, error) {
	groups, declared := b.declare(typ.params)
	entry := 0
	if !leaf {
		entry = b.charge(0)
	}
	b.blocks = append(b.blocks, block{op: opBlock, exit: unreached, arity: arity{results: typ.results}, ways: b.cost.ways()})
	for len(b.blocks) > 0 && b.err == nil {
		if b.path >= maxPath {
			b.charge(b.path)
			b.path = 0
		}
		start := b.at
		in := b.next()
		b.spend(in)
		b.step(in, start)
	}
	if err := b.finish(); err != nil {
		return nil, err
	}
	if err := b.settle(); err != nil {
		return nil, err
	}
	if !leaf {
		setCost(b.out[entry:], max(1, b.path, b.calls))
	}
	head := append(appendU32(nil, groups+1), declared...)
	head = append(head, 1, typeI32) // the local that charges use
	out = appendU32(out, uint32(len(head)+len(b.out)))
	return append(append(out, head...), b.out...), nil
}

// declare reads the declarations of locals and counts the locals, parameters included.
func (b *body) declare(params uint32) (groups uint32, declared []byte) {
	n := uint64(params)
	groups = b.u32()
	start := b.at
	for i := uint32(0); i < groups && b.err == nil; i++ {
		n += uint64(b.u32())
		b.valueType()
	}
	if n >= maxLocals && b.err == nil {
		b.fail("%d locals, over the limit of %d", n, maxLocals-1)
	}
	b.locals = uint32(n)
	return groups, b.data[start:b.at]
}

// charge takes cost from what is left, and returns where to set another cost.
//
//	global.get left  i32.const cost  i32.sub  local.tee new  global.set left
//	local.get new  i32.const 0  i32.lt_s  if  call tick  end
func (b *body) charge(cost int) (patch int) {
	b.cost.edges(4)
	b.cost.depth.blocks++
	b.out = appendU32(append(b.out, opGlobalGet), b.left)
	patch = len(b.out) + 1
	b.out = append(b.out, opI32Const, 0, 0, opI32Sub)
	setCost(b.out[patch:], cost)
	b.out = appendU32(append(b.out, opLocalTee), b.locals)
	b.out = appendU32(append(b.out, opGlobalSet), b.left)
	b.out = appendU32(append(b.out, opLocalGet), b.locals)
	b.out = append(b.out, opI32Const, 0, opI32LtS, opIf, typeEmpty)
	b.out = b.appendHelper(b.out, helperTick)
	b.out = append(b.out, opEnd)
	return patch
}

// setCost writes a cost as a signed LEB128 of two bytes: a path is shorter than 8192, being at most maxPath and one
// instruction more.
func setCost(at []byte, cost int) {
	at[0], at[1] = byte(cost&0x7f)|0x80, byte(cost>>7)
}

// step copies an instruction, with what the pass puts before, after or in place of it.
func (b *body) step(in instruction, start int) {
	if b.err != nil {
		return
	}
	b.path++
	switch in.op {
	case opCall:
		b.calls = max(b.calls, b.path)
		b.path += b.costOf(in.index)
		b.out = appendU32(append(b.out, opCall), b.renumber(in.index))
		return
	case opRefFunc:
		b.out = appendU32(append(b.out, opRefFunc), b.renumber(in.index))
		return
	case opCallIndirect:
		b.calls = max(b.calls, b.path)
		b.path += maxLeaf
	case opMemoryGrow:
		b.out = b.appendHelper(b.out, helperPages)
	case opMisc:
		if b.bulk(in) {
			return
		}
	}
	b.out = append(b.out, b.data[start:b.at]...)
	b.control(in)
}

// bulk charges an instruction by its length, and says whether it put another one in its place.
func (b *body) bulk(in instruction) bool {
	switch in.sub {
	case miscMemoryInit, miscTableInit, miscTableCopy, miscTableGrow, miscTableFill:
		b.out = b.appendHelper(b.out, helperBulk)
	case miscMemoryCopy, miscMemoryFill:
		if b.memories == 0 {
			b.fail("bulk instruction without a memory")
			return true
		}
		h := helperFill
		if in.sub == miscMemoryCopy {
			h = helperCopy
		}
		b.out = b.appendHelper(b.out, h)
		return true
	}
	return false
}

// control follows the paths.
func (b *body) control(in instruction) {
	top := len(b.blocks) - 1
	switch in.op {
	case opBlock, opIf:
		b.blocks = append(b.blocks, block{op: in.op, begin: b.path, exit: unreached, base: b.cost.base(in.arity), arity: in.arity, ways: b.cost.ways()})
		if in.op == opIf {
			b.cost.depth.blocks++
		}
	case opLoop:
		b.blocks = append(b.blocks, block{op: opLoop, exit: b.path, patch: b.charge(0), base: b.cost.base(in.arity), arity: in.arity, ways: b.cost.ways()})
		b.path = 0
	case opElse:
		if b.blocks[top].op != opIf {
			b.fail("else without if")
			return
		}
		b.blocks[top].op = opElse
		b.blocks[top].exit = max(b.blocks[top].exit, b.path)
		b.path = b.blocks[top].begin
	case opEnd:
		last := b.blocks[top]
		b.blocks = b.blocks[:top]
		switch last.op {
		case opLoop:
			setCost(b.out[last.patch:], max(1, last.exit))
		case opIf:
			b.path = max(b.path, last.exit, last.begin)
		default:
			b.path = max(b.path, last.exit)
		}
	case opBr, opBrIf:
		b.branch(in.index)
	case opBrTable:
		for _, label := range in.labels {
			b.branch(label)
		}
		b.branch(in.index)
	case opReturn:
		b.branch(uint32(top))
	}
	switch in.op {
	case opBr, opBrTable, opReturn, opUnreachable:
		b.path = unreached
	}
}

// branch joins the path to those that go to a label.
func (b *body) branch(label uint32) {
	if uint64(label) >= uint64(len(b.blocks)) {
		b.fail("label %d of %d does not exist", label, len(b.blocks))
		return
	}
	to := &b.blocks[len(b.blocks)-1-int(label)]
	to.exit = max(to.exit, b.path)
}
