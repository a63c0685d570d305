package sandbox

import "github.com/tetratelabs/wazero/experimental"

// guestMemory gives the linear memory of one run, up to a limit of bytes. Growing past it fails inside the guest
// (memory.grow answers -1), and the host never holds more than the limit for it.
//
// A small memory is a Go slice. One that grows past reserveFrom moves, once, to addresses reserved for all it may
// become: to copy and clear hundreds of megabytes at every growth would hold up the guest past its deadline and the
// garbage collector with it. The system fills a page when it is touched.
type guestMemory struct {
	limit    uint64
	reserved []byte
}

const reserveFrom = 1 << 20

func (a *guestMemory) Allocate(_, max uint64) experimental.LinearMemory {
	return &linearMemory{run: a, limit: min(a.limit, max)}
}

// release gives reserved addresses back. Nothing may use the memory any more, so it is for the end of the run to
// call it, and not for wazero, which frees memory also when a Runtime is closed under its guests.
func (a *guestMemory) release() {
	if a.reserved != nil {
		unreserve(a.reserved)
		a.reserved = nil
	}
}

type linearMemory struct {
	run   *guestMemory
	limit uint64
	buf   []byte
}

// Reallocate doubles what is not reserved, so that a guest that grows page by page does not copy its memory page by
// page. The bytes between length and capacity were never the guest's and are still zero, as WebAssembly wants new
// pages.
func (m *linearMemory) Reallocate(size uint64) []byte {
	if size > m.limit {
		return nil
	}
	if size <= uint64(cap(m.buf)) {
		m.buf = m.buf[:size]
		return m.buf
	}
	var grown []byte
	if size > reserveFrom && m.run.reserved == nil {
		if all, err := reserve(m.limit); err == nil {
			m.run.reserved = all
			grown = all[:size]
		}
	}
	if grown == nil {
		grown = make([]byte, size, max(size, min(2*uint64(cap(m.buf)), m.limit)))
	}
	copy(grown, m.buf)
	m.buf = grown
	return m.buf
}

func (m *linearMemory) Free() { m.buf = nil }
