package meter

import "fmt"

// What compiling a module takes. A compiler of one pass over SSA form does work, and needs memory,
// that a module can ask for with far fewer bytes: each call makes a value of every result, each
// branch hands over every value that its label takes, and every value that waits, on the stack or in
// a local, is carried through each block that comes meanwhile. So the pass adds up what the compiler
// is going to do, and refuses the module before it is done:
//
//	values    parameters and results of calls, of blocks and of branches, for each label of a br_table;
//	          mutable globals, which are loaded anew after each call
//	edges     blocks, branches, and the blocks that charges add
//	walks     for each edge how many blocks, and accesses of memory, lead to it on every path: compilers
//	          walk back over all of them, to find loops, and addresses that were checked
//	carried   for each edge the height of the stack, and the locals that are read in another block than
//	          they are written in
//
// A function has limits of its own, since the compiler does not stop within one. All of a module's
// together are in proportion to its bytes.
const (
	// MaxParams and MaxResults bound a function type, as web browsers do.
	MaxParams  = 1000
	MaxResults = 1000
	// maxLocals bounds what a compiler allocates for the locals of a function, which a few bytes can
	// ask for.
	maxLocals = 50_000
	// maxBody is the bytes of a function. The largest of Go's own compiler has 666,326.
	maxBody = 1 << 20
	// maxBranches bounds blocks and branches of a function: a compiler takes time with their square.
	// The largest function of Go's own compiler has 27,530.
	maxBranches = 40_000
	// maxWork is the work of a function. The most that one of Go's own compiler takes is 615,000.
	maxWork = 1 << 21
	// freeWork is what any module may take, workOfByte what each byte of its code adds. Go's own
	// compiler takes 1.9 for a byte.
	freeWork   = 1 << 22
	workOfByte = 4
)

// cost is what compiling a function takes, as far as the walk has come.
type cost struct {
	height   int
	depth    path // to here, at most
	dead     bool // no path leads here
	branches int
	edge     uint32 // number of the edges so far
	values   uint64
	walks    uint64
	heights  uint64 // of the stack, of all edges together
	locals   []state
	shared   uint64 // locals that are read in another block than they are written in
	epoch    uint32
}

// walksOfWork is how many steps of a walk take as long as one value.
const walksOfWork = 32

// path is what lies on every path to a place.
type path struct {
	blocks   int // of the compiler
	accesses int // of memory: compilers note which addresses were checked
}

func (p path) min(q path) path { return path{min(p.blocks, q.blocks), min(p.accesses, q.accesses)} }

// steps is how much is walked for an edge.
func (p path) steps() uint64 { return uint64(p.blocks) + uint64(p.accesses) }

// ways are those that lead to the end of a block.
type ways struct {
	entry path // to where the block began
	dead  bool // as it began
	exit  path // least of those of the branches to its label, and of the end of the first arm
	count int  // branches to its label
	then  bool // the end of the first arm of an if is reached
}

var nowhere = path{1 << 30, 1 << 30}

func (c *cost) ways() ways { return ways{entry: c.depth, dead: c.dead, exit: nowhere} }

// state is what is known of a local: epoch tells functions apart.
type state struct {
	epoch, written uint32
	shared         bool
}

// begin makes c count another function.
func (c *cost) begin() {
	*c = cost{locals: c.locals, epoch: c.epoch + 1}
}

// local is what is known of a local in this function.
func (c *cost) local(i uint32) *state {
	if n := int(i) + 1; n > len(c.locals) {
		c.locals = append(c.locals, make([]state, n-len(c.locals))...)
	}
	s := &c.locals[i]
	if s.epoch != c.epoch {
		*s = state{epoch: c.epoch, written: ^uint32(0)}
	}
	return s
}

// edges counts n ways from one block of the compiler to another.
func (c *cost) edges(n int) {
	c.edge += uint32(n)
	c.heights += uint64(n) * uint64(c.height)
	c.walks += uint64(n) * c.depth.steps()
}

// goes is a way to a label, over so many blocks more.
func (c *cost) goes(to *block, more int) {
	to.ways.count++
	c.walks += uint64(to.ways.count) / 16 // compilers look for it among the others
	if !c.dead {
		at := c.depth
		at.blocks += more
		to.ways.exit = to.ways.exit.min(at)
	}
}

// ends is the end of a block, where its ways meet.
func (c *cost) ends(f *block) {
	w := &f.ways
	at := w.exit
	switch {
	case f.op == opLoop:
		at = nowhere // branches go to its head
		if !c.dead {
			at = c.depth
		}
	case f.op == opIf && !c.dead, f.op == opElse && w.then && !c.dead:
		at = w.entry
	case f.op == opIf:
		at = at.min(path{w.entry.blocks + 1, w.entry.accesses})
	case !c.dead:
		at = at.min(c.depth)
	}
	if c.dead = w.dead || at == nowhere; !c.dead {
		c.depth = path{at.blocks + 1, at.accesses}
	}
}

