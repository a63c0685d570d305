package replica

import (
	"bufio"
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/zeebo/blake3"
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
	maxControl   = 256
	helloWait    = 10 * time.Second
	streamBytes  = 64 << 10
)

var errProtocol = errors.New("replica: the peer speaks another version of the sync protocol or is of another network")

// session is the conversation with one peer over one sync stream.
type session struct {
	r      *Replica
	peer   string
	stream io.ReadWriteCloser
	began  time.Time

	control chan []byte   // frames to send before any entry
	wake    chan struct{} // there may be something to serve, or a beacon is due earlier
	greeted bool          // the peer's hello was right; written by read, read after run

	mu       sync.Mutex // guards the fields below
	theirs   map[DatasetID]bool
	serves   []*serve // in the order of their turn
	wants    map[DatasetID]uint64
	asked    map[uint64]*asked // our open wants by channel
	channel  uint64
	trickle  trickle
	versions map[DatasetID]summary // as the peer last told us
	equal    time.Time
	unequal  bool           // the peer's last root was not ours
	compared time.Time      // when heads were last sent
	heard    [rootSize]byte // the last root of the peer's that was equal to ours
}

// asked is a want of ours that the peer answers.
type asked struct {
	d     *Dataset
	owed  uint64    // bytes learned and not yet credited; only read uses it
	heard time.Time // when the peer last sent something for it; guarded by session.mu

	replace bool       // our state gives way to the peer's
	joining bool       // the peer has begun to send its state; guarded by session.mu
	join    *join      // of that state; only read uses it
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

func newSession(r *Replica, peer string, stream io.ReadWriteCloser) *session {
	return &session{
		r: r, peer: peer, stream: stream, began: r.now(),
		control:  make(chan []byte, maxControl),
		wake:     make(chan struct{}, 1),
		theirs:   make(map[DatasetID]bool),
		wants:    make(map[DatasetID]uint64),
		asked:    make(map[uint64]*asked),
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
	wg.Go(func() { cancel(s.read(ctx)) })
	wg.Wait()
	s.end()
	return context.Cause(ctx)
}

// end lets go of what was under way.
func (s *session) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sv := range s.serves {
		sv.close()
	}
	for _, want := range s.asked {
		want.end(errEnded)
	}
}

// send queues a control frame. A peer that does not read its control frames is
// given up: their number is bounded by what it asked for.
func (s *session) send(f []byte) {
	select {
	case s.control <- f:
	default:
		_ = s.stream.Close()
	}
}

func (s *session) sendDatasets() {
	var ids []byte
	for _, d := range s.r.Datasets() {
		ids = append(ids, d.id[:]...)
	}
	s.send(frame(frameDatasets, ids))
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
			if err := put(f); err != nil {
				return err
			}
		case <-s.wake:
		case <-timer.C:
			s.dropStalled()
			s.beacon()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
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
			break
		}
	}
	s.mu.Unlock()
	if sv == nil {
		return nil, nil
	}
	f, cost, last, err := sv.frame()
	s.mu.Lock()
	sv.credit -= int64(cost)
	stopped := !slices.Contains(s.serves, sv)
	s.mu.Unlock()
	if stopped { // by the peer, meanwhile
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

// drop ends serves.
func (s *session) drop(which func(*serve) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serves = slices.DeleteFunc(s.serves, func(x *serve) bool {
		if which(x) {
			x.close()
			return true
		}
		return false
	})
}

// stateStall is how long a peer may leave a state without credit: it pins rows
// that were deleted since.
const stateStall = 2 * time.Minute

func (s *session) dropStalled() {
	now := s.r.now()
	s.drop(func(x *serve) bool { return x.state != nil && x.credit <= 0 && now.Sub(x.moved) > stateStall })
}

func (s *session) read(ctx context.Context) error {
	r := bufio.NewReaderSize(countingReader{s.stream, s}, streamBytes)
	hello := time.AfterFunc(helloWait, func() { _ = s.stream.Close() })
	kind, p, err := readFrame(r)
	hello.Stop()
	if err != nil {
		return err
	}
	if kind != frameHello || len(p) != 1+len(s.r.network) || p[0] != syncVersion ||
		subtle.ConstantTimeCompare(p[1:], s.r.network[:]) != 1 {
		return errProtocol
	}
	s.greeted = true
	for {
		kind, p, err := readFrame(r)
		if err == nil {
			err = s.handle(ctx, kind, p)
		}
		if err != nil {
			return err
		}
	}
}

type countingReader struct {
	r io.Reader
	s *session
}

func (c countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.s.r.stats.SyncIn.Add(uint64(n))
	return n, err
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
		return s.onWant(p)
	case frameEntry:
		return s.onEntry(ctx, p)
	case frameDone:
		return s.onDone(p)
	case frameCredit:
		return s.onCredit(p)
	case frameHeads:
		return s.onHeads(p)
	case frameHead:
		return s.onHead(p)
	case frameProof:
		return s.onProof(p)
	case frameAsk:
		return s.onAsk(p)
	case frameState, frameRows, frameSeal:
		return s.onState(ctx, kind, p)
	case frameStop:
		return s.onStop(p)
	}
	return nil // a frame of a later version: not for us
}

func (s *session) onDatasets(p []byte) error {
	ids, err := decodeDatasets(p)
	if err != nil {
		return err
	}
	s.mu.Lock()
	clear(s.theirs)
	for _, id := range ids {
		s.theirs[id] = true
	}
	s.mu.Unlock()
	s.sendRoot()
	return nil
}

