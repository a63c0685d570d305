package meter_test

import (
	"math/rand/v2"
	"slices"
)

// generator makes random valid modules that end: loops count down, and functions call only those after them.
//
//	import env.host (i32) → i32
//	functions of type (i32 × 8) → i32: parameters 0 to 3 are data, 4 to 7 count the loops of each depth
//	a memory of 1 to 3 pages, globals, two tables with segments of all kinds, passive data
type generator struct {
	*rand.Rand
	functions, self, loops int
	size                   int // instructions a function may still have
}

const (
	dataLocals = 4
	loopDepth  = 2
	env        = "env"
)

func uleb(v uint64) (b []byte) {
	for ; v >= 0x80; v >>= 7 {
		b = append(b, byte(v)|0x80)
	}
	return append(b, byte(v))
}

func sleb(v int64) (b []byte) {
	for v < -0x40 || v >= 0x40 {
		b = append(b, byte(v&0x7f)|0x80)
		v >>= 7
	}
	return append(b, byte(v&0x7f))
}

func vec(items ...[]byte) []byte {
	return append(uleb(uint64(len(items))), slices.Concat(items...)...)
}

func sized(b []byte) []byte { return append(uleb(uint64(len(b))), b...) }

func section(id byte, body []byte) []byte { return append([]byte{id}, sized(body)...) }

func constant(v int32) []byte { return append([]byte{0x41}, sleb(int64(v))...) }

func (g *generator) module() []byte {
	g.functions = 1 + g.IntN(4)
	pages := byte(1 + g.IntN(3))
	var types, bodies, exports, numbers, refs [][]byte
	for range g.functions {
		types = append(types, []byte{1})
	}
	for g.self = 0; g.self < g.functions; g.self++ {
		g.size = 10 + g.IntN(150)
		code := slices.Concat(vec([]byte{2, 0x7e}, []byte{1, 0x7b}), g.statements(0), g.number(0), []byte{0x0b})
		bodies = append(bodies, sized(code))
		index := uleb(uint64(g.self + 1)) // after the import
		exports = append(exports, slices.Concat([]byte{1, 'a' + byte(g.self), 0}, index))
		numbers = append(numbers, index)
		refs = append(refs, slices.Concat([]byte{0xd2}, index, []byte{0x0b}))
	}
	exports = append(exports, []byte{1, 'M', 2, 0}, []byte{1, 'G', 3, 0})
	at := []byte{0x41, 0, 0x0b}
	last := uleb(uint64(g.functions))
	return slices.Concat([]byte("\x00asm\x01\x00\x00\x00"),
		section(1, vec([]byte{0x60, 1, 0x7f, 1, 0x7f}, slices.Concat([]byte{0x60, 8}, slices.Repeat([]byte{0x7f}, 8), []byte{1, 0x7f}))),
		section(2, vec(slices.Concat(sized([]byte(env)), sized([]byte("host")), []byte{0, 0}))),
		section(3, vec(types...)),
		section(4, vec([]byte{0x70, 0, 12}, []byte{0x70, 1, 12, 20})),
		section(5, vec([]byte{1, pages, 6})),
		section(6, vec([]byte{0x7f, 1, 0x41, 7, 0x0b}, slices.Concat([]byte{0x70, 0, 0xd2}, last, []byte{0x0b}))),
		section(7, vec(exports...)),
		section(9, vec(
			slices.Concat([]byte{0}, at, vec(numbers...)),
			slices.Concat([]byte{1, 0}, vec(numbers...)),
			slices.Concat([]byte{2, 1}, at, []byte{0}, vec(numbers...)),
			slices.Concat([]byte{3, 0}, vec(numbers...)),
			slices.Concat([]byte{4}, []byte{0x41, 6, 0x0b}, vec(refs...)),
			slices.Concat([]byte{5, 0x70}, vec(refs...)),
			slices.Concat([]byte{6, 1, 0x41, 6, 0x0b, 0x70}, vec(refs...)),
			slices.Concat([]byte{7, 0x70}, vec(refs...)))),
		section(12, []byte{2}),
		section(10, vec(bodies...)),
		section(11, vec(append([]byte{0, 0x41, 8, 0x0b}, sized([]byte("active"))...), append([]byte{1}, sized([]byte("passive data"))...))),
		section(0, slices.Concat(sized([]byte("name")), []byte{1}, sized(vec([]byte{0, 1, 'h'}, []byte{1, 1, 'f'})))))
}

