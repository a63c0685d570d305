package replica

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/datastore"
)

// Retention is how much of the logs is kept for peers that come back. What is
// cut reaches them as a whole state. Zero fields mean the defaults; a negative
// Spare leaves no log alone.
type Retention struct {
	// Age is how old an entry gets before it may be cut.
	Age time.Duration
	// Bytes is how large a dataset's log may get before entries younger than
	// Age are cut, if they are an hour old.
	Bytes int64
	// Spare is how large a log is left alone whatever its age.
	Spare int64
	// Every is how often each dataset is looked after.
	Every time.Duration
}

// DefaultRetention lets a device come back after a week without fetching the
// whole state, on disks of a few gigabytes.
var DefaultRetention = Retention{Age: 7 * 24 * time.Hour, Bytes: 256 << 20, Spare: 8 << 20, Every: time.Minute}

func (r Retention) orDefault() Retention {
	d := DefaultRetention
	if r.Age > 0 {
		d.Age = r.Age
	}
	if r.Bytes > 0 {
		d.Bytes = r.Bytes
	}
	if r.Spare != 0 {
		d.Spare = r.Spare
	}
	if r.Every > 0 {
		d.Every = r.Every
	}
	return d
}

// upkeep looks after the datasets until ctx ends: acks, tombstones, the length
// of the logs, and spaces that are of no use any more.
func (r *Replica) upkeep(ctx context.Context) {
	tick := time.NewTicker(r.retention.Every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-r.tidy:
			r.report("delete old state", r.deleteGarbage(ctx))
			continue
		case <-ctx.Done():
			return
		}
		r.Upkeep(ctx)
	}
}

// Upkeep does at once what Run does every Retention.Every.
func (r *Replica) Upkeep(ctx context.Context) {
	r.tending.Lock()
	defer r.tending.Unlock()
	r.report("delete old state", r.deleteGarbage(ctx))
	for _, d := range r.Datasets() {
		r.report("upkeep of dataset "+d.name, d.upkeep(ctx))
	}
}

func (r *Replica) report(what string, err error) {
	if err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, ErrClosed) && !errors.Is(err, datastore.ErrClosed) {
		r.log.Warn("cannot "+what+" now; will try again", "err", err)
	}
}

func (r *Replica) upkeepSoon() { signal(r.tidy) }

// deleteGarbage deletes the spaces that a join has left, or replaced.
func (r *Replica) deleteGarbage(ctx context.Context) error {
	for _, d := range r.Datasets() {
		if d.isJoining() {
			return nil // its space is garbage until it is adopted
		}
	}
	prefix := datastore.GarbagePrefix()
	var spaces []datastore.Space
	err := datastore.ScanPrefix(r.store, prefix, func(k, _ []byte) bool {
		var s datastore.Space
		copy(s[:], k[len(prefix):])
		spaces = append(spaces, s)
		return true
	})
	for _, s := range spaces {
		if err == nil {
			err = r.store.DeletePrefix(ctx, datastore.ObjectsPrefix(s))
		}
		if err == nil {
			var b datastore.Batch
			b.Delete(datastore.GarbageKey(s))
			err = r.store.Write(&b)
		}
		if err == nil {
			err = r.store.Compact(datastore.ObjectsPrefix(s))
		}
	}
	return err
}

func (d *Dataset) isJoining() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.joining
}

func (d *Dataset) isBroken() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.care.broken
}

// upkeep is one pass over the dataset.
func (d *Dataset) upkeep(ctx context.Context) error {
	logs, moved := d.endEpoch()
	if !moved {
		return nil
	}
	acks, stale, err := readAcks(d.r.store, d.id, logs)
	if err != nil {
		return err
	}
	if err := d.saveAcks(acks, stale); err != nil {
		return err
	}
	claim := d.advance(acks, logs)
	if err := d.acknowledge(claim); err != nil {
		return err
	}
	if err := d.sweep(ctx); err != nil {
		return err
	}
	return d.cutLogs(ctx, logs)
}

// endEpoch closes the epoch of deletions if there were any, and returns the
// durable logs. moved is false if there is nothing to look after.
func (d *Dataset) endEpoch() (logs map[crdt.Author]logState, moved bool) {
	d.r.cut.RLock()
	defer d.r.cut.RUnlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	logs = make(map[crdt.Author]logState, len(d.durable))
	var sum uint64
	for a, l := range d.durable {
		logs[a] = l
		sum += l.have + l.applied
	}
	moved = sum != d.tended || d.unacked || d.tombs || d.care.mayCut(d.r.now(), &d.r.retention)
	d.tended = sum
	if len(d.buried) > 0 {
		d.care.close(d.buried)
		d.buried = make(crdt.Version)
		d.ageCached()
		d.saveCare()
	}
	return logs, moved
}

// saveCare queues the upkeep row. d.mu is held, Replica.cut shared.
func (d *Dataset) saveCare() {
	d.extra = append(d.extra, row{datastore.UpkeepKey(d.id), d.care.append(nil)})
	d.r.queue.push(0, 0)
}