// base is the height below the parameters of a block that begins.
func (c *cost) base(a arity) int { return max(0, c.height-int(a.params)) }

// work is all that was counted.
func (c *cost) work() uint64 {
	return c.values + c.heights + c.walks/walksOfWork + uint64(c.edge)*(c.shared+1)
}

// spend counts what the compiler does for an instruction. The blocks are those before it.
func (b *body) spend(in instruction) {
	if b.err != nil {
		return
	}
	c, top := &b.cost, &b.blocks[len(b.blocks)-1]
	move := func(a arity) { // takes parameters, leaves results
		c.values += uint64(a.params) + uint64(a.results)
		c.height = c.height - int(a.params) + int(a.results)
	}
	reload := func() { c.values += 2 + uint64(b.mutable) }
	switch in.op {
	case opBlock, opLoop, opIf:
		if in.op == opIf {
			c.height--
		}
		c.values += uint64(in.arity.params) + uint64(in.arity.results)
		c.edges(2)
		if in.op == opLoop {
			c.depth.blocks++
		}
	case opElse:
		c.height = top.base + int(top.arity.params)
		if !c.dead {
			top.ways.then = true
			top.ways.exit = top.ways.exit.min(c.depth)
		}
		c.depth, c.dead = top.ways.entry, top.ways.dead
		c.depth.blocks++
		c.edges(1)
	case opEnd:
		c.values += uint64(top.arity.results)
		c.height = top.base + int(top.arity.results)
		c.ends(top)
		c.edges(2)
	case opBr, opBrIf, opBrTable, opReturn:
		labels := 1 + len(in.labels)
		c.values += uint64(labels) * uint64(b.label(in).takes())
		c.edges(labels)
		if c.height--; in.op != opBrIf {
			c.height = top.base
		}
		more := 0
		if in.op == opBrTable {
			more = 1
		}
		for _, l := range in.labels {
			c.goes(b.label(instruction{op: opBr, index: l}), more)
		}
		c.goes(b.label(in), more)
		c.depth.blocks++
		c.dead = c.dead || in.op != opBrIf
	case opUnreachable:
		c.height, c.dead = top.base, true
	case opCall:
		move(b.arityOf(in.index))
		reload()
	case opCallIndirect:
		c.height--
		move(b.module.space.arities[in.index])
		reload()
	case opMemoryGrow:
		reload()
	case opLocalGet:
		if s := c.local(in.index); s.written != c.edge && !s.shared {
			s.shared = true
			c.shared++
		}
		c.height++
	case opLocalSet, opLocalTee:
		c.local(in.index).written = c.edge
		if in.op == opLocalSet {
			c.height--
		}
	default:
		if in.op == opMisc && in.sub >= miscMemoryInit {
			reload()
			c.edges(8) // loops of its own
			c.depth.blocks += 4
		}
		if accesses(in) {
			c.depth.accesses++
		}
		c.height += effect(in)
	}
	if in.op != opEnd {
		c.height = max(c.height, top.base)
	}
	switch in.op {
	case opBlock, opLoop, opIf, opElse, opBr, opBrIf, opBrTable, opReturn:
		if c.branches += 1 + len(in.labels); c.branches > maxBranches {
			b.fail("over %d blocks and branches, which take too long to compile: split it", maxBranches)
		}
	}
}

// label is the block that a branch goes to; with several labels, that of the last.
func (b *body) label(in instruction) *block {
	up := uint64(in.index)
	if n := uint64(len(b.blocks)); in.op == opReturn || up >= n { // if there is none, that is an error soon
		up = n - 1
	}
	return &b.blocks[len(b.blocks)-1-int(up)]
}

// takes is how many values a branch to the block hands over.
func (f *block) takes() uint32 {
	if f.op == opLoop {
		return f.arity.params
	}
	return f.arity.results
}

// settle holds a function that was walked through against its limits, and adds it to the module's.
func (b *body) settle() error {
	work := b.cost.work() + uint64(b.locals)
	if n := len(b.data); n > maxBody {
		return fmt.Errorf("%d bytes, over the limit of %d for one function: split it", n, maxBody)
	}
	if work > maxWork {
		return fmt.Errorf("too much to compile: its calls, branches and what they hand over come to %d, over the limit of %d for one function: split it, or pass less", work, maxWork)
	}
	b.work += work
	return nil
}

// affordable holds the module against what the bytes of its code allow. Those of its data cost a compiler nothing.
func (m *module) affordable() error {
	size := len(m.sections[sectionCode])
	if limit := freeWork + workOfByte*uint64(size); m.work > limit {
		return fmt.Errorf("too much to compile: calls, branches and what they hand over come to %d in all functions, over the limit of %d for %d bytes of code: pass less", m.work, limit, size)
	}
	return nil
}
