package sandbox

import (
	"bytes"
	"errors"
	"fmt"
)

// What a WebAssembly binary starts with, and where in it the things lie that wazero does not tell us:
//
//	\0 a s m  01 00 00 00   a core module, version 1
//	\0 a s m  0d 00 01 00   a component: layer 1
//	then sections: id(1) size(leb128) body(size)
//
//	import section (2):  n × (module name, field name, kind, description)
//	table section (4):   n × (reftype, limits)
//	memory section (5):  n × limits;  limits = flags, min, [max]
const preambleSize = 8

var wasmMagic = []byte("\x00asm")

const (
	sectionImport = 2
	sectionTable  = 4
	sectionMemory = 5

	kindFunc   = 0
	kindTable  = 1
	kindMemory = 2
	kindGlobal = 3
	kindTag    = 4
)

var kindNames = [...]string{"function", "table", "memory", "global", "tag"}

// checkPreamble says in plain words why data is not a core module.
func checkPreamble(data []byte) error {
	switch {
	case len(data) > maxModuleSize:
		return fmt.Errorf("%d bytes, over the limit of %d MiB", len(data), maxModuleSize>>20)
	case len(data) == 0:
		return errors.New("the file is empty")
	case !bytes.HasPrefix(data, wasmMagic[:min(len(data), len(wasmMagic))]):
		return errors.New(`not a WebAssembly binary: it does not start with \0asm`)
	case len(data) < preambleSize:
		return errors.New("truncated: a WebAssembly binary has at least 8 bytes")
	}
	version, layer := uint16(data[4])|uint16(data[5])<<8, uint16(data[6])|uint16(data[7])<<8
	switch {
	case layer == 1:
		return errors.New("a WebAssembly component, and only core modules run here: build it as a core module for wasip1 " +
			"(Rust: --target wasm32-wasip1, Go: GOOS=wasip1 GOARCH=wasm, TinyGo: -target=wasip1)")
	case layer != 0 || version != 1:
		return fmt.Errorf("WebAssembly version %d, layer %d, is unknown: version 1, layer 0, is what runs here", version, layer)
	}
	return nil
}

// foreignImport is an import that is not a function.
type foreignImport struct {
	module, name string
	kind         byte
}

// outline is what a module asks for before its first instruction.
type outline struct {
	foreign       []foreignImport
	memoryPages   uint64 // initial pages of all memories it defines
	tableElements uint64 // initial elements of all tables it defines
}

var errMalformed = errors.New("malformed or truncated section")

// outlineOf walks the sections of a module. It allocates no more than data is long and does not trust data.
func outlineOf(data []byte) (outline, error) {
	var o outline
	if len(data) < preambleSize {
		return o, errMalformed
	}
	r := &reader{data: data[preambleSize:]}
	for len(r.data) > 0 && !r.bad {
		id := r.byte()
		body := &reader{data: r.bytes(r.u32())}
		if r.bad {
			break
		}
		switch id {
		case sectionImport:
			n := body.u32()
			if n > maxImports {
				return o, fmt.Errorf("%d imports, over the limit of %d", n, maxImports)
			}
			for ; n > 0 && !body.bad; n-- {
				imp := foreignImport{module: string(body.bytes(body.u32())), name: string(body.bytes(body.u32())), kind: body.byte()}
				switch imp.kind {
				case kindFunc:
					body.u32()
					continue
				case kindTable:
					body.byte()
					body.limits()
				case kindMemory:
					body.limits()
				case kindGlobal:
					body.bytes(2)
				case kindTag:
					body.byte()
					body.u32()
				default:
					body.bad = true
					continue
				}
				o.foreign = append(o.foreign, imp)
			}
		case sectionTable:
			for n := body.u32(); n > 0 && !body.bad; n-- {
				body.byte()
				o.tableElements += body.limits()
			}
		case sectionMemory:
			for n := body.u32(); n > 0 && !body.bad; n-- {
				o.memoryPages += body.limits()
			}
		}
		r.bad = r.bad || body.bad
	}
	if r.bad {
		return o, errMalformed
	}
	return o, nil
}

// reader takes a binary apart. After the first thing that does not fit, bad is set and everything reads as zero.
type reader struct {
	data []byte
	bad  bool
}

func (r *reader) byte() byte {
	if b := r.bytes(1); len(b) == 1 {
		return b[0]
	}
	return 0
}

func (r *reader) bytes(n uint32) []byte {
	if r.bad || uint64(n) > uint64(len(r.data)) {
		r.bad = true
		return nil
	}
	b := r.data[:n]
	r.data = r.data[n:]
	return b
}

// u32 reads an unsigned LEB128 of at most 5 bytes.
func (r *reader) u32() uint32 {
	var v uint64
	for shift := 0; shift < 35; shift += 7 {
		b := r.byte()
		v |= uint64(b&0x7f) << shift
		if b < 0x80 {
			if v > 0xffffffff {
				r.bad = true
				return 0
			}
			return uint32(v)
		}
	}
	r.bad = true
	return 0
}

// limits reads flags, min and, if flag 1 is set, max; it returns min.
func (r *reader) limits() uint64 {
	flags := r.byte()
	min := r.u32()
	if flags&1 != 0 {
		r.u32()
	}
	return uint64(min)
}
