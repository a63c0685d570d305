package replica

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// asked is a want of ours that the peer answers.
type asked struct {
	d     *Dataset
	owed  uint64    // bytes learned and not yet credited; only handleAll uses it
	heard time.Time // when the peer last sent something for it; guarded by session.mu

	replace bool       // our state gives way to the peer's
	joining bool       // the peer has begun to send its state; guarded by session.mu
	stopped bool       // nobody waits for it any more; guarded by session.mu
	join    *join      // of that state; only handleAll uses it
	result  chan error // capacity 1; nil if nobody waits
}

// end closes what the want was about.
func (a *asked) end(err error) {
	if a.join != nil {
		a.join.close()
		a.join = nil
	}
	if a.result != nil {
		select {
		case a.result <- err:
		default:
		}
	}
}

// want asks the peer for what we lack of a dataset, unless we are at it.
func (s *session) want(d *Dataset) {
	s.mend(d)
	version := d.wanted()
	s.mu.Lock()
	delete(s.later, d)
	if ch, open := s.wants[d.id]; open && s.r.now().Sub(s.asked[ch].heard) < wantPatience {
		s.mu.Unlock()
		return
	}
	if len(s.asked) >= maxWants && s.asked[s.wants[d.id]] == nil {
		s.later[d] = struct{}{} // when one of them is done
		s.mu.Unlock()
		return
	}
	if old := s.asked[s.wants[d.id]]; old != nil && old.joining {
		s.mu.Unlock()
		_ = s.stream.Close() // in the middle of a state; begin anew
		return
	}
	delete(s.asked, s.wants[d.id]) // what comes late for a want given up is learned from the next
	s.channel++
	ch := s.channel
	s.wants[d.id] = ch
	s.asked[ch] = &asked{d: d, heard: s.r.now()}
	s.mu.Unlock()
	s.r.stats.Repairs.Add(1)
	s.send(wantFrame{ch, d.id, wantCredit, version}.encode())
}

func (s *session) onWant(ctx context.Context, p []byte) error {
	w, err := decodeWant(p)
	if err != nil {
		return err
	}
	d := s.r.dataset(w.dataset)
	if err := s.slow(ctx, d); err != nil {
		return err
	}
	if d == nil {
		s.send(frame(frameDone, uvarint(w.channel)))
		return nil
	}
	var sv *serve
	switch below := d.below(w.version); {
	case below && s.maySend(d) && s.states.take(s.r.now(), 1):
		sv, err = d.newStateServe(w.channel, w.credit)
	case below && !s.mayRead():
		err = s.sendStarts(d, w.version)
	}
	if sv == nil && (err == nil || errors.Is(err, ErrBusy)) {
		sv, err = d.newServe(w, s.began), nil
	}
	if err != nil {
		return err
	}
	if err := s.begin(sv); err != nil {
		return err
	}
	known := d.heardWant(s.peer, w.version)
	s.mu.Lock()
	s.versions[d.id] = known
	s.mu.Unlock()
	s.sendProofs(d, known)
	s.compareHeads(d, known)
	if !d.have().dominates(known) {
		s.want(d)
	}
	return nil
}

// begin adds something to serve.
func (s *session) begin(sv *serve) error {
	if sv.state == nil { // the peer has given up what it wanted before of the same dataset
		s.drop(func(x *serve) bool { return x.state == nil && x.d == sv.d })
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.serves) >= maxServes {
		sv.close()
		return fmt.Errorf("%w: more than %d open wants", ErrMalformed, maxServes)
	}
	s.serves = append(s.serves, sv)
	signal(s.wake)
	return nil
}

// turn makes the next frame of the want whose turn it is; nil if no want is
// open, or all wait for credit.
func (s *session) turn() ([]byte, error) {
	s.mu.Lock()
	var sv *serve
	for i, x := range s.serves {
		if x.credit > 0 {
			sv = x
			s.serves = append(slices.Delete(s.serves, i, i+1), x)
			sv.busy = true
			break
		}
	}
	s.mu.Unlock()
	if sv == nil {
		return nil, nil
	}
	f, cost, last, err := sv.frame()
	s.mu.Lock()
	sv.busy = false
	sv.credit -= int64(cost)
	sv.moved = s.r.now()
	stopped := !slices.Contains(s.serves, sv)
	s.mu.Unlock()
	if stopped { // by the peer, meanwhile
		sv.close()
		return s.turn()
	}
	if err != nil {
		return nil, err
	}
	if last {
		s.drop(func(x *serve) bool { return x == sv })
		if sv.skips {
			s.moved() // see whether gossip brought it
		}
	}
	return f, nil
}

