package replica

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"time"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/datastore"
)

// What stands of an author's log, in a network that does not let everybody
// write, is the same on every replica in the end:
//
//	log  ├──────────────────────┼───────────────────┤┄┄┄┄┄┄┄┄┄┄┄┄
//	      Authorize: all, or what  vouched: what an    never taken
//	      the revoker had of it    accepted entry has
//	                               in its deps
//
// A writer that hears that an author may not write any more takes no more of it,
// and vouches with its next entry for what it had applied by then. Who cannot
// vouch, and applied more than stands, takes a peer's state instead of its own.

var (
	// ErrReadOnly means that the network does not let this node write.
	ErrReadOnly = errors.New("replica: the network does not let this node write: see numax-node members ls")

	errTooMuch = errors.New("the state has more of a revoked author than stands")
)

// vouchPatience is how long a replica that cannot vouch waits for others to do
// so, before it gives up what it applied.
const vouchPatience = 10 * time.Second

// Reauthorize is to be called when Authorize, Keys or MayRead say something else
// than before. It returns when no more is taken of authors that may not write.
func (r *Replica) Reauthorize(ctx context.Context) error {
	var errs []error // what is damaged in one dataset does not let anybody write to the others
	for _, d := range r.Datasets() {
		// What has to be read of the logs is read before anybody waits for it.
		if _, err := d.readStable(ctx, d.diskLogs(), nil); err != nil {
			errs = append(errs, fmt.Errorf("replica: dataset %q: %w", d.name, err))
		}
		if err := r.exclusively(ctx, d.reauthorize); err != nil {
			errs = append(errs, fmt.Errorf("replica: dataset %q: %w", d.name, err))
		}
		d.applyReady(ctx)
	}
	r.eachSession(func(s *session) { s.moved() })
	return errors.Join(errs...)
}

// diskLogs is a copy of what is on disk of each log.
func (d *Dataset) diskLogs() map[crdt.Author]logState {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.durable)
}

