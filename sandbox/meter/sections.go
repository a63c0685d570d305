package meter

import (
	"bytes"
	"fmt"
	"slices"
)

// split finds the sections:
//
//	\0asm 01 00 00 00   then   id(1) size(leb128) body(size)   …
func (m *module) split(wasm []byte) error {
	if !bytes.HasPrefix(wasm, preamble) {
		return fmt.Errorf("not a core module, version 1")
	}
	r := &reader{data: wasm, at: len(preamble)}
	last := -1
	for r.more() {
		id := r.byte()
		body := r.vec()
		if r.err != nil {
			break
		}
		if id == sectionCustom {
			if m.customs = append(m.customs, body); len(m.customs) > maxCustoms {
				return tooMany(uint32(len(m.customs)), "custom sections", maxCustoms)
			}
			continue
		}
		place := slices.Index(order, id)
		switch {
		case place < 0:
			return fmt.Errorf("section %d is not of WebAssembly 2.0: build without exceptions", id)
		case place <= last:
			return fmt.Errorf("the %s section comes twice or too late", sectionNames[id])
		}
		last = place
		m.sections[id] = body
	}
	return r.err
}

// rewrite returns a section as it is in the instrumented module, or nil if that has none. It is called in the order
// of the sections, and learns what later ones need.
func (m *module) rewrite(id byte) ([]byte, error) {
	body := m.sections[id]
	d := &decoder{reader: reader{data: body}, space: &m.space}
	var out []byte
	err := countable(id, body)
	if err != nil {
		return nil, err
	}
	switch id {
	case sectionType:
		out = m.typeSection(d)
	case sectionImport:
		out = m.importSection(d)
	case sectionFunction:
		out = m.functionSection(d)
	case sectionTable:
		out = tableSection(d)
	case sectionGlobal:
		out = m.globalSection(d)
	case sectionExport:
		out = m.exportSection(d)
	case sectionStart:
		if body != nil {
			out = appendU32(nil, m.renumber(d.index("function", m.space.functions)))
		}
	case sectionElement:
		out = m.elementSection(d)
	case sectionCode:
		if out, err = m.codeSection(d); err != nil {
			return nil, err
		}
	case sectionData:
		out = m.dataSection(d)
	case sectionMemory:
		out = body
		if body != nil {
			d.items(func(uint32) { d.limits() })
		}
	case sectionDataCount:
		out = body
		if body != nil {
			d.u32()
		}
	}
	return out, d.finish()
}

// renumber makes room for the tick among the functions, behind the imports.
func (m *module) renumber(function uint32) uint32 {
	if function >= m.imported {
		return function + 1
	}
	return function
}

// vector reads a vector with one for each item, which appends what becomes of it, and puts extra items behind.
// A section that is not there is an empty vector; of nothing comes nothing.
func vector(d *decoder, extra []byte, extras uint32, one func(out []byte) []byte) []byte {
	if d.data == nil && extras == 0 {
		return nil
	}
	var out []byte
	n := uint32(0)
	if d.data != nil {
		n = d.items(func(uint32) { out = one(out) })
	}
	head := appendU32(nil, n+extras)
	return slices.Concat(head, out, extra)
}

func (m *module) typeSection(d *decoder) []byte {
	return vector(d, addedTypeBytes, addedTypes, func(out []byte) []byte {
		start := d.at
		if form := d.byte(); form != 0x60 {
			d.fail("type 0x%02x is not of WebAssembly 2.0: build without garbage collection", form)
		}
		a := arity{params: d.items(func(uint32) { d.valueType() }), results: d.items(func(uint32) { d.valueType() })}
		if a.params > MaxParams || a.results > MaxResults {
			d.fail("type %d has %d parameters and %d results, over the limits of %d and %d: pass them in memory", m.space.types, a.params, a.results, MaxParams, MaxResults)
		}
		m.space.arities = append(m.space.arities, a)
		m.space.types++
		return append(out, d.data[start:d.at]...)
	})
}