// drop ends serves; turn closes the one of which it makes a frame.
func (s *session) drop(which func(*serve) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serves = slices.DeleteFunc(s.serves, func(x *serve) bool {
		if !which(x) {
			return false
		}
		if !x.busy {
			x.close()
		}
		return true
	})
}

// stateStall is how long a peer may take no more of a state that is served to
// it: it pins rows that were deleted since.
const stateStall = 2 * time.Minute

// checkStall gives a peer up that takes nothing of a state any more. It is not
// the writer's to do, which may be what waits.
func (s *session) checkStall() {
	now := s.r.now()
	s.mu.Lock()
	stalled := slices.ContainsFunc(s.serves, func(x *serve) bool { return x.state != nil && now.Sub(x.moved) > stateStall })
	s.mu.Unlock()
	if stalled {
		_ = s.stream.Close()
	}
}

func (s *session) onEntry(ctx context.Context, c checked) error {
	if c.want == nil {
		return c.err // nil for one of a want that is over
	}
	s.mu.Lock()
	c.want.heard = s.r.now()
	s.mu.Unlock()
	if c.err == nil && c.header != nil && !c.want.d.knows(c.e) {
		if !s.r.mayStand(c.e) {
			s.r.stats.Ignored.Add(1)
			s.credit(c.channel, c.want, len(c.e.raw))
			return nil
		}
		c.err = s.r.check(s.peer, c.e, c.header)
	}
	if c.err != nil {
		s.r.stats.Rejected.Add(1)
		return fmt.Errorf("%w: %w", ErrMalformed, c.err)
	}
	d := c.want.d
	got, err := d.learn(ctx, c.e)
	for errors.Is(err, ErrBusy) && ctx.Err() == nil {
		// Our disk fails: the peer waits with us.
		select {
		case <-time.After(minRetry):
			got, err = d.learn(ctx, c.e)
		case <-ctx.Done():
		}
	}
	if errors.Is(err, ErrMalformed) {
		s.r.stats.Rejected.Add(1)
	}
	if err != nil {
		return err
	}
	if got == LearnedNews {
		s.r.stats.EntriesRepaired.Add(1)
	}
	s.credit(c.channel, c.want, len(c.e.raw))
	return nil
}

// credit follows what was learned: a full queue here slows the peer. It goes in
// steps, so that small entries do not flood the control frames.
func (s *session) credit(ch uint64, want *asked, n int) {
	if want.owed += uint64(n); want.owed >= creditStep {
		s.send(frame(frameCredit, uvarint(ch), uvarint(want.owed)))
		want.owed = 0
	}
}

func (s *session) onDone(p []byte) error {
	r := reader{b: p}
	ch := r.uvarint()
	if err := r.end(); err != nil {
		return err
	}
	s.forget(ch, errNoState)
	return nil
}

// forget ends a want of ours.
func (s *session) forget(ch uint64, why error) {
	s.mu.Lock()
	want := s.asked[ch]
	if want != nil {
		s.answered[want.d.id] = s.r.now()
		delete(s.asked, ch)
		if s.wants[want.d.id] == ch {
			delete(s.wants, want.d.id)
		}
	}
	var next *Dataset
	if len(s.asked) < maxWants {
		for next = range s.later {
			break
		}
	}
	s.mu.Unlock()
	if want != nil {
		want.end(why)
	}
	if next != nil {
		s.want(next)
	}
}

func (s *session) onCredit(p []byte) error {
	r := reader{b: p}
	ch, n := r.uvarint(), r.uvarint()
	if err := r.end(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sv := range s.serves {
		if sv.channel == ch {
			sv.credit = min(sv.credit+int64(min(n, maxCredit)), maxCredit)
		}
	}
	signal(s.wake)
	return nil
}