// shared are the datasets that both sides replicate, by id.
func (s *session) shared() []*Dataset {
	all := s.r.Datasets()
	s.mu.Lock()
	defer s.mu.Unlock()
	all = slices.DeleteFunc(all, func(d *Dataset) bool { return !s.theirs[d.id] })
	slices.SortFunc(all, func(a, b *Dataset) int { return slices.Compare(a.id[:], b.id[:]) })
	return all
}

func root(shared []*Dataset) (digest [rootSize]byte) {
	h := blake3.NewDeriveKey(domainRoot)
	for _, d := range shared {
		sum := d.Digest()
		_, _ = h.Write(d.id[:])
		_, _ = h.Write(sum[:])
	}
	copy(digest[:], h.Sum(nil))
	return digest
}

func (s *session) sendRoot() {
	digest := root(s.shared())
	s.send(frame(frameRoot, digest[:]))
}

func (s *session) onRoot(p []byte) error {
	if len(p) != rootSize {
		return fmt.Errorf("%w: root of %d bytes", ErrMalformed, len(p))
	}
	shared := s.shared()
	if digest := root(shared); digest == [rootSize]byte(p) {
		s.mu.Lock()
		s.trickle.heard()
		news := s.heard != digest
		s.equal, s.heard, s.unequal = s.r.now(), digest, false
		clear(s.versions)
		s.mu.Unlock()
		if news {
			s.sendRoot() // once, so that the peer knows it too
		}
		return nil
	}
	s.mu.Lock()
	s.unequal = true
	s.mu.Unlock()
	if len(shared) == 1 {
		s.want(shared[0])
		return nil
	}
	var list []byte
	for _, d := range shared {
		sum := d.Digest()
		list = append(append(list, d.id[:]...), sum[:]...)
	}
	s.send(frame(frameDigests, list))
	return nil
}

func (s *session) onDigests(p []byte) error {
	list, err := decodeDigests(p)
	if err != nil {
		return err
	}
	for _, x := range list {
		if d := s.r.dataset(x.id); d != nil && d.Digest() != x.digest {
			s.want(d)
		}
	}
	return nil
}

// want asks the peer for what we lack of a dataset, unless we are at it.
func (s *session) want(d *Dataset) {
	if d.isBroken() && !d.isJoining() {
		s.ask(d, nil)
	}
	version := d.have()
	s.mu.Lock()
	if ch, open := s.wants[d.id]; open && s.r.now().Sub(s.asked[ch].heard) < wantPatience {
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

func (s *session) onWant(p []byte) error {
	w, err := decodeWant(p)
	if err != nil {
		return err
	}
	d := s.r.dataset(w.dataset)
	if d == nil {
		s.send(frame(frameDone, uvarint(w.channel)))
		return nil
	}
	var sv *serve
	if d.below(w.version) && !d.isBroken() {
		if sv, err = d.newStateServe(w.channel, w.credit); err != nil {
			return err
		}
	} else {
		sv = d.newServe(w, s.began)
	}
	if err := s.begin(sv); err != nil {
		return err
	}
	s.mu.Lock()
	s.versions[d.id] = w.version
	s.mu.Unlock()
	s.sendProofs(d, w.version)
	s.compareHeads(d, w.version)
	if !d.have().dominates(w.version) {
		s.want(d)
	}
	return nil
}

// begin adds something to serve.
func (s *session) begin(sv *serve) error {
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

func (s *session) onEntry(ctx context.Context, p []byte) error {
	r := reader{b: p}
	ch := r.uvarint()
	if r.err != nil {
		return fmt.Errorf("%w: entry frame", ErrMalformed)
	}
	s.mu.Lock()
	want := s.asked[ch]
	if want == nil {
		s.mu.Unlock()
		return nil // of a want that is over
	}
	want.heard = s.r.now()
	s.mu.Unlock()
	d := want.d
	e, header, err := splitEntry(r.b, false)
	if err == nil {
		err = s.r.admit(d.id, e)
	}
	if err == nil && !d.knows(e) { // gossip was faster: no need to verify it again
		err = e.verify(header)
	}
	if err != nil {
		s.r.stats.Rejected.Add(1)
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	got, err := d.learn(ctx, e)
	for errors.Is(err, ErrBusy) && ctx.Err() == nil {
		// Our disk fails: the peer waits with us.
		select {
		case <-time.After(minRetry):
			got, err = d.learn(ctx, e)
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
	s.credit(ch, want, len(e.raw))
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
	defer s.mu.Unlock()
	if want := s.asked[ch]; want != nil {
		delete(s.asked, ch)
		if s.wants[want.d.id] == ch {
			delete(s.wants, want.d.id)
		}
		want.end(why)
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
			sv.moved = s.r.now()
		}
	}
	signal(s.wake)
	return nil
}

// untilBeacon is how long the stream may stay silent.
func (s *session) untilBeacon() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.trickle.until(s.r.now())
}

func (s *session) beacon() {
	s.mu.Lock()
	due := s.trickle.fire(s.r.now())
	s.mu.Unlock()
	if due {
		s.sendRoot()
	}
}

// settled reports whether the peer has said that it holds what we hold.
func (s *session) settled() bool {
	digest := root(s.shared())
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.heard == digest
}

// moved makes the next beacon come soon.
func (s *session) moved() {
	s.mu.Lock()
	s.trickle.reset(s.r.now())
	s.mu.Unlock()
	signal(s.wake)
}

func (s *session) state() PeerState {
	s.mu.Lock()
	versions := maps.Clone(s.versions)
	p := PeerState{Peer: s.peer, Equal: s.equal}
	s.mu.Unlock()
	p.Settled = s.settled()
	for id, v := range versions {
		if d := s.r.dataset(id); d != nil {
			for a, seq := range d.Version() {
				if has := v[hashAuthor(a)]; seq > has {
					p.Behind += seq - has
				}
			}
		}
	}
	return p
}