func (m *module) importSection(d *decoder) []byte {
	tick := appendVec(appendVec(nil, []byte(Module)), []byte(Tick))
	tick = appendU32(append(tick, kindFunction), m.space.types+typeOfBulk)
	return vector(d, tick, 1, func(out []byte) []byte {
		start := d.at
		if from := d.vec(); string(from) == Module {
			d.fail("it imports from module %q, which is for metering alone", Module)
		}
		d.vec()
		switch d.byte() {
		case kindFunction:
			m.typeOf = append(m.typeOf, d.index("type", m.space.types))
			m.imported++
			m.space.functions++
		case kindTable:
			d.valueType()
			d.limits()
		case kindMemory:
			d.limits()
			m.memories++
		case kindGlobal:
			d.valueType()
			m.mutable += uint32(d.byte() & 1)
			m.space.globals++
		default:
			d.fail("import of a kind that is not of WebAssembly 2.0")
		}
		return append(out, d.data[start:d.at]...)
	})
}

func (m *module) functionSection(d *decoder) []byte {
	if memory := m.sections[sectionMemory]; memory != nil {
		m.memories += (&reader{data: memory}).u32()
	}
	var extra []byte
	helpers := m.helpers()
	for h := range helpers {
		extra = appendU32(extra, m.space.types+helperTypes[h])
	}
	return vector(d, extra, uint32(helpers), func(out []byte) []byte {
		t := d.index("type", m.space.types)
		m.typeOf = append(m.typeOf, t)
		m.space.functions++
		return appendU32(out, t)
	})
}

// limits reads flags, minimum and, if there is one, maximum.
func (r *reader) limits() (minimum, maximum uint32, bounded bool) {
	flags := r.byte()
	if flags > 1 && r.err == nil {
		r.fail("limits 0x%02x are not of WebAssembly 2.0: build without threads and 64-bit memories", flags)
	}
	minimum, maximum = r.u32(), ^uint32(0)
	if flags == 1 {
		return minimum, r.u32(), true
	}
	return minimum, maximum, false
}

// tableSection gives every table a maximum, its share of MaxTableElements: the memory of tables is the host's.
func tableSection(d *decoder) []byte {
	if d.data == nil {
		return nil
	}
	share := uint32(MaxTableElements)
	if n := (&reader{data: d.data}).u32(); n > 1 {
		share /= n
	}
	return vector(d, nil, 0, func(out []byte) []byte {
		start := d.at
		d.valueType()
		typ := d.data[start:d.at]
		minimum, maximum, _ := d.limits()
		if maximum < minimum && d.err == nil {
			d.fail("a table of at least %d and at most %d elements", minimum, maximum)
		}
		out = append(append(out, typ...), 1)
		return appendU32(appendU32(out, minimum), min(maximum, max(minimum, share)))
	})
}

func (m *module) globalSection(d *decoder) []byte {
	extra := append(appendI32([]byte{typeI32, 1, opI32Const}, Quantum), opEnd)
	defined := uint32(0)
	out := vector(d, extra, 1, func(out []byte) []byte {
		start := d.at
		d.valueType()
		m.mutable += uint32(d.byte() & 1)
		out = d.constant(append(out, d.data[start:d.at]...), m.renumber)
		defined++
		return out
	})
	m.space.globals += defined
	m.left = m.space.globals
	return out
}

func (m *module) exportSection(d *decoder) []byte {
	return vector(d, nil, 0, func(out []byte) []byte {
		out = appendVec(out, d.vec())
		kind := d.byte()
		out = append(out, kind)
		switch kind {
		case kindFunction:
			return appendU32(out, m.renumber(d.index("function", m.space.functions)))
		case kindGlobal:
			return appendU32(out, d.index("global", m.space.globals))
		}
		return appendU32(out, d.u32())
	})
}

