package replica

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/datastore"
)

// Learned is what an entry was to this replica.
type Learned int

const (
	LearnedNothing Learned = iota // known already, or kept out
	LearnedNews                   // it is in the log now
	LearnedGap                    // something before it is missing
)

// Receive takes a gossip message of a topic: an entry, or the header of one
// that is too large for gossip. from is the peer that delivered it, who is
// asked for what is missing. token is what Validate returned for the message.
func (r *Replica) Receive(ctx context.Context, from string, token any) {
	e, ok := token.(*Entry)
	if !ok {
		return
	}
	d := r.dataset(e.Dataset)
	if d == nil {
		return
	}
	got, err := d.learn(ctx, e)
	if err != nil {
		r.log.Debug("cannot learn an entry", "dataset", d.name, "from", from, "err", err) // repair brings it
		return
	}
	if got == LearnedNews {
		d.noteClock(e)
	}
	if got == LearnedGap {
		wait := gapWait
		if e.headOnly {
			wait = 0 // nobody will gossip the rest
		}
		r.gap(d, from, wait)
	}
}

// noteClock compares the clock of an entry that was made just now with ours.
func (d *Dataset) noteClock(e *Entry) {
	ahead := time.Duration(e.Time.Millis()-d.r.now().UnixMilli()) * time.Millisecond
	d.mu.Lock()
	defer d.mu.Unlock()
	if ahead.Abs() > crdt.MaxSkew*time.Millisecond {
		d.clocks[e.Author] = ahead
	} else {
		delete(d.clocks, e.Author)
	}
}

// Verdict is what to do with a gossip message.
type Verdict int

const (
	Accept Verdict = iota // forward it
	Ignore                // do not forward it; nobody is to blame
	Reject                // do not forward it; the sender should have known
)

// Validate checks a gossip message of a dataset before it is forwarded: all
// that can be checked without history. It returns a token for Receive, so that
// a signature is verified once.
func (r *Replica) Validate(dataset DatasetID, message []byte) (Verdict, any) {
	r.stats.GossipIn.Add(uint64(len(message)))
	e, err := parseGossip(message)
	if err == nil {
		err = r.admit(dataset, e)
	}
	if err == nil && !e.headOnly {
		err = e.decodeBody(r.keys)
	}
	if err == nil && !r.mayStand(e) {
		err = errForeign
	}
	switch {
	case errors.Is(err, errForeign):
		r.stats.Ignored.Add(1)
		return Ignore, nil
	case err != nil:
		r.stats.Rejected.Add(1)
		r.log.Debug("rejected a gossip message", "err", err)
		return Reject, nil
	}
	return Accept, e
}

// admit refuses entries of other networks and datasets.
func (r *Replica) admit(dataset DatasetID, e *Entry) error {
	if e.Network != r.network || e.Dataset != dataset {
		return errForeign
	}
	return nil
}

// learn is the one door for entries of others. It answers what was news.
func (d *Dataset) learn(ctx context.Context, e *Entry) (Learned, error) {
	if d.knows(e) {
		return LearnedNothing, nil
	}
	if !e.headOnly {
		if err := e.decodeBody(d.r.keys); err != nil {
			return LearnedNothing, err
		}
	}
	if err := d.r.queue.admit(ctx); err != nil {
		return LearnedNothing, err
	}
	got, misfit := d.accept(e)
	if misfit != nil {
		d.accuse(misfit)
	}
	if got == LearnedNews {
		d.r.observe(e.Time)
		d.fulfil(ctx, e.Author)
		d.applyReady()
	}
	return got, nil
}

// knows reports whether the entry's place in its author's log is taken, and
// not by another one at the head, which would be a fork.
func (d *Dataset) knows(e *Entry) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := d.logs[e.Author]
	return e.Last() < l.have || e.ID == l.head
}

// accept puts the entry in the log if it is the author's next, and whatever
// was parked behind it. misfit is an entry that does not continue the log: one
// of two.
//
//	firstSeq ≤ have       known, or a fork
//	firstSeq = have+1     fits, if prev is the head
//	firstSeq > have+1     a gap: parked
//	lastSeq > stands      of an author that may not write: kept out
func (d *Dataset) accept(e *Entry) (got Learned, misfit *Entry) {
	d.r.cut.RLock()
	defer d.r.cut.RUnlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	if e.Author == d.self {
		if e.Last() > d.applied[d.self] {
			d.r.log.Error("a peer holds entries by this node that this node never wrote: "+
				"the data directory was copied or restored; writing on as a new replica", "dataset", d.name)
			d.r.queueRotation()
			return LearnedNothing, nil
		}
		return LearnedNothing, e // ours, or signed by a copy of us
	}
	if d.isForked(e.Author) {
		return LearnedNothing, nil
	}
	for next := e; next != nil; next = d.parked.takeAhead(e.Author, d.logs[e.Author].have+1) {
		switch l := d.logs[e.Author]; {
		case next.First <= l.have:
			if next.Last() > l.have || next.Last() == l.have && next.ID != l.head {
				return got, next
			}
			return got, nil
		case next.Last() > d.stands(e.Author):
			d.r.stats.Ignored.Add(1)
			return got, nil
		case next.First > l.have+1, next.headOnly:
			if !next.headOnly {
				d.parked.putAhead(next)
			}
			if got == LearnedNothing {
				got = LearnedGap
			}
			return got, nil
		case next.Prev != l.head:
			return got, next
		}
		if _, known := d.logs[e.Author]; !known {
			if len(d.logs) >= MaxDeps-1 { // one is ours
				d.r.stats.Ignored.Add(1)
				return got, nil
			}
			d.hashes[hashAuthor(e.Author)] = e.Author
		}
		l := d.logs[e.Author]
		l.have, l.head = next.Last(), next.ID
		d.logs[e.Author] = l
		d.learned = append(d.learned, next)
		d.touched[e.Author] = struct{}{}
		d.parked.push(next)
		d.vouch(next.Deps)
		d.r.queue.push(len(next.raw), len(next.raw))
		d.r.stats.EntriesRemote.Add(1)
		got = LearnedNews
	}
	return got, nil
}

