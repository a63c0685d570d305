package blob

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/numax-mesh/numax/sandbox"
)

const (
	// maxBeside is how many peers one fetch asks at the same time. What each sends lies in a file of its own until one
	// of them has sent the blob, so a fetch takes up to so many times its size on disk for that long.
	maxBeside = 4
	// besideAfter is how long a fetch waits before it asks another peer beside those that it has asked. A call that has
	// little time left waits besideShare of it.
	besideAfter = time.Second
	besideShare = 8
	// fairSpeed, in bytes a second, is what a peer sends at least that is not called slow when it was asked at least
	// besideAfter ago and the caller's time ends, or another peer was faster.
	fairSpeed = 256 << 10
)

// race is one fetch: it asks a peer, a while later another one beside it, and so on, until one has sent the blob.
//
//	peer 1 ────────────── silent, drips ──────────────× blamed
//	besideAfter ─► peer 2 ──── other bytes ──× blamed
//	                             at once ─► peer 3 ──── the blob ──► kept; the others are closed
//
// When maxBeside are asked, and others are left, the slowest gives way. No other peer is asked while one sends so fast that it is done in half of the time that is left. So a peer that
// breaks off late costs half of the time, and the next one is asked in the other half.
type race struct {
	x    *Exchange
	h    Hash
	s    *Session
	left []string // not asked yet, in the order in which to ask

	mu       sync.Mutex // guards the rest
	reserved int64      // of the module's space: what the largest of the answers takes
	kept     int64      // of it, what the blob takes that the module has now
}

// attempt is a peer that is asked.
type attempt struct {
	peer      string
	asked     time.Time
	size, got atomic.Int64
	stop      context.CancelFunc
	dropped   bool  // for another one
	err       error // once it is over
}

// run asks the peers. The error is sandbox.ErrNotFound when all have been asked, or sandbox.ErrQuota if it did not fit.
func (r *race) run(ctx context.Context) error {
	asking, stop := context.WithCancel(ctx)
	var all sync.WaitGroup
	running := make(map[*attempt]bool)
	over := make(chan *attempt, maxBeside)
	defer func() {
		for a := range running {
			if !a.dropped && a.slow(time.Now()) {
				r.x.blame(a.peer, r.h, errSlow)
			}
		}
		stop()
		all.Wait()
		r.settle()
	}()
	err := error(sandbox.ErrNotFound)
	next := time.Now() // when to ask another
	for {
		now := time.Now()
		freed := r.x.release()
		if promising(ctx, running, now) {
			next = now.Add(beside(ctx, now))
		}
		for len(running) < maxBeside && (len(running) == 0 || !now.Before(next)) {
			peer := r.pick()
			if peer == "" {
				break
			}
			a := &attempt{peer: peer, asked: now}
			one, drop := context.WithCancel(asking)
			a.stop = drop
			running[a] = true
			next = now.Add(beside(ctx, now))
			all.Go(func() {
				defer drop()
				a.err = r.x.fetchFrom(one, a, r)
				r.x.hangUp(a.peer, r.s.owner)
				over <- a
			})
		}
		if len(running) == 0 && len(r.left) == 0 {
			return err
		}
		if !now.Before(next) { // nobody could be asked
			if len(running) == maxBeside && len(r.left) > 0 {
				r.drop(running, now)
			}
			next = now.Add(beside(ctx, now))
		}
		wait := time.NewTimer(next.Sub(now))
		select {
		case a := <-over:
			delete(running, a)
			var local localError
			switch {
			case a.err == nil:
				wait.Stop()
				return nil
			case ctx.Err() != nil: // it was closed with the call: the peer may not be to blame
				running[a] = true
			case a.dropped:
			case errors.As(a.err, &local):
				wait.Stop()
				return local.error
			case errors.Is(a.err, sandbox.ErrQuota):
				err = a.err // if this is its size: another may say better
			case !errors.Is(a.err, errNotThere):
				r.x.blame(a.peer, r.h, a.err)
			}
			next = time.Now()
		case <-wait.C:
		case <-freed:
		case <-ctx.Done():
		}
		wait.Stop()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// beside is how long to wait before another peer is asked.
func beside(ctx context.Context, now time.Time) time.Duration {
	if end, ok := ctx.Deadline(); ok {
		return max(min(besideAfter, end.Sub(now)/besideShare), time.Millisecond)
	}
	return besideAfter
}

// promising reports whether one of them sends so fast that it will be done in half of the time that is left.
func promising(ctx context.Context, running map[*attempt]bool, now time.Time) bool {
	end, ok := ctx.Deadline()
	if !ok {
		end = now.Add(fetchTime)
	}
	for a := range running {
		got, left := float64(a.got.Load()), float64(a.size.Load()-a.got.Load())
		if got > 0 && left/got*float64(now.Sub(a.asked)) < float64(end.Sub(now))/2 {
			return true
		}
	}
	return false
}

// slow reports whether a peer that has not sent the blob until now was given the time for it.
func (a *attempt) slow(now time.Time) bool {
	passed := now.Sub(a.asked)
	return passed >= besideAfter && float64(a.got.Load()) < passed.Seconds()*fairSpeed
}

// drop makes room for a peer that was not asked yet: of those that are slow it closes the one that sent least.
func (r *race) drop(running map[*attempt]bool, now time.Time) {
	var least *attempt
	for a := range running {
		if a.slow(now) && !a.dropped && (least == nil || a.got.Load() < least.got.Load()) {
			least = a
		}
	}
	if least != nil {
		least.dropped = true
		least.stop()
		r.x.blame(least.peer, r.h, errSlow)
	}
}

// pick takes the first peer that has a free slot off the list, with the slot; "" = none.
func (r *race) pick() string {
	for i, peer := range r.left {
		if r.x.call(peer, r.s.owner) {
			r.left = append(r.left[:i:i], r.left[i+1:]...)
			return peer
		}
	}
	return ""
}

// reserve makes room for an answer of that size. Of several answers one is kept, so the largest counts.
func (r *race) reserve(size int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if more := Cost(size) - r.reserved; more > 0 {
		if err := r.s.add(more); err != nil {
			return err
		}
		r.reserved += more
	}
	return nil
}

// keep makes the blob the module's.
func (r *race) keep(w *Writer) error {
	news, err := w.Keep(r.s.owner)
	if news {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.kept = Cost(w.Size())
	}
	return err
}

// settle gives back what the blob did not take.
func (r *race) settle() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.reserved > r.kept {
		_ = r.s.add(r.kept - r.reserved)
	}
	r.reserved = r.kept
}
