package member

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// An exchange keeps the records of two admitted devices equal. One goroutine
// reads, one writes; what was read last and not yet acted on waits in heard, so
// that neither ever waits for the other.
type exchange struct {
	*Session
	wake chan struct{} // something was heard
	over chan struct{} // closed when one of the two ends

	// Of the writer alone:
	pushed *Roster     // what the peer lacked of it was sent
	synced bool        // has says what the peer has
	told   bool        // our ids, since the last look
	before [2][32]byte // digests, ours and the peer's, when ids were last told

	mu      sync.Mutex // guards the fields below
	heard   heard
	base    *Roster     // the peer has its records; may be nil
	has     map[ID]bool // and these, at most 2 * maxSet
	useless int         // bytes of what it sent since the last look
	ending  bool        // over is closed
	err     error       // why reading ended
}

type heard struct {
	digest *[32]byte
	ids    []ID
	any    bool // ids came
}

const (
	// lookEvery is how often two devices compare their sets, and look whether
	// the other's membership has expired.
	lookEvery = time.Minute
	// maxUseless is how many bytes that are no news a peer may send between
	// two looks before it is taken for a flood: about what a whole set has.
	maxUseless = MaxBytes + 4<<20
	// frameCost is what a frame counts at least, and recordCost what a record counts
	// beside its bytes.
	frameCost  = 4 << 10
	recordCost = 64
)

// ErrFlood ends the stream of a peer that sends too much of no use.
var ErrFlood = errors.New("the peer floods this device with what it knows")

func newExchange(s *Session) *exchange {
	return &exchange{Session: s, wake: make(chan struct{}, 1), over: make(chan struct{}), has: make(map[ID]bool)}
}

func (x *exchange) run() error {
	changed, stop := x.Book.Watch()
	defer stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		err := x.read()
		x.hear(func() { x.err = err })
		x.end()
	}()
	err := x.write(changed)
	x.end()
	<-done
	if isVerdict(err) {
		return err
	}
	return x.ended() // it explains why writing failed
}

func (x *exchange) end() {
	_ = x.Stream.Close()
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.ending {
		x.ending = true
		close(x.over)
	}
}

// isVerdict reports whether an error is this side's own decision to stop.
func isVerdict(err error) bool {
	return errors.Is(err, ErrRevoked) || errors.Is(err, ErrExpired) || errors.Is(err, ErrNotMember)
}

func (x *exchange) ended() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.err
}

// hear notes something for the writer.
func (x *exchange) hear(note func()) {
	x.mu.Lock()
	note()
	x.mu.Unlock()
	select {
	case x.wake <- struct{}{}:
	default:
	}
}

func (x *exchange) read() error {
	for {
		kind, payload, err := readFrame(x.in, maxFrame)
		if err != nil {
			return err
		}
		m, err := decodeMessage(kind, payload)
		if err != nil {
			return err
		}
		cost := max(frameCost, len(payload))
		switch kind {
		case frameDigest:
			x.hear(func() { x.heard.digest = &m.digest })
		case frameIDs:
			x.hear(func() { x.heard.ids, x.heard.any = m.ids, true })
		case frameRecords:
			if cost, err = x.learn(m.records); err != nil {
				return err
			}
		case frameRefuse:
			return x.refused(m)
		default:
			return fmt.Errorf("%w: frame of kind %d", ErrMalformed, kind)
		}
		x.mu.Lock()
		x.useless += cost
		flood := x.useless > maxUseless
		x.mu.Unlock()
		if flood {
			return ErrFlood
		}
	}
}