// reauthorize cuts logs off where they stand. Replica.cut is held whole and
// nothing is on its way to disk.
func (d *Dataset) reauthorize(ctx context.Context) error {
	if err := d.loadVouched(); err != nil {
		return err
	}
	d.mu.Lock()
	d.parked.unlock()
	writer := d.mayWrite() == nil
	if !writer && d.isPutOut() {
		d.r.queueRotation()
	}
	excess := make(map[crdt.Author]logState)
	vouch := false
	for a, l := range d.durable {
		if a == d.self || l.have <= d.stands(a) {
			continue
		}
		d.parked.dropAhead(a)
		if writer && l.applied > d.stands(a) {
			d.vouched[a] = l.applied
			d.news[a] = struct{}{}
			vouch = true
		}
		if keep := max(d.stands(a), l.applied); keep < l.have {
			excess[a] = l
		}
	}
	d.mu.Unlock()
	for a, l := range excess {
		if err := d.truncate(ctx, a, l); err != nil {
			return err
		}
	}
	if vouch {
		d.mu.Lock()
		d.queueControl(control{kind: controlAck})
		d.mu.Unlock()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.excess.IsZero() && d.hasExcess() {
		d.excess = d.r.now()
		time.AfterFunc(vouchPatience, d.r.upkeepSoon)
	}
	return nil
}

// isPutOut reports whether our author is to be let go of: somebody let us in
// again, under another replica id than was put out, or others do not take all of
// its log, which is then treated as anybody's. d.mu is held.
func (d *Dataset) isPutOut() bool {
	if d.r.authorize == nil {
		return false
	}
	return d.isWriter(d.r.authorOf(make([]byte, replicaIDSize))) || d.durable[d.self].have > d.stands(d.self)
}

// truncate drops what is not applied of an author's log, and stands not.
func (d *Dataset) truncate(ctx context.Context, a crdt.Author, l logState) error {
	d.mu.Lock()
	keep := max(d.stands(a), l.applied)
	d.mu.Unlock()
	id := a.Bytes()
	var b datastore.Batch
	last, head := l.applied, l.logHead
	applied, err := l.appliedHead(d.r.store, d.id, a)
	if err != nil {
		return err
	}
	head.head = applied
	var bad error
	err = d.r.store.Scan(datastore.EntryKey(d.id, id[:], l.applied+1), datastore.After(datastore.EntryPrefix(d.id, id[:])), func(k, v []byte) bool {
		var h Header
		if h, bad = storedHeader(v); bad != nil {
			return false
		}
		if h.Last() > keep {
			b.Delete(append([]byte(nil), k...))
			return true
		}
		last = h.Last()
		head.head, bad = storedID(v)
		return bad == nil
	})
	if err == nil && bad != nil {
		err = fmt.Errorf("entry of %s: %w: %w", a, bad, datastore.ErrDamaged)
	}
	if err != nil {
		return err
	}
	head.have = last
	short := logState{head, l.applied}
	b.Put(datastore.VersionKey(d.id, id[:]), short.append(nil))
	if err := d.r.write(ctx, &b); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.parked.forget(a)
	d.restore(a, short)
	if short.applied < short.have {
		d.parked.stored(a)
	}
	d.digestValid = false
	return nil
}

// stands is the last op of an author that is taken. d.mu is held.
func (d *Dataset) stands(a crdt.Author) uint64 {
	if d.r.authorize == nil {
		return math.MaxUint64
	}
	return max(d.r.authorize(d.id, a), d.vouched[a])
}

// isWriter reports whether an author may write.
func (d *Dataset) isWriter(a crdt.Author) bool {
	return d.r.authorize == nil || d.r.authorize(d.id, a) == math.MaxUint64
}

// mayWrite says why not, if not. d.mu is held.
func (d *Dataset) mayWrite() error {
	if !d.isWriter(d.self) {
		return ErrReadOnly
	}
	if !d.r.haveKey() {
		return ErrNoKey
	}
	return nil
}

// vouch notes what an accepted entry has in its deps. d.mu is held.
func (d *Dataset) vouch(deps crdt.Version) {
	if d.r.authorize != nil {
		d.vouched.Merge(deps)
	}
}

// loadVouched finds out anew what accepted entries vouch for: those of authors
// that may write, and those that stand thereby, and so on.
func (d *Dataset) loadVouched() error {
	if d.r.authorize == nil {
		return nil
	}
	logs := make(map[crdt.Author]logState, len(d.durable))
	barred := false
	for a, l := range d.durable {
		l.applied = l.have // an entry that waits for what it depends on vouches for it
		logs[a] = l
		barred = barred || !d.isWriter(a)
	}
	if !barred { // nobody needs a voucher, and to read the logs would take its time
		return nil
	}
	vouched := make(crdt.Version)
	counted := make(map[crdt.Author]uint64) // up to where deps are in vouched
	for more := true; more; {
		more = false
		for a, l := range logs {
			upto := min(l.have, max(d.r.authorize(d.id, a), vouched[a]))
			if upto <= counted[a] {
				continue
			}
			deps, err := &ack{upto: l.cut, applied: make(crdt.Version)}, error(nil)
			if upto < l.have {
				err = deps.follow(d.r.store, d.id, a, upto)
			} else {
				deps, _, err = readAck(d.r.store, d.id, a, l)
			}
			if err != nil {
				return err
			}
			vouched.Merge(deps.applied)
			counted[a], more = upto, true
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.vouched = vouched
	return nil
}

// hasExcess reports whether the objects contain more than stands. d.mu is held.
func (d *Dataset) hasExcess() bool {
	if d.r.authorize == nil {
		return false
	}
	for a, l := range d.durable {
		if a != d.self && l.applied > d.stands(a) {
			return true
		}
	}
	return false
}

// isBarred reports whether all that stands of an author that may not write any
// more is applied: there is nothing to wait for. d.mu is held.
func (d *Dataset) isBarred(a crdt.Author) bool {
	stands := d.stands(a)
	return stands != math.MaxUint64 && d.applied[a] >= stands
}

// mayStand is for those who do not hold d.mu.
func (r *Replica) mayStand(e *Entry) bool {
	d := r.dataset(e.Dataset)
	if d == nil || r.authorize == nil {
		return true
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return e.Last() <= d.stands(e.Author)
}

// checkStanding refuses a state that has more than stands, by what we know and by
// what it says its authors vouch for. d.mu is held.
func (d *Dataset) checkStanding(s *stateReader) error {
	if d.r.authorize == nil {
		return nil
	}
	vouched := make(crdt.Version)
	for _, k := range s.acks {
		vouched.Merge(k.applied)
	}
	for a, l := range s.manifest.logs {
		if a != d.self && l.have > max(d.stands(a), vouched[a]) {
			return fmt.Errorf("%w: %s", errTooMuch, a)
		}
	}
	return nil
}

// giveUpExcess has the objects replaced by a peer's, if they still contain what
// nobody has vouched for.
func (d *Dataset) giveUpExcess() {
	d.r.cut.RLock()
	defer d.r.cut.RUnlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.care.broken {
		return
	}
	switch {
	case !d.hasExcess():
		d.excess = time.Time{}
	case d.excess.IsZero():
		d.excess = d.r.now()
	case d.r.now().Sub(d.excess) >= vouchPatience:
		d.r.log.Warn("this node applied ops of a revoked author that nobody vouches for; a peer's state will replace its own", "dataset", d.name)
		d.care.broken = true
		d.saveCare()
		d.r.eachSession(func(s *session) { s.moved() })
	}
}
