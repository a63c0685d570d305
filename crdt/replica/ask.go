package replica

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// How whole states cross a session. The rows of a state come as an answer to a
// want that is below the peer's cut, or to an ask.

// Resync makes this replica's state of the dataset that of a connected peer: for
// when an author forked its log, and the two have applied different halves.
// Everything else that is in our log and not in the peer's state stays. It
// returns when the new state is in use.
func (d *Dataset) Resync(ctx context.Context, peer string) error {
	d.r.mu.Lock()
	s := d.r.sessions[peer]
	d.r.mu.Unlock()
	if s == nil {
		return fmt.Errorf("replica: resync %q from %s: no sync stream with that peer: see numax-node peers", d.name, peer)
	}
	result := make(chan error, 1)
	ch := s.ask(d, result)
	select {
	case err := <-result:
		if err != nil {
			return fmt.Errorf("replica: resync %q from %s: %w", d.name, peer, err)
		}
		return nil
	case <-ctx.Done():
		s.send(frame(frameStop, uvarint(ch)))
		s.mu.Lock()
		if want := s.asked[ch]; want != nil {
			want.stopped = true // read ends what it has of it
		}
		s.mu.Unlock()
		return ctx.Err()
	}
}

// ask asks for the peer's whole state, to replace ours.
func (s *session) ask(d *Dataset, result chan error) (channel uint64) {
	s.mu.Lock()
	s.channel++
	ch := s.channel
	s.asked[ch] = &asked{d: d, heard: s.r.now(), replace: true, result: result}
	s.mu.Unlock()
	s.send(frame(frameAsk, uvarint(ch), d.id[:], uvarint(wantCredit)))
	return ch
}

// mend is ask for a dataset that may lack something, unless that is under way or
// was tried lately, or this node could not have it.
func (s *session) mend(d *Dataset) {
	if !d.isBroken() || d.isJoining() || !s.r.haveKey() {
		return
	}
	now := s.r.now()
	s.mu.Lock()
	due := now.Sub(s.mended[d.id]) > wantPatience && len(s.asked) < maxWants
	if due {
		s.mended[d.id] = now
	}
	s.mu.Unlock()
	if due {
		s.ask(d, nil)
	}
}

func (s *session) onAsk(ctx context.Context, p []byte) error {
	r := reader{b: p}
	ch := r.uvarint()
	var id DatasetID
	copy(id[:], r.bytes(len(id)))
	credit := r.uvarint()
	if err := r.end(); err != nil {
		return err
	}
	d := s.r.dataset(id)
	if err := s.slow(ctx, d); err != nil {
		return err
	}
	if d == nil || !s.maySend(d) || !s.states.take(s.r.now(), 1) {
		s.send(frame(frameDone, uvarint(ch)))
		return nil
	}
	sv, err := d.newStateServe(ch, credit)
	if errors.Is(err, ErrBusy) {
		s.send(frame(frameDone, uvarint(ch)))
		return nil
	}
	if err != nil {
		return err
	}
	return s.begin(sv)
}