// elementSection renumbers the functions of segments. The first byte says what follows:
//
//	bit 0  passive or declared, so without a place in a table
//	bit 1  with the index of a table, or declared, if bit 0 is set too
//	bit 2  expressions in place of functions
func (m *module) elementSection(d *decoder) []byte {
	return vector(d, nil, 0, func(out []byte) []byte {
		flags := d.u32()
		if flags > 7 {
			d.fail("element segment of kind %d is not of WebAssembly 2.0", flags)
			return out
		}
		out = appendU32(out, flags)
		if flags&1 == 0 {
			if flags&2 != 0 {
				out = appendU32(out, d.u32())
			}
			out = d.constant(out, m.renumber)
		}
		if flags&3 != 0 { // the type of the elements, or 0 for functions
			start := d.at
			if flags&4 != 0 {
				d.valueType()
			} else {
				d.zero()
			}
			out = append(out, d.data[start:d.at]...)
		}
		n := d.u32()
		if n > maxElements-m.elements {
			d.fail("over %d elements in all segments", maxElements)
			return out
		}
		m.elements += n
		out = appendU32(out, n)
		for ; n > 0 && d.err == nil; n-- {
			if flags&4 != 0 {
				out = d.constant(out, m.renumber)
			} else {
				out = appendU32(out, m.renumber(d.index("function", m.space.functions)))
			}
		}
		return out
	})
}

// dataSection is copied. It is read because an offset may name a global.
func (m *module) dataSection(d *decoder) []byte {
	return vector(d, nil, 0, func(out []byte) []byte {
		start := d.at
		flags := d.u32()
		switch flags {
		case 0, 1:
		case 2:
			d.u32()
		default:
			d.fail("data segment of kind %d is not of WebAssembly 2.0", flags)
		}
		if flags != 1 {
			d.constant(nil, m.renumber)
		}
		d.vec()
		return append(out, d.data[start:d.at]...)
	})
}

// codeSection reads all functions twice: what a call costs depends on functions that come later.
func (m *module) codeSection(d *decoder) ([]byte, error) {
	var bodies [][]byte
	if d.data != nil {
		d.items(func(uint32) { bodies = append(bodies, d.vec()) })
	}
	if err := d.finish(); err != nil {
		return nil, err
	}
	if defined := len(m.typeOf) - int(m.imported); len(bodies) != defined {
		return nil, fmt.Errorf("%d functions, but the function section has %d", len(bodies), defined)
	}
	fail := func(i int, err error) ([]byte, error) {
		return nil, fmt.Errorf("function %d: %w", uint64(m.imported)+uint64(i), err)
	}
	b := &body{module: m, decoder: decoder{space: &m.space}}
	m.leaves = make([]uint8, len(bodies))
	for i, code := range bodies {
		b.open(code)
		b.declare(m.arityOf(m.imported + uint32(i)).params)
		cost := leafCost(&b.decoder)
		if b.err != nil {
			return fail(i, b.err)
		}
		m.leaves[i] = uint8(cost)
	}
	out := make([]byte, 0, len(d.data)+len(d.data)/4)
	out = appendU32(out, uint32(len(bodies))+uint32(m.helpers()))
	var err error
	for i, code := range bodies {
		b.open(code)
		if out, err = b.meter(out, m.arityOf(m.imported+uint32(i)), m.leaves[i] > 0); err != nil {
			return fail(i, err)
		}
	}
	if err := m.affordable(); err != nil {
		return nil, err
	}
	for h := range m.helpers() {
		out = append(out, m.helperBody(h)...)
	}
	return out, nil
}

// arityOf is of a function, by its number in the original.
func (m *module) arityOf(function uint32) arity {
	return m.space.arities[m.typeOf[function]]
}

// costOf is what a call adds to the path of its caller.
func (m *module) costOf(function uint32) int {
	if function < m.imported {
		return hostCost
	}
	return int(m.leaves[function-m.imported])
}
