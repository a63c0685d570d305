package bus

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/numax-mesh/numax/sandbox"
)

// Limits of answers. Each node that asked has a queue of its own and one stream, over which its answers go, a few at a
// time. Who does not confirm them is told by gossip from then on, which is at most once and bounded.
const (
	// maxAnswers wait to be sent, of maxAnswerBytes; for one node a part of what is left by those for others, see share.
	// Beyond, ErrBusy.
	maxAnswers     = 1024
	maxAnswerBytes = 16 << 20
	answerShare    = 4
	maxAskers      = 256 // nodes that have a queue; those beyond are told by gossip

	answerBatch      = 16 // answers that are sent before the other side must have confirmed them
	answerBatchBytes = 256 << 10
	confirmTime      = time.Second      // for that, and to be opened a stream to
	confirmSpeed     = 64 << 10         // so many bytes have a second more
	quietTime        = 30 * time.Second // who did not confirm is told by gossip
	idleTime         = 10 * time.Second // then a stream that nothing goes over is closed
)

// answer is one on its way to another node.
type answer struct {
	to      Key
	about   uint64
	payload []byte
}

// answers are those that wait to be sent.
//
//	put ─► asker's queue ─► its goroutine ══ stream ══► confirmed
//	  └─ quiet, or too many askers ─► gossip ◄─ not confirmed, no stream
type answers struct {
	wake chan struct{} // capacity 1: ready has grown

	mu      sync.Mutex // guards the rest
	askers  map[Key]*asker
	all     amount
	of      tally[Key]
	ready   []Key // askers whose goroutine is to begin
	told    budget
	hearing map[Key]*hearing
}

// asker has the answers for one node.
type asker struct {
	queue []answer
	more  chan struct{} // capacity 1: the queue has grown
}

// hearing is what is known of a node that is told by gossip.
type hearing struct {
	quiet  time.Time // until then it is told by gossip alone
	budget budget
	last   time.Time
}

func newAnswers() *answers {
	return &answers{
		wake: make(chan struct{}, 1), askers: make(map[Key]*asker), of: make(tally[Key]), told: newBudget(answersRate, time.Now()),
		hearing: make(map[Key]*hearing),
	}
}

// sendAnswer has an answer sent, or answers sandbox.ErrBusy.
func (b *Bus) sendAnswer(a answer) error {
	queued, err := b.answers.put(a, time.Now())
	if queued || err != nil {
		return err
	}
	return b.gossipAnswer(a)
}

// put queues an answer; queued is false if it is for gossip.
func (r *answers) put(a answer, now time.Time) (queued bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := r.askers[a.to]
	if h := r.hearing[a.to]; h != nil && now.Before(h.quiet) || k == nil && len(r.askers) >= maxAskers {
		return false, nil
	}
	mine, size := r.of[a.to], len(a.payload)
	if !mine.plus(1, size).within(share(amount{maxAnswers, maxAnswerBytes}, r.all.minus(mine), answerShare)) {
		return false, sandbox.ErrBusy
	}
	if k == nil {
		k = &asker{more: make(chan struct{}, 1)}
		r.askers[a.to] = k
		r.ready = append(r.ready, a.to)
		signal(r.wake)
	}
	k.queue = append(k.queue, a)
	r.count(a, 1)
	signal(k.more)
	return true, nil
}

// count notes an answer more, or less. mu is held.
func (r *answers) count(a answer, n int) {
	r.all = r.all.plus(n, n*len(a.payload))
	r.of.count(a.to, n, n*len(a.payload))
}

// begin takes the askers whose goroutine is to begin.
func (r *answers) begin() []Key {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.ready
	r.ready = nil
	return all
}

// next waits for the next answers to a node, which still count until they are done. When there are none for a while, or
// at once unless there is a stream to keep, it answers none, and the node has no queue any more.
func (r *answers) next(ctx context.Context, to Key, stream bool) []answer {
	idle := time.NewTimer(idleTime)
	defer idle.Stop()
	for over := !stream; ; {
		r.mu.Lock()
		k := r.askers[to]
		n, bytes := 0, 0
		for n < min(len(k.queue), answerBatch) && (n == 0 || bytes+len(k.queue[n].payload) <= answerBatchBytes) {
			bytes += len(k.queue[n].payload)
			n++
		}
		batch := k.queue[:n:n]
		k.queue = k.queue[n:]
		if n == 0 && over {
			delete(r.askers, to)
		}
		r.mu.Unlock()
		if n > 0 || over {
			return batch
		}
		select {
		case <-k.more:
		case <-idle.C:
			over = true
		case <-ctx.Done():
			over = true
		}
	}
}

// done is told of answers that were sent, or given up.
func (r *answers) done(batch []answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range batch {
		r.count(a, -1)
	}
}

