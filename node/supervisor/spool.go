package supervisor

import (
	"io"
	"sync"
)

// Memory of web requests: their fields, bodies and answers, from when they come until the last byte is taken.
const (
	webMemory = 192 << 20     // of all requests; who needs more is told to come again
	webShare  = webMemory / 2 // of those of one client, and of those to one module
)

// memory is what all web requests together hold.
type memory struct {
	mu     sync.Mutex // guards the rest, and what each holds
	used   int64
	shares map[string]int64 // of clients and of modules
}

func newMemory() *memory { return &memory{shares: make(map[string]int64)} }

// hold is what one request holds of it.
type hold struct {
	m    *memory
	keys [2]string // of its shares
	size int64
}

func (m *memory) hold(client, module string) *hold {
	return &hold{m: m, keys: [2]string{"client " + client, "module " + module}}
}

// take is false if there is no room for n bytes more.
func (h *hold) take(n int) bool {
	size := int64(n)
	h.m.mu.Lock()
	defer h.m.mu.Unlock()
	if size > webMemory-h.m.used {
		return false
	}
	for _, k := range h.keys {
		if size > webShare-h.m.shares[k] {
			return false
		}
	}
	h.add(size)
	return true
}

func (h *hold) add(n int64) {
	h.size += n
	h.m.used += n
	for _, k := range h.keys {
		if h.m.shares[k] += n; h.m.shares[k] == 0 {
			delete(h.m.shares, k)
		}
	}
}

// give gives n bytes back.
func (h *hold) give(n int) {
	h.m.mu.Lock()
	defer h.m.mu.Unlock()
	h.add(-int64(n))
}

// release gives back what is still held.
func (h *hold) release() {
	h.m.mu.Lock()
	defer h.m.mu.Unlock()
	h.add(-h.size)
}

// Sizes of a spool's pieces: small for what is small, and never many.
const (
	firstPiece = 4 << 10
	maxPiece   = 256 << 10
)

// spool holds bytes in pieces, each charged in full when it is made.
type spool struct {
	hold   *hold
	pieces [][]byte
	size   int // of all that came
	read   int // of the first piece
}

// room is where the next bytes go, nil if there is no memory for them; used says how many came.
func (s *spool) room() []byte {
	if n := len(s.pieces); n > 0 {
		if last := s.pieces[n-1]; len(last) < cap(last) {
			return last[len(last):cap(last)]
		}
	}
	size := min(max(s.size, firstPiece), maxPiece)
	if !s.hold.take(size) {
		return nil
	}
	s.pieces = append(s.pieces, make([]byte, 0, size))
	return s.pieces[len(s.pieces)-1][:size]
}

func (s *spool) used(n int) {
	last := &s.pieces[len(s.pieces)-1]
	*last = (*last)[:len(*last)+n]
	s.size += n
}

// Write keeps p, or as much as there is memory for.
func (s *spool) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		room := s.room()
		if room == nil {
			return n, errNoMemory
		}
		k := copy(room, p)
		s.used(k)
		p = p[k:]
		n += k
	}
	return n, nil
}

// Read reads what is there, once: it gives back what has been read.
func (s *spool) Read(p []byte) (int, error) {
	for len(s.pieces) > 0 && s.read == len(s.pieces[0]) {
		s.forget()
	}
	if len(s.pieces) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.pieces[0][s.read:])
	s.read += n
	return n, nil
}

// forget gives the first piece back.
func (s *spool) forget() {
	s.hold.give(cap(s.pieces[0]))
	s.pieces[0], s.read = nil, 0
	s.pieces = s.pieces[1:]
}
