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
// that can be checked without history. from is the peer that delivered it. It
// returns a token for Receive, so that a signature is verified once.
func (r *Replica) Validate(from string, dataset DatasetID, message []byte) (Verdict, any) {
	r.stats.GossipIn.Add(uint64(len(message)))
	e, header, err := splitGossip(message)
	if err == nil {
		err = r.admit(dataset, e)
	}
	if err == nil && !r.mayStand(e) {
		err = errForeign
	}
	if err == nil {
		err = r.check(from, e, header)
		e.shed() // nobody knows for how long it waits now
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

// learn is the one door for entries of others. It answers what was news.
func (d *Dataset) learn(ctx context.Context, e *Entry) (Learned, error) {
	if d.knows(e) {
		e.shed()
		return LearnedNothing, nil
	}
	if err := d.r.queue.admitRemote(ctx); err != nil {
		e.shed()
		return LearnedNothing, err
	}
	got, misfit := d.accept(e)
	if got == LearnedNothing { // else it is parked, or in the log
		e.shed()
	}
	if misfit != nil {
		d.accuse(misfit)
	}
	if got == LearnedNews {
		d.r.observe(e.Time)
		d.fulfil(ctx, e.Author)
		d.applyReady(ctx)
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
			if !d.hasRoom(e.Author) {
				d.refuse(e.Author)
				return got, nil
			}
			d.addLog(e.Author)
		}
		l := d.logs[e.Author]
		l.have, l.head = next.Last(), next.ID
		d.logs[e.Author] = l
		d.learned = append(d.learned, next)
		d.touched[e.Author] = struct{}{}
		d.parked.push(next, d.r.lacksKey(next))
		d.vouch(next.Deps)
		d.r.queue.pushRemote(len(next.raw), len(next.raw))
		d.r.stats.EntriesRemote.Add(1)
		got = LearnedNews
	}
	return got, nil
}

// applyReady applies every entry of the log whose deps are met, as fast as the
// disk takes them. It ends early with ctx: the next commit, or the next entry, goes
// on.
func (d *Dataset) applyReady(ctx context.Context) {
	for {
		if err := d.r.queue.admitRemote(ctx); err != nil {
			return
		}
		if more := d.applyNext(); !more {
			return
		}
	}
}

// applyMore is applyReady for the committer, which must not wait for itself.
func (d *Dataset) applyMore() {
	for d.r.queue.hasRoom() && d.applyNext() {
	}
}

// applyNext applies one entry, if one can be.
func (d *Dataset) applyNext() (more bool) {
	e, err := d.nextReady(false)
	if err == nil && e != nil {
		err = d.apply(e)
		d.mu.Lock()
		d.parked.settle(e.Author)
		d.mu.Unlock()
	}
	if err != nil {
		d.r.log.Error("cannot apply an entry", "dataset", d.name, "err", err)
	}
	return err == nil && e != nil
}

// nextReady finds an entry to apply, and decodes it. Nobody else is given another
// of that author before it is settled. While a replay goes on, nobody else is given
// any: our own log must be applied whole before the next local write.
func (d *Dataset) nextReady(replay bool) (*Entry, error) {
	for {
		d.mu.Lock()
		if d.replaying != replay {
			d.mu.Unlock()
			return nil, nil
		}
		a, e, ok := d.parked.take(d.applied, d.met)
		from, have := d.applied[a]+1, d.logs[a].have
		d.mu.Unlock()
		if !ok {
			return nil, nil
		}
		var err error
		if e != nil {
			err = d.r.decode(e)
		} else {
			err = d.refill(a, from, have)
		}
		switch {
		case err == nil && e != nil && e.groups == nil: // the key was taken away
			d.mu.Lock()
			d.parked.lock(a)
			d.mu.Unlock()
		case err == nil && e != nil:
			return e, nil
		case err != nil:
			d.mu.Lock()
			if w := d.parked.waiting[a]; w != nil {
				w.taken = false
			}
			d.mu.Unlock()
			return nil, err
		}
	}
}

// met reports whether the objects contain an op that an entry depends on. Of an
// author that forked nobody can say what that is. d.mu is held.
func (d *Dataset) met(dep crdt.Dot) bool {
	return d.applied[dep.Author] >= dep.Seq || d.isForked(dep.Author)
}

func (d *Dataset) ready(e *Entry) bool {
	if d.applied[e.Author]+1 != e.First {
		return false
	}
	for a, seq := range e.Deps {
		if !d.met(crdt.Dot{Author: a, Seq: seq}) {
			return false
		}
	}
	return true
}

// refillBytes is how much of a spilled log is read back at a time.
const refillBytes = 1 << 20

// refill reads an author's next waiting entries from disk: from its applied ops to
// its last. Rows behind that lie behind a hole.
func (d *Dataset) refill(a crdt.Author, from, have uint64) error {
	id := a.Bytes()
	var entries []*Entry
	size, locked := 0, false
	var bad error
	err := d.r.store.Scan(datastore.EntryKey(d.id, id[:], from), datastore.EntryKey(d.id, id[:], have+1),
		func(_, v []byte) bool {
			e, _, err := splitEntry(append([]byte(nil), v...), false)
			if err != nil {
				bad = fmt.Errorf("entry of %s: %w: %w", a, err, datastore.ErrDamaged)
				return false
			}
			if d.r.lacksKey(e) {
				locked = true
				return false
			}
			entries = append(entries, e)
			size += e.footprint()
			return size < refillBytes
		})
	d.mu.Lock()
	defer d.mu.Unlock()
	w := d.parked.waiting[a]
	if w == nil {
		return errors.Join(err, bad)
	}
	w.taken = false
	if len(w.entries) > 0 || d.applied[a]+1 != from {
		d.parked.ready[a] = struct{}{}
		return errors.Join(err, bad)
	}
	for _, e := range entries {
		d.parked.bytes += e.footprint()
	}
	w.entries, w.looked, w.unmet = entries, false, nil
	switch n := len(entries); {
	case n > 0:
		w.spilled = entries[n-1].Last() < d.logs[a].have
		d.parked.ready[a] = struct{}{}
	case locked:
		w.locked = true
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
	d.parked.advanced(e.Author, d.applied[e.Author])
	d.r.queue.pushRemote(e.work(), 0)
	d.r.stats.OpsRemote.Add(e.Count)
	e.shed()
}