// maySend reports whether the peer can be sent our state of a dataset: it is whole,
// the peer may read it, and our word counts.
func (s *session) maySend(d *Dataset) bool {
	if !s.mayRead() {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.care.broken && !d.parked.isLocked() && !d.hasExcess() && d.isWriter(d.self)
}

// mayRead reports whether the peer is one of those who hold states.
func (s *session) mayRead() bool { return s.r.mayRead == nil || s.r.mayRead(s.peer) }

// Entries prove themselves, and a state is its maker's word for what it holds of
// entries that are gone. So a state is taken only when all other peers were asked
// for the entries, and none has them: each ended our want, offered a state too, or
// was silent.
const (
	turnFor   = 10 * time.Second       // how long an answer counts
	turnWait  = 5 * time.Second        // how long a peer may be silent
	turnRetry = 500 * time.Millisecond // before the one that offered the state is asked again
)

// noLogLeft reports whether no other peer still serves as a log what a peer offers
// as a state; those who were not asked are.
func (r *Replica) noLogLeft(d *Dataset, offers *session) bool {
	none := true
	now := r.now()
	r.eachSession(func(s *session) {
		if s == offers {
			return
		}
		s.mu.Lock()
		shares, open := s.theirs[d.id], s.asked[s.wants[d.id]]
		answered := now.Sub(s.answered[d.id]) < turnFor
		silent := open != nil && (open.joining || now.Sub(open.heard) >= turnWait)
		s.mu.Unlock()
		if !shares || answered || silent {
			return
		}
		none = false
		if open == nil {
			s.want(d)
		}
	})
	return none
}

// What Resync gets when no state comes.
var (
	errOthersFirst = errors.New("another peer may still have the entries")

	errNoState = errors.New("the peer sent no state")
	errEnded   = errors.New("the stream ended")
	// A state is its maker's word for entries that are gone: who may not write
	// could put anything in it.
	errRelayState  = errors.New("the peer may not read, and so cannot have a state")
	errReaderState = errors.New("the state was made by who may not write")
)

// onState takes a frame of a state. What is wrong with our disk is not the
// peer's fault: the state is stopped, and asked for again one day.
func (s *session) onState(ctx context.Context, kind byte, p []byte) error {
	r := reader{b: p}
	ch := r.uvarint()
	if r.err != nil {
		return fmt.Errorf("%w: state frame", ErrMalformed)
	}
	s.mu.Lock()
	want := s.asked[ch]
	if want != nil {
		want.heard = s.r.now()
	}
	s.mu.Unlock()
	if want == nil || kind != frameState && want.join == nil {
		return nil // of a want that is over
	}
	s.mu.Lock()
	stopped := want.stopped
	s.mu.Unlock()
	if stopped {
		s.forget(ch, context.Canceled)
		return nil
	}
	err := s.takeState(ctx, kind, want, r.b)
	switch {
	case err == nil:
		s.credit(ch, want, len(r.b))
		if kind == frameSeal {
			s.forget(ch, nil)
			s.want(want.d) // what came since
		}
		return nil
	case errors.Is(err, ErrMalformed):
		s.r.stats.Rejected.Add(1)
		return err
	}
	if !errors.Is(err, errJoining) && !errors.Is(err, errKnown) && !errors.Is(err, errOthersFirst) && ctx.Err() == nil {
		s.r.log.Warn("cannot take over the state of a peer", "dataset", want.d.name, "peer", s.peer, "err", err)
	}
	s.forget(ch, err)
	s.send(frame(frameStop, uvarint(ch)))
	return nil
}

func (s *session) takeState(ctx context.Context, kind byte, want *asked, p []byte) (err error) {
	switch kind {
	case frameState:
		if want.join != nil {
			return fmt.Errorf("%w: two states at once", ErrMalformed)
		}
		if !s.mayRead() {
			return errRelayState
		}
		if !want.replace && !s.r.noLogLeft(want.d, s) {
			s.r.gap(want.d, s.peer, turnRetry)
			return errOthersFirst
		}
		if want.join, err = want.d.newJoin(p, want.replace); err != nil {
			return err
		}
		if !want.d.isWriter(want.join.state.manifest.author) {
			return errReaderState
		}
		s.mu.Lock()
		want.joining = true
		s.mu.Unlock()
		return nil
	case frameRows:
		return want.join.state.rows(p)
	}
	if want.result != nil {
		return want.join.finish(ctx, p, agreed) // somebody chose this peer
	}
	return want.join.finish(ctx, p, s.agree)
}

func (s *session) onStop(p []byte) error {
	r := reader{b: p}
	ch := r.uvarint()
	if err := r.end(); err != nil {
		return err
	}
	s.drop(func(x *serve) bool { return x.channel == ch })
	return nil
}
