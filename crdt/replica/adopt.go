package replica

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/datastore"
)

// adopt makes a joined state the dataset's. Replica.cut is held whole and
// nothing is on its way to disk. One batch makes the change; what our log has
// beyond the state is then applied to it, so that no local write is missing when
// the lock is given back.
//
//	log of author a, ours:   ─────────── have             keeps its entries
//	state:                   ───── V[a]
//
//	log of author a, ours:   ─── have                     is empty now, and begins
//	state:                   ─────────── V[a]             behind V[a]
func (d *Dataset) adopt(ctx context.Context, j *join) error {
	d.mu.Lock()
	logs, err := d.joinedLogs(j)
	if err == nil {
		err = d.checkStanding(j.state)
	}
	self, ours := d.self, d.durable[d.self]
	given := d.givenUp(j)
	d.mu.Unlock()
	if err != nil {
		return err
	}
	other, err := d.parts(self, ours, j.state.manifest.logs[self])
	if err != nil {
		return err
	}
	var b datastore.Batch
	b.Put(datastore.SpaceKey(d.id), j.space[:])
	b.Delete(datastore.GarbageKey(j.space))
	b.Put(datastore.GarbageKey(d.cache.space), nil)
	for a, l := range logs {
		id := a.Bytes()
		b.Put(datastore.VersionKey(d.id, id[:]), l.append(nil))
		if l.have == 0 {
			b.Delete(datastore.AckKey(d.id, id[:]))
		}
	}
	if err := d.keepHeads(&b, j, logs); err != nil {
		return err
	}
	for a := range given {
		if err := d.deleteFrom(&b, a, logs[a].have+1); err != nil {
			return err
		}
	}
	for a, k := range j.state.acks {
		if a == self {
			continue // nobody else says what we applied
		}
		have, _, err := readAck(d.r.store, d.id, a, d.durable[a])
		if err != nil {
			return err
		}
		// An ack beyond the log that replaces one would spoil every state that is
		// made from here.
		if have.upto < k.upto || given[a] {
			id := a.Bytes()
			b.Put(datastore.AckKey(d.id, id[:]), k.append(nil))
		}
	}
	d.mu.Lock()
	for a := range logs {
		d.hashes[hashAuthor(a)] = a // facts are about those that are known
	}
	for _, f := range j.state.facts {
		if err := d.learnFact(f.key, f.value, false); err != nil {
			d.r.log.Warn("left out a fact of a state that makes no sense", "dataset", d.name, "err", err)
			continue
		}
		b.Put(append(datastore.FactsPrefix(d.id), f.key...), f.value)
	}
	d.care.joined(j.state.manifest.epoch, logs)
	b.Put(datastore.UpkeepKey(d.id), d.care.append(nil))
	other = other || d.isForked(self)
	d.mu.Unlock()
	if other {
		d.r.becomeNew(&b)
	}
	if err := d.r.write(ctx, &b); err != nil {
		return err
	}
	d.r.stats.StatesJoined.Add(1)
	d.use(j, logs)
	defer func() {
		d.mu.Lock()
		d.replaying = false
		d.mu.Unlock()
	}()
	if err := d.loadVouched(); err != nil {
		return err
	}
	if err := d.replay(ctx); err != nil {
		return err
	}
	d.mu.Lock()
	d.ageCached() // what we signed to be dead must not be an origin of our next op
	d.mu.Unlock()
	d.r.log.Info("joined the state of another replica", "dataset", d.name, "of", j.state.manifest.author, "authors", len(logs))
	return nil
}

// keepHeads keeps the heads of the logs that the state moves on. A head that ours
// had when it came was not kept: it is still in our log, which may have grown since.
func (d *Dataset) keepHeads(b *datastore.Batch, j *join, logs map[crdt.Author]logState) error {
	for a, theirs := range j.state.manifest.logs {
		l := logs[a]
		if l.cut != theirs.have || l.cutHead != theirs.head {
			continue
		}
		id := a.Bytes()
		ours := d.durable[a]
		ours.applied = theirs.have
		signed, err := ours.signedHead(d.r.store, d.id, a)
		if _, shown := j.heads[a]; shown {
			signed, err = d.r.store.Get(datastore.ShownKey(j.space, id[:]))
		}
		if err != nil {
			return err
		}
		b.Put(datastore.HeadKey(d.id, id[:]), signed)
	}
	return nil
}