// learn takes in records and says how many bytes of them were no news.
func (x *exchange) learn(records []*Record) (useless int, err error) {
	before := x.Book.Roster()
	x.mu.Lock()
	for _, r := range records {
		if useless += recordCost; len(x.has) < 2*maxSet {
			x.has[r.ID] = true
		}
	}
	x.mu.Unlock()
	_, err = x.Book.mergeFor(x.Peer, records, x.over)
	if errors.Is(err, ErrFull) {
		err = nil // not the peer's fault
	}
	now := x.Book.Roster()
	for _, r := range records {
		if before.byID[r.ID] != nil || now.byID[r.ID] == nil {
			useless += len(r.raw)
		}
	}
	return useless, err
}

// write sends what the peer lacks, and stops when one of the two is no member
// any more.
func (x *exchange) write(changed <-chan struct{}) error {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	digest := x.Book.Roster().digest
	if err := x.send(frameDigest, digest[:]); err != nil {
		return err
	}
	for {
		r := x.Book.Roster()
		if err := x.compare(r); err != nil {
			return err
		}
		if err := x.Book.Check(x.Peer); err != nil {
			return x.refuse(reasonOf(err), err)
		}
		if x.synced {
			if err := x.push(r); err != nil {
				return err
			}
		}
		// A device that leaves has told so by now.
		if err := x.Book.Check(x.Book.self); errors.Is(err, ErrRevoked) {
			return err
		}
		select {
		case <-changed:
		case <-x.wake:
		case <-look.C:
			x.told = false
			x.mu.Lock()
			x.useless = 0
			x.mu.Unlock()
			if err := x.send(frameDigest, r.digest[:]); err != nil {
				return err
			}
		}
		if err := x.ended(); err != nil {
			return err
		}
	}
}

// compare acts on what the peer said of its set.
func (x *exchange) compare(r *Roster) error {
	x.mu.Lock()
	h := x.heard
	x.heard = heard{}
	x.mu.Unlock()
	tell := false
	if h.digest != nil {
		if now := [2][32]byte{r.digest, *h.digest}; now[0] == now[1] {
			x.note(r, nil)
		} else if now != x.before {
			tell, x.before = true, now
		}
	}
	if h.any {
		x.note(nil, h.ids)
		tell = true
	}
	if !tell || x.told {
		return nil
	}
	x.told = true
	if err := x.pay(len(r.ids)); err != nil {
		return err
	}
	b := make([]byte, 0, len(r.ids)*len(ID{}))
	for _, id := range r.ids {
		b = append(b, id[:]...)
	}
	return x.send(frameIDs, b)
}

// pay charges the peer for what is sent because of it.
func (x *exchange) pay(work int) error {
	wait := x.Book.charge(x.Peer, work)
	if wait <= 0 {
		return nil
	}
	select {
	case <-time.After(wait):
		return nil
	case <-x.over:
		return errStopped
	}
}

// note notes what the peer has, and nothing else: the records of a roster, or some ids.
// Where two sets are equal, as they mostly are, that costs the same whatever their size.
func (x *exchange) note(base *Roster, ids []ID) {
	has := make(map[ID]bool, len(ids))
	for _, id := range ids {
		has[id] = true
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.base, x.has = base, has
	x.synced = true
	x.pushed = base
}

// push sends what the peer lacks, each record after what it hangs on.
func (x *exchange) push(r *Roster) error {
	if x.pushed == r {
		return nil
	}
	var lacks []*Record
	x.mu.Lock()
	for _, rec := range r.records {
		if !x.has[rec.ID] && (x.base == nil || x.base.byID[rec.ID] == nil) {
			x.has[rec.ID] = true
			lacks = append(lacks, rec)
		}
	}
	x.mu.Unlock()
	x.pushed = r
	for len(lacks) > 0 {
		n, size := 0, 0
		for n < len(lacks) && (n == 0 || size+len(lacks[n].raw) <= batchBytes) {
			size += len(lacks[n].raw) + 4
			n++
		}
		if err := x.pay(n); err != nil {
			return err
		}
		if err := x.send(frameRecords, appendRecords(nil, lacks[:n])); err != nil {
			return err
		}
		lacks = lacks[n:]
	}
	return nil
}
