package sandbox

import "github.com/tetratelabs/wazero/experimental"

// cappedMemory gives linear memory up to a limit of bytes. Growing past it fails inside the guest (memory.grow
// answers -1), and the host never holds more than the limit for it.
type cappedMemory struct{ limit uint64 }

func (a cappedMemory) Allocate(_, max uint64) experimental.LinearMemory {
	return &linearMemory{limit: min(a.limit, max)}
}

type linearMemory struct {
	limit uint64
	buf   []byte
}

// Reallocate doubles, so that a guest that grows page by page does not copy its memory page by page. The bytes
// between length and capacity were never the guest's and are still zero, as WebAssembly wants new pages.
func (m *linearMemory) Reallocate(size uint64) []byte {
	if size > m.limit {
		return nil
	}
	if size <= uint64(cap(m.buf)) {
		m.buf = m.buf[:size]
		return m.buf
	}
	grown := make([]byte, size, max(size, min(2*uint64(cap(m.buf)), m.limit)))
	copy(grown, m.buf)
	m.buf = grown
	return m.buf
}

func (m *linearMemory) Free() { m.buf = nil }
