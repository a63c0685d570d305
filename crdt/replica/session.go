package replica

import (
	"bufio"
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Limits of a session.
const (
	wantCredit = 1 << 20 // bytes a peer may send ahead of what we have learned
	maxCredit  = 16 << 20
	creditStep = wantCredit / 4 // what was learned before it is credited
	// wantPatience is how long a peer may be silent on a want before it is
	// asked anew.
	wantPatience = 30 * time.Second
	maxServes    = 64 // wants of a peer that are served at once
	maxWants     = 32 // wants of ours that are open at once
	maxControl   = 256
	// Bytes of control frames that wait for the peer to read. Beyond the first,
	// answers that can be asked for again are left out; beyond the second, the peer
	// is given up.
	fewControlBytes = 1 << 20
	maxControlBytes = 8 << 20
	// How many logs a peer may have us look at, in lots of logsPerToken: a second, and at
	// once.
	wantRate     = 2_000
	wantBurst    = 4_096
	logsPerToken = 64
	// How often it may have us begin to send a whole state.
	stateRate   = 2
	stateBurst  = 16
	helloWait   = 10 * time.Second
	streamBytes = 64 << 10
)

var errProtocol = errors.New("replica: the peer speaks another version of the sync protocol or is of another network")

// session is the conversation with one peer over one sync stream.
type session struct {
	r      *Replica
	peer   string
	stream io.ReadWriteCloser
	began  time.Time

	control chan []byte   // frames to send before any entry
	queued  atomic.Int64  // their bytes
	states  bucket        // of whole states that the peer has us begin; only handleAll uses it
	wanted  bucket        // of the peer's wants; only handleAll uses it
	wake    chan struct{} // there may be something to serve, or a beacon is due earlier
	in      intake
	greeted atomic.Bool // the peer's hello was right

	comparing sync.Mutex // held while a compare is answered

	mu       sync.Mutex // guards the fields below
	theirs   map[DatasetID]bool
	serves   []*serve // in the order of their turn
	wants    map[DatasetID]uint64
	asked    map[uint64]*asked       // our open wants by channel
	later    map[*Dataset]struct{}   // to be asked for when there are fewer
	mended   map[DatasetID]time.Time // when a whole state was last asked for, to mend a broken one
	answered map[DatasetID]time.Time // when the peer last ended a want of ours, or offered a state
	shown    chan []byte             // where the peer's answer to our compare goes; nil: none is waited for
	shownOf  stateSum                // the version that it is about
	channel  uint64                  // of our last want
	trickle  trickle
	versions map[DatasetID]summary // as the peer last told us
	equal    time.Time             // when its state and ours were last equal
	heard    [rootSize]byte        // its last root that was equal to ours
	unequal  bool                  // its last root was not

	compared time.Time // when heads were last sent
	missed   time.Time // when authors that entries wait for were last named
}

func newSession(r *Replica, peer string, stream io.ReadWriteCloser) *session {
	return &session{
		r: r, peer: peer, stream: stream, began: r.now(), in: newIntake(), wanted: bucket{rate: wantRate, burst: wantBurst}, states: bucket{rate: stateRate, burst: stateBurst},
		control:  make(chan []byte, maxControl),
		wake:     make(chan struct{}, 1),
		theirs:   make(map[DatasetID]bool),
		wants:    make(map[DatasetID]uint64),
		asked:    make(map[uint64]*asked),
		later:    make(map[*Dataset]struct{}),
		mended:   make(map[DatasetID]time.Time),
		answered: make(map[DatasetID]time.Time),
		versions: make(map[DatasetID]summary),
	}
}

// run talks until the stream or ctx ends.
func (s *session) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(ctx, func() { _ = s.stream.Close() })
	defer stop()
	s.send(frame(frameHello, []byte{syncVersion}, s.r.network[:]))
	s.sendDatasets()
	var wg sync.WaitGroup
	wg.Go(func() { cancel(s.write(ctx)) })
	wg.Go(func() { s.read(ctx) })
	wg.Go(func() { cancel(s.handleAll(ctx)) })
	wg.Wait()
	s.shedRest()
	s.end()
	return context.Cause(ctx)
}

// end lets go of what was under way.
func (s *session) end() {
	s.mu.Lock()
	serves, wants := s.serves, slices.Collect(maps.Values(s.asked))
	s.mu.Unlock()
	for _, sv := range serves {
		sv.close()
	}
	for _, want := range wants {
		want.end(errEnded)
	}
}

// offer is send for what may be left out.
func (s *session) offer(f []byte) {
	if s.queued.Load() > fewControlBytes {
		return
	}
	select {
	case s.control <- f:
		s.queued.Add(int64(len(f)))
	default:
	}
}

// send queues a control frame. A peer that does not read its control frames is
// given up: their number is bounded by what it asked for.
func (s *session) send(f []byte) {
	if s.queued.Add(int64(len(f))) <= maxControlBytes {
		select {
		case s.control <- f:
			return
		default:
		}
	}
	_ = s.stream.Close()
}

// write sends control frames first, then entries, one of each served want in
// turn, and a beacon when it is time.
func (s *session) write(ctx context.Context) error {
	w := bufio.NewWriterSize(s.stream, streamBytes)
	put := func(f []byte) error {
		s.r.stats.SyncOut.Add(uint64(len(f)))
		_, err := w.Write(f)
		return err
	}
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case f := <-s.control:
			s.queued.Add(-int64(len(f)))
			if err := put(f); err != nil {
				return err
			}
			continue
		default:
		}
		f, err := s.turn()
		if err != nil {
			return err
		}
		if f != nil {
			if err := put(f); err != nil {
				return err
			}
			continue
		}
		if err := w.Flush(); err != nil {
			return err
		}
		timer.Reset(s.untilBeacon())
		select {
		case f := <-s.control:
			s.queued.Add(-int64(len(f)))
			if err := put(f); err != nil {
				return err
			}
		case <-s.wake:
		case <-timer.C:
			s.beacon()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *session) handle(ctx context.Context, kind byte, p []byte) error {
	switch kind {
	case frameDatasets:
		return s.onDatasets(p)
	case frameRoot:
		return s.onRoot(p)
	case frameDigests:
		return s.onDigests(p)
	case frameWant:
		return s.onWant(ctx, p)
	case frameDone:
		return s.onDone(p)
	case frameCredit:
		return s.onCredit(p)
	case frameHeads:
		return s.onHeads(ctx, p)
	case frameHead:
		return s.onHead(p)
	case frameProof:
		return s.onProof(p)
	case frameAsk:
		return s.onAsk(ctx, p)
	case frameState, frameRows, frameSeal:
		return s.onState(ctx, kind, p)
	case frameStarts:
		return s.onStarts(ctx, p)
	case frameCompare:
		return s.onCompare(ctx, p)
	case frameCompared:
		return s.onCompared(p)
	case frameStop:
		return s.onStop(p)
	}
	return nil // a frame of a later version: not for us
}

// slow waits until the peer may have us look at all logs of a dataset; nil is one
// that we have not.
func (s *session) slow(ctx context.Context, d *Dataset) error {
	cost := 1
	if d != nil {
		d.mu.Lock()
		cost += len(d.logs) / logsPerToken
		d.mu.Unlock()
	}
	for !s.wanted.take(s.r.now(), cost) {
		select {
		case <-time.After(time.Second * time.Duration(cost) / wantRate):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