func (d *Dataset) saveAcks(acks map[crdt.Author]*ack, stale []crdt.Author) error {
	if len(stale) == 0 {
		return nil
	}
	var b datastore.Batch
	for _, a := range stale {
		id := a.Bytes()
		b.Put(datastore.AckKey(d.id, id[:]), acks[a].append(nil))
	}
	return d.r.store.Write(&b)
}

// advance finds out what is stable now. It returns what this replica may claim
// to be dead, if that is news.
func (d *Dataset) advance(acks map[crdt.Author]*ack, logs map[crdt.Author]logState) (claim summary) {
	d.r.cut.RLock()
	defer d.r.cut.RUnlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	counts := func(a crdt.Author) bool {
		h := hashAuthor(a)
		return logs[a].have > 0 && !d.retired[h] && d.forked[h] == nil
	}
	us := &ack{applied: make(crdt.Version, len(logs))}
	for a, l := range logs {
		us.applied[a] = l.applied
	}
	us.upto = logs[d.self].have
	acks[d.self] = us
	d.stable = stable(acks, func(a crdt.Author) bool { return a == d.self || counts(a) })
	moved := d.care.advance(d.stable, func(at crdt.Version) bool {
		want := summarize(at)
		for a := range acks {
			if a != d.self && counts(a) && !d.dead[hashAuthor(a)].dominates(want) {
				return false
			}
		}
		return true
	})
	if moved {
		d.ageCached()
		d.saveCare()
	}
	if d.dead[hashAuthor(d.self)].dominates(summarize(d.care.deadAt)) {
		return nil // we have said so
	}
	if len(d.care.closed) > 0 && d.care.closed[len(d.care.closed)-1].epoch > d.care.dead || len(d.buried) > 0 {
		return summarize(d.care.deadAt)
	}
	return summarize(d.stable) // whatever is deleted is dead
}

// acknowledge signs what we have applied, if nobody can know it from our other
// entries: when there are tombstones that wait for it, or when nobody knows yet
// that there is a replica to wait for.
func (d *Dataset) acknowledge(claim summary) error {
	d.mu.Lock()
	due := claim != nil || d.unacked && (d.tombs || d.logs[d.self].have == 0)
	d.mu.Unlock()
	if !due {
		return nil
	}
	return d.write(control{kind: controlAck, dead: claim})
}

func summarize(v crdt.Version) summary {
	s := make(summary, len(v))
	for a, seq := range v {
		if seq > 0 {
			s[hashAuthor(a)] = seq
		}
	}
	return s
}

// ageCached tells the objects in memory the present epoch. d.mu is held.
func (d *Dataset) ageCached() {
	for _, o := range d.cache.objects {
		if o.state != nil {
			o.state.Age(d.epochs())
		}
	}
}

// epochs is the horizon without anything to drop.
func (d *Dataset) epochs() crdt.Horizon {
	return crdt.Horizon{Epoch: d.care.epoch, Dead: d.care.dead}
}

// bury notes that ops are about to make tombstones. d.mu is held.
func (d *Dataset) bury(a crdt.Author, f crdt.Family, ops []crdt.Op) {
	for i := range ops {
		switch {
		case f == crdt.Sequence && ops[i].Kind == crdt.Delete:
			d.tombs = true
			d.buried[a] = ops[i].Seq
		case f == crdt.LWWMap && ops[i].Kind == crdt.Remove:
			d.tombs = true
			return
		case f != crdt.Sequence && f != crdt.LWWMap:
			return
		}
	}
}

// sweepShare is which share of the time may go to sweeping at most: one part of
// this many.
const sweepShare = 50

// sweepKeys is how many objects are aged between two looks at the queue.
const sweepKeys = 256

// sweep drops the tombstones that everybody has done with.
func (d *Dataset) sweep(ctx context.Context) error {
	began := d.r.now()
	d.mu.Lock()
	h := d.epochs()
	h.Stable, h.Gone = d.stable, d.care.gone
	h.Before = crdt.HLCFromTime(began.UnixMilli())
	due := d.tombs && !d.joining && !began.Before(d.nextSweep) &&
		(h.Gone > d.sweptGone || !d.swept.Dominates(d.stable))
	space := d.cache.space
	d.mu.Unlock()
	if !due {
		return nil
	}
	left, dropped := 0, 0
	for _, f := range []crdt.Family{crdt.LWWMap, crdt.Sequence} {
		from := datastore.FamilyPrefix(space, byte(f))
		for from != nil {
			keys, next, err := d.buriedKeys(f, from, datastore.After(datastore.FamilyPrefix(space, byte(f))))
			if err != nil {
				return err
			}
			n, m, err := d.age(ctx, f, keys, h)
			if err != nil {
				return err
			}
			dropped, left, from = dropped+n, left+m, next
		}
	}
	d.r.stats.TombstonesDropped.Add(uint64(dropped))
	now := d.r.now()
	d.mu.Lock()
	d.tombs = left > 0 || len(d.buried) > 0
	d.swept, d.sweptGone = h.Stable, h.Gone
	d.nextSweep = now.Add(sweepShare * now.Sub(began))
	d.mu.Unlock()
	if dropped > 0 {
		d.r.log.Debug("dropped tombstones", "dataset", d.name, "dropped", dropped, "left", left)
	}
	if dropped < compactAfter {
		return nil
	}
	if err := d.r.Sync(ctx); err != nil {
		return err
	}
	return d.r.store.Compact(datastore.ObjectsPrefix(space))
}