// joinedLogs is where every author's log is after the join. d.mu is held.
func (d *Dataset) joinedLogs(j *join) (map[crdt.Author]logState, error) {
	version, given := j.version(), d.givenUp(j)
	logs := make(map[crdt.Author]logState, len(version))
	for a, l := range d.durable {
		if j.replace && l.cut > version[a] && !given[a] {
			return nil, fmt.Errorf("dataset %q: %w", d.name, ErrBehind)
		}
		l.applied = min(version[a], l.have)
		if given[a] {
			l = logState{} // what the other side has of it is all we have, then
		}
		logs[a] = l
	}
	for a, theirs := range j.state.manifest.logs {
		l, known := logs[a]
		if !known && len(logs) >= MaxDeps-1 {
			return nil, fmt.Errorf("dataset %q: more than %d authors", d.name, MaxDeps-1)
		}
		if theirs.have > l.have {
			l.logHead = logHead{have: theirs.have, head: theirs.head, cut: theirs.have, cutHead: theirs.head}
			l.applied = theirs.have
			logs[a] = l
		}
	}
	return logs, nil
}

// givenUp are the authors whose log here is worth nothing beside the other side's:
// those that forked, and those of whom we have more than stands. d.mu is held.
func (d *Dataset) givenUp(j *join) map[crdt.Author]bool {
	given := make(map[crdt.Author]bool)
	for a, l := range d.durable {
		given[a] = j.replace && (d.isForked(a) || a != d.self && l.have > d.stands(a))
	}
	maps.DeleteFunc(given, func(_ crdt.Author, is bool) bool { return !is })
	return given
}

// deleteFrom deletes an author's entries from seq on.
func (d *Dataset) deleteFrom(b *datastore.Batch, a crdt.Author, seq uint64) error {
	id := a.Bytes()
	return d.r.store.Scan(datastore.EntryKey(d.id, id[:], seq), datastore.After(datastore.EntryPrefix(d.id, id[:])), func(k, _ []byte) bool {
		b.Delete(append([]byte(nil), k...))
		return true
	})
}

// parts reports whether a log of our author that another replica has is not the
// beginning of ours: somebody else writes as we do.
//
//	ours:    ─── cut ──── entry ──── entry ──── have
//	theirs:                   ↑ ends here, with that entry; or not
func (d *Dataset) parts(a crdt.Author, ours logState, theirs logHead) (bool, error) {
	switch {
	case theirs.have < ours.cut || theirs.have == 0:
		return false, nil // nobody can tell any more
	case theirs.have >= ours.have:
		return theirs.have > ours.have || theirs.head != ours.head, nil
	}
	ours.applied = theirs.have
	head, err := ours.appliedHead(d.r.store, d.id, a)
	if errors.Is(err, datastore.ErrNotFound) {
		return true, nil
	}
	return head != theirs.head, err
}

// use takes the new state in memory.
func (d *Dataset) use(j *join, logs map[crdt.Author]logState) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cache = newCache(d, j.space)
	d.rank = max(d.rank, j.rank)
	d.parked.forgetAll()
	d.replaying = true
	for a, l := range logs {
		d.restore(a, l)
		if l.applied < l.have {
			d.parked.stored(a)
		}
	}
	d.digestValid = false
	d.tombs = true // theirs
	for w := range d.watches {
		w.overflow = true
		signal(w.wake)
	}
}

// replayObjects is how many changed objects replay keeps in memory.
const replayObjects = 1 << 14

// replay applies what the log has beyond the state. Replica.cut is held whole.
func (d *Dataset) replay(ctx context.Context) error {
	for {
		e, err := d.nextReady(true)
		if err != nil || e == nil {
			return err
		}
		objects, err := d.acquireAll(e.objects())
		if err != nil {
			return err
		}
		d.applyTo(objects, e)
		d.release(objects...)
		d.mu.Lock()
		d.parked.settle(e.Author)
		d.mu.Unlock()
		if len(d.dirty) > replayObjects || !d.r.queue.hasRoom() {
			if err := d.r.put(ctx, d.r.cutBatch()); err != nil {
				return err
			}
		}
	}
}

// exclusively runs f in the committer, with Replica.cut held whole and nothing
// on its way to disk.
func (r *Replica) exclusively(ctx context.Context, f func(context.Context) error) error {
	done := make(chan error, 1)
	select {
	case r.exclusive <- exclusive{f, done}:
	case <-r.queue.over:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	return <-done
}

type exclusive struct {
	run  func(context.Context) error
	done chan<- error
}
