package module

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// Binary is what a WebAssembly binary says of itself.
type Binary struct {
	Imports []Import
	Exports []string // functions
	Memory  uint64   // bytes it begins with
}

// Import is a function that a binary calls.
type Import struct{ Module, Name string }

// NX lists the nx functions it calls, by name. The names are the binary's.
func (b *Binary) NX() []string {
	names := []string{}
	for _, i := range b.Imports {
		if i.Module == "nx" {
			names = append(names, i.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Reacts lists the Reactions it exports.
func (b *Binary) Reacts() []string {
	return slices.DeleteFunc(slices.Clone(Reactions), func(name string) bool { return !slices.Contains(b.Exports, name) })
}

// The parts of a binary that are read here; all others are stepped over:
//
//	\0 a s m  01 00 00 00  then sections: id 1 ‖ size ‖ body
//	imports 2:  n × (module ‖ name ‖ kind 1 ‖ description)
//	memories 5: n × limits             limits := flags 1 ‖ min ‖ [max]
//	exports 7:  n × (name ‖ kind 1 ‖ index)
//
// Numbers are LEB128, names begin with their length.
const (
	sectionImports  = 2
	sectionMemories = 5
	sectionExports  = 7

	kindFunction = 0
	kindTable    = 1
	kindMemory   = 2
	kindGlobal   = 3

	pageSize = 64 << 10
)

var (
	corePreamble = []byte("\x00asm\x01\x00\x00\x00")
	errCutOff    = errors.New("the binary is cut off or damaged: build it again")
)

// ReadBinary reads a core module. It looks at what a module says of itself alone:
// whether it can run is for the sandbox.
func ReadBinary(wasm []byte) (*Binary, error) {
	if !bytes.HasPrefix(wasm, corePreamble) {
		return nil, errors.New("module: read binary: not a core WebAssembly module of version 1: build for wasm32-wasip1, not a component")
	}
	b := new(Binary)
	for r := (&reader{b: wasm[len(corePreamble):]}); len(r.b) > 0; {
		id := r.byte()
		section := &reader{b: r.bytes()}
		switch id {
		case sectionImports:
			section.each(func() { section.imported(b) })
		case sectionMemories:
			section.each(func() { b.Memory = section.limits() * pageSize })
		case sectionExports:
			section.each(func() {
				name, kind := section.bytes(), section.byte()
				if section.number(); kind == kindFunction {
					b.Exports = append(b.Exports, string(name))
				}
			})
		}
		if r.bad || section.bad {
			return nil, fmt.Errorf("module: read binary: section %d: %w", id, errCutOff)
		}
	}
	return b, nil
}

// reader takes bytes from the front. After the first that is missing all is
// empty, and bad is set.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) fail() { r.b, r.bad = nil, true }

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.fail()
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *reader) number() uint64 {
	n, size := binary.Uvarint(r.b)
	if size <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[size:]
	return n
}

func (r *reader) bytes() []byte {
	n := r.number()
	if n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

// each reads a vector. Every item has a byte at least, so it ends with the bytes.
func (r *reader) each(item func()) {
	for n := r.number(); n > 0 && !r.bad; n-- {
		item()
	}
}

func (r *reader) limits() (least uint64) {
	const hasMax = 1
	flags := r.byte()
	least = r.number()
	if flags&hasMax != 0 {
		r.number()
	}
	return least
}

func (r *reader) imported(b *Binary) {
	from, name := r.bytes(), r.bytes()
	switch r.byte() {
	case kindFunction:
		r.number()
		b.Imports = append(b.Imports, Import{string(from), string(name)})
	case kindTable:
		r.byte()
		r.limits()
	case kindMemory:
		b.Memory = r.limits() * pageSize
	case kindGlobal:
		r.byte()
		r.byte()
	default:
		r.fail()
	}
}