func (g *generator) pick(choices ...func() []byte) []byte {
	g.size--
	return choices[g.IntN(len(choices))]()
}

// address is mostly inside the memory, and so is address + length.
func (g *generator) address(depth int) []byte {
	if g.IntN(40) == 0 {
		return g.number(depth + 1)
	}
	return slices.Concat(g.number(depth+1), constant(0x3fff), []byte{0x71})
}

// number is code that leaves an i32.
func (g *generator) number(depth int) []byte {
	local := func() []byte { return []byte{0x20, byte(g.IntN(dataLocals))} }
	literal := func() []byte { return constant(int32(g.Uint32()) >> g.IntN(32)) }
	if depth > 4 || g.size <= 0 {
		return g.pick(local, literal)
	}
	sub := func() []byte { return g.number(depth + 1) }
	binary := []byte{0x46, 0x48, 0x49, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f, 0x70, 0x71, 0x72, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78}
	unary := []byte{0x45, 0x67, 0x68, 0x69, 0xc0, 0xc1}
	result := byte(0x7f)
	return g.pick(local, local, literal,
		func() []byte { return slices.Concat(sub(), sub(), binary[g.IntN(len(binary)):][:1]) },
		func() []byte { return append(sub(), unary[g.IntN(len(unary))]) },
		func() []byte { return slices.Concat(g.address(depth), []byte{0x28, 2, byte(g.IntN(100))}) },
		func() []byte { return []byte{0x23, 0} },
		func() []byte { return []byte{0x3f, 0} },
		func() []byte { return slices.Concat(constant(int32(g.IntN(2))), []byte{0x40, 0}) }, // memory.grow
		func() []byte {
			return slices.Concat(sub(), []byte{0x04, result}, g.statements(depth+1), sub(), []byte{0x05}, sub(), []byte{0x0b})
		},
		func() []byte { // block that a branch leaves with a result
			return slices.Concat([]byte{0x02, result}, sub(), sub(), []byte{0x0d, 0}, []byte{0x0b})
		},
		func() []byte { return slices.Concat(sub(), sub(), sub(), []byte{0x1b}) },
		func() []byte { return slices.Concat(sub(), []byte{0x10, 0}) }, // the host
		func() []byte { return g.call(depth, nil) },
		func() []byte { return g.call(depth, sub()) },
		func() []byte { // through i64, f64 and a saturating conversion
			return slices.Concat(sub(), []byte{0xac, 0x42, 3, 0x7e, 0xb9, 0xfc, 6, 0xa7})
		},
		func() []byte { // splat, shuffle with a constant, abs, extract
			return slices.Concat(sub(), []byte{0xfd, 17, 0xfd, 12}, make([]byte, 16),
				[]byte{0xfd, 13, 0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27},
				[]byte{0xfd, 0xa0, 1, 0xfd, 27, byte(g.IntN(4))})
		},
		func() []byte { // v128.load8_lane
			return slices.Concat(g.address(depth), []byte{0xfd, 12}, make([]byte, 16), []byte{0xfd, 84, 0, 1, 3, 0xfd, 21, 3})
		},
		func() []byte { return []byte{0xfc, 16, byte(g.IntN(2))} }, // table.size
		func() []byte { // table.grow
			return slices.Concat([]byte{0xd0, 0x70}, constant(int32(g.IntN(9))), []byte{0xfc, 15, 1})
		},
		func() []byte { return slices.Concat([]byte{0xd2}, uleb(uint64(g.self+1)), []byte{0xd1}) },
	)
}

