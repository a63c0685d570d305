package meter

import (
	"fmt"
)

// Version changes whenever the same module is instrumented in another way. It is part of the instrumented module, as
// the name of the import, so that what was compiled before is not taken for what would be compiled now.
const Version = "2"

const (
	// Module and Tick name the function that an instrumented module imports: (left) → left. It is called when left,
	// which counts down from Quantum, has gone below zero, and answers what it is from then on.
	Module = "numax"
	Tick   = "tick/" + Version
	// Quantum is the units from one tick to the next. An instruction costs at least one, and a few where paths of
	// different length meet; 4 bytes moved cost one.
	Quantum = 100_000
	// MaxTableElements is what all tables of a module may grow to, if they did not start larger.
	MaxTableElements = 1 << 20
)

const (
	sectionCustom = iota
	sectionType
	sectionImport
	sectionFunction
	sectionTable
	sectionMemory
	sectionGlobal
	sectionExport
	sectionStart
	sectionElement
	sectionCode
	sectionData
	sectionDataCount
	sectionTag
)

// order is how sections follow each other.
var order = []byte{
	sectionType, sectionImport, sectionFunction, sectionTable, sectionMemory, sectionGlobal, sectionExport, sectionStart,
	sectionElement, sectionDataCount, sectionCode, sectionData,
}

const (
	kindFunction = iota
	kindTable
	kindMemory
	kindGlobal
)

var sectionNames = [...]string{
	"custom", "type", "import", "function", "table", "memory", "global", "export", "start", "element", "code", "data",
	"data count",
}

var preamble = []byte("\x00asm\x01\x00\x00\x00")

// module is what the pass knows of a module, gathered section by section.
//
//	functions   imported │ tick │ defined │ helpers        numbers from tick on are one higher than in the original
//	globals     imported │ defined │ left
//	types       the module's │ those of the helpers
type module struct {
	sections [sectionTag][]byte // nil = there is none
	customs  [][]byte

	space    space    // of the original
	typeOf   []uint32 // of each function
	leaves   []uint8  // of each defined function, its leafCost
	imported uint32   // functions
	memories uint32
	elements uint32 // of all segments so far
	mutable  uint32 // globals
	work     uint64 // to compile all functions so far
	left     uint32 // index of the global
}

// Instrument returns module with charges. It takes what is a valid module of WebAssembly 2.0 to one that does the
// same, and of anything else it either says what is wrong or returns something that is no valid module either.
//
// Custom sections move to the end. The name section is kept, with functions renumbered and without label names;
// sections about places in the code (.debug_*, reloc.*, metadata.code.*, source maps) would no longer be true and
// are dropped.
func Instrument(wasm []byte) ([]byte, error) {
	m := new(module)
	if err := m.split(wasm); err != nil {
		return nil, fmt.Errorf("meter: read module: %w", err)
	}
	out := append(make([]byte, 0, len(wasm)+len(wasm)/4), preamble...)
	for _, id := range order {
		body, err := m.rewrite(id)
		if err != nil {
			return nil, fmt.Errorf("meter: %s section: %w", sectionNames[id], err)
		}
		if body != nil {
			out = appendVec(append(out, id), body)
		}
	}
	for _, body := range m.customs {
		if body = m.custom(body); body != nil {
			out = appendVec(append(out, sectionCustom), body)
		}
	}
	return out, nil
}