// hush has a node that does not confirm told by gossip for a while, and gives up its queue.
func (r *answers) hush(to Key, now time.Time) []answer {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hears(to, now).quiet = now.Add(quietTime)
	k := r.askers[to]
	left := k.queue
	k.queue = nil
	return left
}

// hears finds what is known of a node. mu is held.
func (r *answers) hears(to Key, now time.Time) *hearing {
	return touch(r.hearing, maxAuthors, to, func(h *hearing) *time.Time { return &h.last }, now, func() *hearing {
		return &hearing{budget: newBudget(askerRate, now)}
	})
}

// mayTell reports whether a node may be told n bytes by gossip.
func (r *answers) mayTell(to Key, n int, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.hears(to, now).budget.allow(n, now) && r.told.allow(n, now)
}

// gossipAnswer answers by gossip. What nobody confirms must not take the rate of what this node has to say: beyond the
// share of its asker, or of all of them, the error is sandbox.ErrBusy.
func (b *Bus) gossipAnswer(a answer) error {
	if !b.answers.mayTell(a.to, len(a.payload), time.Now()) {
		b.lost.Add(1)
		return sandbox.ErrBusy
	}
	raw, err := b.frame(&frame{kind: kindAnswer, to: a.to, about: a.about}, "", a.payload, nil)
	if err == nil {
		b.gossip(raw)
	}
	return err
}

// runAnswers sends answers until ctx ends.
func (b *Bus) runAnswers(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		for _, to := range b.answers.begin() {
			wg.Go(func() { b.answerAll(ctx, to) })
		}
		select {
		case <-b.answers.wake:
		case <-ctx.Done():
			return
		}
	}
}

// answerAll sends the answers to one node until there are none.
func (b *Bus) answerAll(ctx context.Context, to Key) {
	var s *reply
	defer func() { s.close() }()
	for {
		batch := b.answers.next(ctx, to, s != nil)
		if len(batch) == 0 {
			return
		}
		left, err := batch, error(nil)
		for again := s != nil; ; again = false { // a stream from before may have ended on the other side
			if s == nil {
				s, err = b.openReply(ctx, to)
			}
			if err == nil {
				left, err = s.send(left)
			}
			if err == nil {
				break
			}
			s.close()
			s = nil
			if !again || errors.Is(err, errSilent) || ctx.Err() != nil {
				break
			}
			err = nil
		}
		if errors.Is(err, errSilent) {
			rest := b.answers.hush(to, time.Now())
			left, batch = append(left, rest...), append(batch, rest...)
		}
		for _, a := range left {
			if ctx.Err() != nil {
				break
			}
			if err := b.gossipAnswer(a); err != nil {
				b.o.Log.Debug("cannot answer", "peer", b.o.Name(to), "err", err) // at most once
			}
		}
		b.answers.done(batch)
	}
}

// reply is a stream that answers go over. It is for one goroutine.
type reply struct {
	s    io.ReadWriteCloser
	in   *bufio.Reader
	stop func() bool
}

// openReply opens one. The error is errSilent if the other side let it wait.
func (b *Bus) openReply(ctx context.Context, to Key) (*reply, error) {
	opening, cancel := context.WithTimeout(ctx, confirmTime)
	defer cancel()
	s, err := b.o.Net.Open(opening, b.o.Name(to))
	if err != nil {
		if opening.Err() != nil && ctx.Err() == nil {
			err = errSilent
		}
		return nil, err
	}
	return &reply{s: s, in: bufio.NewReader(s), stop: context.AfterFunc(ctx, func() { _ = s.Close() })}, nil
}

func (r *reply) close() {
	if r != nil {
		r.stop()
		_ = r.s.Close()
	}
}

// send sends answers, and waits until the other side has confirmed them: closing a stream throws away what is still on
// its way. left are those that it has not. The error is errSilent if it was given the time.
func (r *reply) send(batch []answer) (left []answer, err error) {
	var out []byte
	open := make(map[uint64]int, len(batch)) // several subscribers may answer one question
	for _, a := range batch {
		out = appendItem(out, itemAnswer, a.about, a.payload)
		open[a.about]++
	}
	var late atomic.Bool
	timer := time.AfterFunc(confirmTime+time.Duration(len(out))*time.Second/confirmSpeed, func() {
		late.Store(true)
		_ = r.s.Close()
	})
	defer timer.Stop()
	_, err = r.s.Write(out)
	for n := 0; err == nil && n < len(batch); n++ {
		var b [verdictSize]byte
		if _, err = io.ReadFull(r.in, b[:]); err != nil {
			break
		}
		about := binary.BigEndian.Uint64(b[:])
		if open[about] == 0 {
			err = errVerdict
			break
		}
		open[about]-- // whatever it says of it
	}
	if err != nil && late.Load() {
		err = errSilent
	}
	for _, a := range batch {
		if open[a.about] > 0 {
			left = append(left, a)
			open[a.about]--
		}
	}
	return left, err
}
