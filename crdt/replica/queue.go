package replica

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Limits of what waits for the disk.
const (
	// MaxPending is how many bytes of accepted changes may wait for a commit;
	// above it writers wait, and after QueueWait they get ErrBusy.
	MaxPending = 8 << 20
	QueueWait  = 5 * time.Second

	// maxRemote is how much work of others may wait for a commit (see
	// Entry.work): what a commit gathers holds up local writes meanwhile.
	maxRemote = 512 << 10
)

// Errors that writers tell apart. In both cases nothing was changed.
var (
	ErrBusy   = errors.New("replica: no write is accepted just now")
	ErrClosed = errors.New("replica: closed")
)

// queue counts the changes on their way to disk. Every change takes a ticket,
// in the order of all changes of this node; a commit makes a prefix of the
// tickets durable.
type queue struct {
	wake chan struct{} // capacity 1: there is something to commit
	full chan struct{} // capacity 1: the window need not be waited out

	mu      sync.Mutex // guards the fields below
	issued  uint64
	durable uint64
	bytes   int           // of memory that issued, not yet durable changes take
	remote  int           // work of others among them
	gather  int           // bytes of entries since the last cut
	waiting int           // callers of sync
	failure error         // why commits do not succeed at present
	closed  bool          // no more tickets
	ended   bool          // the last commit is over
	moved   chan struct{} // closed and replaced when one of the above changes

	over chan struct{} // closed with ended
}

func (q *queue) init() {
	q.wake = make(chan struct{}, 1)
	q.full = make(chan struct{}, 1)
	q.moved = make(chan struct{})
	q.over = make(chan struct{})
}

// admit waits until there is room for another change.
func (q *queue) admit(ctx context.Context) error {
	q.mu.Lock()
	for q.bytes >= MaxPending && q.failure == nil && !q.closed {
		moved := q.moved
		q.mu.Unlock()
		wait := time.NewTimer(QueueWait)
		select {
		case <-moved:
			wait.Stop()
		case <-wait.C:
			return ErrBusy
		case <-ctx.Done():
			wait.Stop()
			return ctx.Err()
		}
		q.mu.Lock()
	}
	defer q.mu.Unlock()
	return q.refusal()
}

// admitRemote waits until there is room for more work of others.
func (q *queue) admitRemote(ctx context.Context) error {
	q.mu.Lock()
	for q.remote >= maxRemote && q.failure == nil && !q.closed {
		moved := q.moved
		q.mu.Unlock()
		signal(q.full)
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
		q.mu.Lock()
	}
	defer q.mu.Unlock()
	return q.refusal()
}

// hasRoom reports whether admitRemote would not wait.
func (q *queue) hasRoom() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.remote < maxRemote && q.refusal() == nil
}

// refusal is why no write is taken, room aside. q.mu is held.
func (q *queue) refusal() error {
	switch {
	case q.closed:
		return ErrClosed
	case q.failure != nil:
		return fmt.Errorf("%w: %w", ErrBusy, q.failure)
	}
	return nil
}

// push accounts for a change that takes n bytes of memory and adds size to the
// entries of the next commit. The caller shares Replica.cut.
func (q *queue) push(n, size int) { q.account(n, size, 0) }

// pushRemote is push for what others sent.
func (q *queue) pushRemote(work, size int) { q.account(0, size, work) }

func (q *queue) account(n, size, remote int) {
	q.mu.Lock()
	q.issued++
	q.bytes += n
	q.remote += remote
	q.gather += size
	full := q.gather >= fullWindow || q.waiting > 0
	q.mu.Unlock()
	signal(q.wake)
	if full {
		signal(q.full)
	}
}

// taken is what a commit is about to make durable.
type taken struct {
	ticket        uint64
	bytes, remote int
}

// take is called with Replica.cut held whole.
func (q *queue) take() taken {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.gather = 0
	return taken{q.issued, q.bytes, q.remote}
}

func (q *queue) done(t taken) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.durable = t.ticket
	q.bytes -= t.bytes
	q.remote -= t.remote
	q.failure = nil
	q.broadcast()
}

func (q *queue) fail(err error) (first bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	first = q.failure == nil
	q.failure = err
	q.broadcast()
	return first
}

// mend takes a failure back.
func (q *queue) mend() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.failure != nil {
		q.failure = nil
		q.broadcast()
	}
}

// isClosed is for those who share Replica.cut: close is called with it held
// whole, so whoever sees the queue open is part of the last commit.
func (q *queue) isClosed() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed
}

// enter shares Replica.cut for a local write; the caller gives it back.
func (r *Replica) enter() error {
	r.cut.RLock()
	if r.queue.isClosed() {
		r.cut.RUnlock()
		return ErrClosed
	}
	return nil
}

// closeQueue refuses further writes.
func (r *Replica) closeQueue() {
	r.cut.Lock()
	defer r.cut.Unlock()
	r.queue.close()
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.broadcast()
}

// end comes after close and the last commit: what is not on disk now never
// will be.
func (q *queue) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended = true
	close(q.over)
	q.broadcast()
}

func (q *queue) broadcast() {
	close(q.moved)
	q.moved = make(chan struct{})
}

// sync waits until everything pushed so far is on disk.
func (q *queue) sync(ctx context.Context) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	want := q.issued
	q.waiting++
	defer func() { q.waiting-- }()
	for q.durable < want {
		if q.ended {
			return ErrClosed
		}
		if q.failure != nil {
			return fmt.Errorf("%w: %w", ErrBusy, q.failure)
		}
		moved := q.moved
		q.mu.Unlock()
		signal(q.full)
		var err error
		select {
		case <-moved:
		case <-ctx.Done():
			err = ctx.Err()
		}
		q.mu.Lock()
		if err != nil {
			return err
		}
	}
	return nil
}

func (q *queue) failed() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.failure
}

func (q *queue) empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.durable == q.issued
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Ready is what a write would answer now, without waiting for room.
func (r *Replica) Ready() error {
	r.queue.mu.Lock()
	defer r.queue.mu.Unlock()
	return r.queue.refusal()
}
