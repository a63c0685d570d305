package replicasim

import (
	"io"
	"math/rand/v2"
	"sync"
	"time"
)

// streamWindow is how many bytes are under way in one direction before a
// writer waits.
const streamWindow = 64 << 10

// half is one direction of a stream: bytes that arrive after a delay, at a
// rate, or not at all while the link is stalled.
type half struct {
	mu      sync.Mutex    // guards the fields below
	changed chan struct{} // closed and replaced when one of them changes
	flight  []segment
	size    int // bytes in flight
	latency time.Duration
	rate    int  // bytes a second
	stalled bool // nothing arrives, but nobody is told
	ended   bool // no more writes; what is in flight arrives
	left    bool // the reader went away
	torn    bool // the end is not the writer's
}

type segment struct {
	at   time.Time
	data []byte
}

func newHalf(latency time.Duration, rate int) *half {
	return &half{changed: make(chan struct{}), latency: latency, rate: rate}
}

// set changes the fields under the lock and wakes whoever waits.
func (h *half) set(change func(*half)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change(h)
	h.wake()
}

func (h *half) wake() {
	close(h.changed)
	h.changed = make(chan struct{})
}

// tear ends the stream at any byte of what is in flight.
func (h *half) tear(rng *rand.Rand) {
	h.set(func(h *half) {
		if h.torn || h.ended && h.size == 0 {
			return
		}
		keep := 0
		if h.size > 0 && !h.stalled {
			keep = rng.IntN(h.size)
		}
		var arrived []byte
		for _, s := range h.flight {
			arrived = append(arrived, s.data[:min(len(s.data), keep-len(arrived))]...)
		}
		h.flight, h.size = nil, len(arrived)
		if len(arrived) > 0 {
			h.flight = []segment{{time.Now(), arrived}}
		}
		h.ended, h.torn, h.stalled = true, true, false
	})
}

func (h *half) write(p []byte) (n int, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(p) > 0 {
		for h.size >= streamWindow && !h.ended && !h.left {
			changed := h.changed
			h.mu.Unlock()
			<-changed
			h.mu.Lock()
		}
		if h.ended || h.left {
			return n, io.ErrClosedPipe
		}
		part := p[:min(len(p), streamWindow-h.size)]
		at := time.Now().Add(h.latency)
		if k := len(h.flight); k > 0 && h.flight[k-1].at.After(at) {
			at = h.flight[k-1].at
		}
		at = at.Add(time.Duration(len(part)) * time.Second / time.Duration(h.rate))
		h.flight = append(h.flight, segment{at, append([]byte(nil), part...)})
		h.size += len(part)
		n += len(part)
		p = p[len(part):]
		h.wake()
	}
	return n, nil
}

func (h *half) read(p []byte) (int, error) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		wait := time.Hour
		switch {
		case h.left:
			return 0, io.ErrClosedPipe
		case h.stalled:
		case len(h.flight) > 0:
			first := &h.flight[0]
			if wait = time.Until(first.at); wait > 0 {
				break
			}
			n := copy(p, first.data)
			first.data = first.data[n:]
			h.size -= n
			if len(first.data) == 0 {
				h.flight = h.flight[1:]
			}
			h.wake()
			return n, nil
		case h.torn:
			return 0, io.ErrUnexpectedEOF
		case h.ended:
			return 0, io.EOF
		}
		changed := h.changed
		h.mu.Unlock()
		timer.Reset(wait)
		select {
		case <-changed:
		case <-timer.C:
		}
		h.mu.Lock()
	}
}

// conn is one end of a stream.
type conn struct{ in, out *half }

func (c conn) Read(p []byte) (int, error)  { return c.in.read(p) }
func (c conn) Write(p []byte) (int, error) { return c.out.write(p) }

func (c conn) Close() error {
	c.in.set(func(h *half) { h.left = true })
	c.out.set(func(h *half) { h.ended = true })
	return nil
}