// call calls a later function, through the table if there is an index.
func (g *generator) call(depth int, index []byte) []byte {
	if g.self+1 >= g.functions {
		return constant(1)
	}
	target := g.self + 1 + g.IntN(g.functions-g.self-1)
	var code []byte
	for range dataLocals {
		code = append(code, g.number(depth+1)...)
	}
	code = slices.Concat(code, slices.Repeat(constant(0), dataLocals))
	if index == nil {
		return slices.Concat(code, []byte{0x10}, uleb(uint64(target+1)))
	}
	return slices.Concat(code, constant(int32(target+6*g.IntN(2))), []byte{0x11, 1, byte(g.IntN(2))})
}

// statements is code that leaves nothing.
func (g *generator) statements(depth int) (code []byte) {
	for range g.IntN(5) {
		if depth > 5 || g.size <= 0 {
			break
		}
		code = append(code, g.statement(depth+1)...)
	}
	return code
}

func (g *generator) statement(depth int) []byte {
	num := func() []byte { return g.number(depth) }
	local := byte(g.IntN(dataLocals))
	length := constant(int32(g.IntN(5000)))
	set := func() []byte { return slices.Concat(num(), []byte{0x21, local}) }
	return g.pick(set, set, set, g.loop(depth), g.loop(depth),
		func() []byte { return slices.Concat(num(), []byte{0x24, 0}) },
		func() []byte { return slices.Concat(g.address(depth), num(), []byte{0x36, 2, byte(g.IntN(100))}) },
		func() []byte {
			return slices.Concat([]byte{0x02, 0x40}, g.statements(depth), num(), []byte{0x0d, 0}, g.statements(depth), []byte{0x0b})
		},
		func() []byte {
			return slices.Concat(num(), []byte{0x04, 0x40}, g.statements(depth), []byte{0x0b})
		},
		func() []byte { // br_table over three blocks
			return slices.Concat([]byte{0x02, 0x40, 0x02, 0x40, 0x02, 0x40}, num(), []byte{0x0e, 2, 0, 1, 2, 0x0b},
				g.statements(depth), []byte{0x0b}, g.statements(depth), []byte{0x0c, 0, 0x0b})
		},
		func() []byte { // return early, now and then
			return slices.Concat(num(), constant(7), []byte{0x71, 0x45, 0x04, 0x40}, num(), []byte{0x0f, 0x0b})
		},
		func() []byte { // fill
			return slices.Concat(g.address(depth), num(), length, []byte{0xfc, 11, 0})
		},
		func() []byte { // copy
			return slices.Concat(g.address(depth), g.address(depth), length, []byte{0xfc, 10, 0, 0})
		},
		func() []byte { // init
			return slices.Concat(g.address(depth), constant(int32(g.IntN(6))), constant(int32(g.IntN(7))), []byte{0xfc, 8, 1, 0})
		},
		func() []byte { // table.copy, table.init, table.set, table.fill; only the last function, which calls none, moves
			few := func() []byte { return constant(int32(g.IntN(5))) }
			same, last := few(), constant(int32(g.functions-1))
			return slices.Concat(same, same, few(), []byte{0xfc, 14, 0, 1}, few(), last, constant(1), []byte{0xfc, 12, 1, 0},
				few(), []byte{0x23, 1, 0x26, 1}, few(), []byte{0x23, 1}, few(), []byte{0xfc, 17, 0})
		},
	)
}

// loop runs up to 6 times; its counter is a parameter of its own, one for each depth.
func (g *generator) loop(depth int) func() []byte {
	return func() []byte {
		if g.loops >= loopDepth {
			return nil
		}
		counter := byte(dataLocals + g.loops)
		g.loops++
		defer func() { g.loops-- }()
		body := slices.Concat(g.statements(depth), g.statements(depth))
		return slices.Concat(constant(int32(1+g.IntN(6))), []byte{0x21, counter, 0x03, 0x40}, body,
			[]byte{0x20, counter, 0x41, 1, 0x6b, 0x22, counter, 0x0d, 0, 0x0b})
	}
}