// compactAfter is how many dropped rows are worth a compaction.
const compactAfter = 10_000

// buriedKeys finds the next objects with tombstones, and where to go on.
func (d *Dataset) buriedKeys(f crdt.Family, from, limit []byte) (keys []Object, next []byte, err error) {
	last := ""
	err = d.r.store.Scan(from, limit, func(k, v []byte) bool {
		_, key, slot, ok := datastore.SplitObjectKey(k)
		if !ok || !crdt.RowHasTombstone(f, slot, v) || len(keys) > 0 && last == string(key) {
			return true
		}
		if len(keys) == sweepKeys {
			next = append([]byte(nil), k...)
			return false
		}
		last = string(key)
		keys = append(keys, Object{f, last})
		return true
	})
	return keys, next, err
}

// age drops tombstones of some objects, in memory and with the next commit on
// disk.
func (d *Dataset) age(ctx context.Context, f crdt.Family, keys []Object, h crdt.Horizon) (dropped, left int, err error) {
	if len(keys) == 0 {
		return 0, 0, nil
	}
	if err := d.r.queue.admit(ctx); err != nil {
		return 0, 0, err
	}
	objects, err := d.acquireAll(keys)
	if err != nil {
		return 0, 0, fmt.Errorf("age %d objects of %s: %w", len(keys), f, err)
	}
	defer d.release(objects...)
	if err := d.r.enter(); err != nil {
		return 0, 0, err
	}
	defer d.r.cut.RUnlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	if objects[0].cache != d.cache {
		return 0, 0, errStale
	}
	for _, o := range objects {
		n, m := o.state.Age(h)
		if left += m; n > 0 {
			dropped += n
			d.markDirty(o)
		}
	}
	d.r.queue.push(64*dropped, 0)
	return dropped, left, nil
}

// cutLogs forgets entries that are older than they need be. The objects have
// what they did, the acks what they said.
func (d *Dataset) cutLogs(ctx context.Context, logs map[crdt.Author]logState) error {
	size, err := d.r.store.SizeOf(datastore.EntryPrefix(d.id, nil))
	if err != nil {
		return err
	}
	now := d.r.now()
	d.r.cut.RLock()
	d.mu.Lock()
	var to crdt.Version
	if !d.joining { // a cut would have to wait
		marked := false
		if to, marked = d.care.cut(now, &d.r.retention, size, logs); marked {
			d.saveCare()
		}
	}
	d.mu.Unlock()
	d.r.cut.RUnlock()
	return d.cutTo(ctx, to, logs)
}

// cutTo cuts the logs behind a version that the objects have.
func (d *Dataset) cutTo(ctx context.Context, to crdt.Version, logs map[crdt.Author]logState) error {
	heads := make(map[crdt.Author]EntryID)
	for a, seq := range to {
		l := logs[a]
		if seq <= l.cut || seq > l.applied {
			delete(to, a)
			continue
		}
		l.applied = seq
		head, err := l.appliedHead(d.r.store, d.id, a)
		if err != nil {
			return err
		}
		heads[a] = head
	}
	if len(heads) == 0 {
		return nil
	}
	d.r.cut.RLock()
	d.mu.Lock()
	if d.joining {
		// The state under way is replayed from the log, behind what had been
		// applied when the join began: that part has to stay.
		clear(heads)
	}
	for a, head := range heads {
		if l := d.logs[a]; l.cut < to[a] {
			l.cut, l.cutHead = to[a], head
			d.logs[a] = l
			d.touched[a] = struct{}{}
		}
	}
	d.r.queue.push(0, 0)
	d.mu.Unlock()
	d.r.cut.RUnlock()
	if err := d.r.Sync(ctx); err != nil {
		return err
	}
	// The version rows say so now: what a crash leaves is deleted by the next
	// cut.
	for a := range heads {
		id := a.Bytes()
		err := d.r.store.DeleteRange(ctx, datastore.EntryPrefix(d.id, id[:]), datastore.EntryKey(d.id, id[:], to[a]+1))
		if err != nil {
			return err
		}
	}
	d.r.log.Debug("cut the log", "dataset", d.name, "authors", len(heads))
	return d.r.store.Compact(datastore.EntryPrefix(d.id, nil))
}
