package sandboxtest

import (
	"bytes"
	"slices"
)

// SlowToCompile is a module that may just be compiled, which takes some seconds. It has a run.
func SlowToCompile() []byte {
	branches := slices.Concat([]byte{opBlock, noResult}, bytes.Repeat([]byte{opLocalGet, 0, opBrIf, 0}, 8000), []byte{opEnd})
	m := new(Module)
	for range 3 {
		m.FuncOf([]Type{I32}, nil, nil, branches...)
	}
	for range 32 { // what is let in depends on the bytes of code
		m.Func(nil, nil, bytes.Repeat([]byte{opNop}, 60_000)...)
	}
	m.Export("run", m.Func(nil, nil))
	return m.Bytes()
}

const (
	opNop   = 0x01
	opBlock = 0x02
	opBrIf  = 0x0d
)
