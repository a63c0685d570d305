package supervisor

import (
	"errors"
	"slices"
	"sync"

	"github.com/numax-mesh/numax/sandbox"
)

// ErrFull is answered to those who send a module more than its mailbox holds.
var ErrFull = errors.New("supervisor: the module's mailbox is full")

// maxWaiting bounds the bytes of what waits in a mailbox, which its limit of events would not: messages, and the fields
// of requests, whose bodies have a bound of their own.
const maxWaiting = 16 << 20

// errGone is what waiting events end with when nobody will handle them.
var errGone = errors.New("supervisor: the module does not run")

// item is something that waits for an instance: an event, or changes to tell one by one.
type item struct {
	event   *sandbox.Event
	changes *batch
	session *session    // that asked for it; nil = for any
	due     func() bool // asked when it is about to be told; nil = it is
	tries   int         // that failed
	size    int         // bytes that it holds, if they count
	done    func(error) // told how the event ended; nil = nobody asks
}

func (i *item) finish(err error) {
	if i.done != nil {
		i.done(err)
	}
}

// mailbox is what waits for the instances of one module. It outlives them. What is bounded elsewhere, a tick a timer
// and a batch a feed, has room always.
type mailbox struct {
	limit int
	wake  chan struct{} // capacity 1: there may be an item

	mu      sync.Mutex // guards the rest
	items   []*item
	counted int // of items
	bytes   int // of them
	dropped uint64
	closed  bool // nobody is there to handle anything
}

func newMailbox(limit int) *mailbox {
	return &mailbox{limit: limit, wake: make(chan struct{}, 1)}
}

// push takes an event, or refuses it.
func (m *mailbox) push(i *item) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.refuses(i.size); err != nil {
		return err
	}
	m.counted++
	m.bytes += i.size
	m.add(i)
	return nil
}

// check says what push would say now to an event of that size, for who has work to do before it.
func (m *mailbox) check(size int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.refuses(size)
}

func (m *mailbox) refuses(size int) error {
	switch {
	case m.closed:
		return errGone
	case m.counted >= m.limit, size > maxWaiting-m.bytes:
		m.dropped++
		return ErrFull
	}
	return nil
}

// pushFree takes what is bounded by whoever pushes it.
func (m *mailbox) pushFree(i *item) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.closed {
		m.add(i)
	}
}

func (m *mailbox) add(i *item) {
	m.items = append(m.items, i)
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// next takes the item that has waited longest, nil if none waits.
func (m *mailbox) next() *item {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.items) == 0 {
		return nil
	}
	i := m.items[0]
	m.items[0] = nil
	if m.items = m.items[1:]; len(m.items) == 0 {
		m.items = nil // let go of the array
	}
	if i.free() {
		return i
	}
	m.counted--
	m.bytes -= i.size
	return i
}

func (i *item) free() bool { return i.changes != nil || i.event.Name == sandbox.OnTick }

// remove takes back what was pushed, if it still waits.
func (m *mailbox) remove(i *item) {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := slices.Index(m.items, i)
	if at < 0 {
		return
	}
	m.items = slices.Delete(m.items, at, at+1)
	if !i.free() {
		m.counted--
		m.bytes -= i.size
	}
}

// setLimit is for a new version of the module.
func (m *mailbox) setLimit(limit int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.limit = limit
}

// figures are how many events wait, and how many were refused so far.
func (m *mailbox) figures() (waiting int, dropped uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.items), m.dropped
}

// open takes items again.
func (m *mailbox) open() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = false
}

// close ends what waits, and refuses what comes.
func (m *mailbox) close() {
	m.mu.Lock()
	items := m.items
	m.items, m.counted, m.bytes, m.closed = nil, 0, 0, true
	m.mu.Unlock()
	for _, i := range items {
		i.finish(errGone)
	}
}