// applyReady applies every entry of the log whose deps are met. It does not
// end with the stream that brought them: nobody would come back for the rest.
func (d *Dataset) applyReady() {
	for !d.r.queue.isClosed() {
		e, err := d.nextReady()
		if err == nil && e == nil {
			return
		}
		if err == nil {
			err = d.apply(e)
		}
		if err != nil {
			d.r.log.Error("cannot apply an entry", "dataset", d.name, "err", err)
			return
		}
	}
}

// applySpilled goes on with logs that are read back from disk, after a commit
// put more of them there.
func (d *Dataset) applySpilled() {
	d.mu.Lock()
	spilled := false
	for _, w := range d.parked.waiting {
		spilled = spilled || w.spilled && len(w.entries) == 0 && !w.locked
	}
	d.mu.Unlock()
	if spilled {
		d.applyReady()
	}
}

// nextReady finds an entry to apply.
func (d *Dataset) nextReady() (*Entry, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for a, w := range d.parked.waiting {
		if w.locked {
			continue
		}
		if len(w.entries) == 0 {
			if err := d.refill(a, w); err != nil {
				return nil, err
			}
			if len(w.entries) == 0 {
				continue
			}
		}
		if e := w.entries[0]; d.ready(e) {
			return e, nil
		}
	}
	return nil, nil
}

func (d *Dataset) ready(e *Entry) bool {
	return d.applied[e.Author]+1 == e.First && d.met(e.Deps)
}

// met reports whether the objects contain what an entry depends on. Of an author
// that forked nobody can say what that is.
func (d *Dataset) met(deps crdt.Version) bool {
	for a, seq := range deps {
		if d.applied[a] < seq && !d.isForked(a) {
			return false
		}
	}
	return true
}

// refillBytes is how much of a spilled log is read back at a time.
const refillBytes = 1 << 20

// refill reads an author's next waiting entries from disk.
func (d *Dataset) refill(a crdt.Author, w *waiting) error {
	id := a.Bytes()
	from, have := d.applied[a]+1, d.logs[a].have // rows behind have lie behind a hole
	size := 0
	var bad error
	err := d.r.store.Scan(datastore.EntryKey(d.id, id[:], from), datastore.EntryKey(d.id, id[:], have+1),
		func(_, v []byte) bool {
			e, _, err := splitEntry(append([]byte(nil), v...), false)
			if err == nil {
				err = e.decodeBody(d.r.keys)
			}
			if err != nil {
				bad = fmt.Errorf("entry of %s: %w: %w", a, err, datastore.ErrDamaged)
				return false
			}
			if e.locked() {
				w.locked = len(w.entries) == 0
				return false
			}
			w.entries = append(w.entries, e)
			size += len(v)
			d.parked.bytes += len(v)
			return size < refillBytes
		})
	if n := len(w.entries); n > 0 {
		w.spilled = w.entries[n-1].Last() < have
	}
	return errors.Join(err, bad)
}

// apply joins an entry's ops into their objects.
func (d *Dataset) apply(e *Entry) error {
	objects, err := d.acquireAll(e.objects())
	if err != nil {
		return err
	}
	defer d.release(objects...)
	d.r.cut.RLock()
	defer d.r.cut.RUnlock()
	d.applyTo(objects, e)
	return nil
}

// applyTo is apply with Replica.cut held. It does nothing if somebody was
// faster, or the objects are not the dataset's any more.
func (d *Dataset) applyTo(objects []*object, e *Entry) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.ready(e) || len(objects) > 0 && objects[0].cache != d.cache {
		return
	}
	for i := range e.groups {
		g := &e.groups[i]
		switch {
		case g.Family == familyControl:
			d.control(e, g.Raw)
			continue
		case g.Ops == nil:
			d.keep(e, g)
			continue
		}
		o := objects[0]
		objects = objects[1:]
		d.bury(e.Author, g.Family, g.Ops)
		for j := range g.Ops {
			if _, err := o.state.Apply(e.Author, &g.Ops[j], d.applied); err != nil {
				// The entry is signed and decodes, so every replica sees the
				// same op fail the same way and leaves it out.
				d.r.log.Warn("left out an op that makes no sense", "dataset", d.name, "author", e.Author, "err", err)
			}
		}
		d.markDirty(o, e.Author != d.self)
	}
	d.applied[e.Author] = e.Last()
	d.touched[e.Author] = struct{}{}
	if e.Author != d.self { // ours are read back after a join
		d.news[e.Author] = struct{}{}
		d.unacked = d.unacked || !e.isControl()
	}
	d.parked.pop(e.Author, e.Last() < d.logs[e.Author].have)
	d.r.queue.push(0, 0)
	d.r.stats.OpsRemote.Add(e.Count)
}
