package replica

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
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
	// Every is how often each dataset is looked after, on the average.
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

// gate is a lock that is held for long, while others wait for the disk.
type gate chan struct{}

func (g gate) Lock()   { g <- struct{}{} }
func (g gate) Unlock() { <-g }

// upkeep looks after the datasets until ctx ends: acks, tombstones, the length
// of the logs, and spaces that are of no use any more.
func (r *Replica) upkeep(ctx context.Context) {
	self := r.Author().Bytes() // what happens by a seed happens again by it
	random := rand.New(rand.NewPCG(binary.BigEndian.Uint64(self[:]), binary.BigEndian.Uint64(self[len(self)-8:])))
	next := time.NewTimer(spread(r.retention.Every, random))
	defer next.Stop()
	for {
		select {
		case <-next.C:
			next.Reset(spread(r.retention.Every, random))
		case <-r.tidy:
			r.tending.Lock()
			r.report("delete old state", r.deleteGarbage(ctx))
			r.tending.Unlock()
			for _, d := range r.Datasets() {
				d.giveUpExcess()
			}
			continue
		case <-ctx.Done():
			return
		}
		r.Upkeep(ctx)
	}
}

// spread is a random time around d, half of it to one and a half: nodes that
// share a machine, or a power switch, started together and would all read their
// logs at the same moment.
func spread(d time.Duration, random *rand.Rand) time.Duration {
	return d/2 + time.Duration(random.Int64N(int64(max(d, 1))))
}

// Upkeep does at once what Run does every Retention.Every.
func (r *Replica) Upkeep(ctx context.Context) {
	r.tending.Lock()
	r.report("delete old state", r.deleteGarbage(ctx))
	for _, d := range r.Datasets() {
		r.report("upkeep of dataset "+d.name, d.upkeep(ctx))
	}
	compact := r.compact
	r.compact = nil
	r.tending.Unlock()
	for _, prefix := range compact {
		r.report("compact the store", r.compactNow(ctx, prefix))
	}
}

// compactNow returns when it is done or ctx ends; the store ends it when it is
// closed.
func (r *Replica) compactNow(ctx context.Context, prefix []byte) error {
	done := make(chan error, 1)
	go func() { done <- r.store.Compact(prefix) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *Replica) report(what string, err error) {
	if err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, ErrClosed) && !errors.Is(err, datastore.ErrClosed) {
		r.log.Warn("cannot "+what+" now; will try again", "err", err)
	}
}

func (r *Replica) upkeepSoon() { signal(r.tidy) }

// deleteGarbage deletes the spaces that a join has left, or replaced. tending is
// held, so that none begins meanwhile.
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
			err = r.store.DeletePrefix(ctx, datastore.ShownKey(s, nil))
		}
		if err == nil {
			var b datastore.Batch
			b.Delete(datastore.GarbageKey(s))
			err = r.store.Write(&b)
		}
		if err == nil {
			r.compact = append(r.compact, datastore.ObjectsPrefix(s))
		}
	}
	return r.beside(err)
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
	if err := d.survey(); err != nil {
		return err
	}
	d.giveUpExcess()
	logs, moved := d.endEpoch()
	if !moved {
		return nil
	}
	counts := d.waitedFor(logs)
	low, err := d.readStable(ctx, logs, counts)
	if err != nil {
		return err
	}
	claim := d.advance(low, counts)
	if err := d.acknowledge(claim); err != nil {
		return err
	}
	if err := d.sweep(ctx); err != nil {
		return err
	}
	return d.cutLogs(ctx, logs)
}

// survey looks once, after a start, whether there are tombstones at all. If so,
// the epoch that goes on may have deletions from before, whose ops nobody
// remembers: it is taken to have all that is applied.
func (d *Dataset) survey() error {
	d.mu.Lock()
	due := !d.surveyed
	space := d.cache.space
	d.mu.Unlock()
	if !due {
		return nil
	}
	found := false
	for _, f := range []crdt.Family{crdt.LWWMap, crdt.Sequence} {
		if err := datastore.ScanPrefix(d.r.store, datastore.FamilyPrefix(space, byte(f)), func(k, v []byte) bool {
			_, _, slot, ok := datastore.SplitObjectKey(k)
			found = found || ok && crdt.RowHasTombstone(f, slot, v)
			return !found
		}); err != nil {
			return err
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.surveyed = true
	if found {
		d.buried.Merge(d.applied)
	}
	d.tombs = found || len(d.buried) > 0
	return nil
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

// waitedFor are the authors, besides ours, whose acks are waited for.
func (d *Dataset) waitedFor(logs map[crdt.Author]logState) map[crdt.Author]bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	counts := make(map[crdt.Author]bool, len(logs))
	for a, l := range logs {
		if a != d.self && l.have > 0 && !d.retired[d.hash(a)] && !d.isForked(a) && !d.isBarred(a) {
			counts[a] = true
		}
	}
	return counts
}

// readStable brings the ack rows up to date and returns what all of counts, and we,
// have applied. The rows are read one after another, without a lock.
func (d *Dataset) readStable(ctx context.Context, logs map[crdt.Author]logState, counts map[crdt.Author]bool) (crdt.Version, error) {
	self := d.r.Author()
	us := &ack{applied: make(crdt.Version, len(logs)), upto: logs[self].have}
	for a, l := range logs {
		us.applied[a] = l.applied
	}
	var low stability
	low.add(self, us)
	var b datastore.Batch
	flush := func(most int) error {
		if b.Size() <= most || b.Len() == 0 {
			return nil
		}
		err := d.r.beside(d.r.store.Write(&b))
		b.Reset()
		return err
	}
	for a, l := range logs {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		k, stale, err := readAck(d.r.store, d.id, a, l)
		if err != nil {
			return nil, err
		}
		if counts[a] {
			low.add(a, k)
		}
		if stale {
			id := a.Bytes()
			b.Put(datastore.AckKey(d.id, id[:]), k.append(nil))
		}
		if err := flush(joinBatch); err != nil {
			return nil, err
		}
	}
	return low.low, flush(0)
}

// advance goes by what is stable now. It returns what this replica may claim to be
// dead, if that is news.
func (d *Dataset) advance(low crdt.Version, counts map[crdt.Author]bool) (claim summary) {
	d.r.cut.RLock()
	defer d.r.cut.RUnlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stable = low
	moved := d.care.advance(d.stable, func(at crdt.Version) bool {
		// Alone, we keep the deleted as long as the log that tells of it: who comes
		// first reads that log piece by piece, and writes in between.
		if len(counts) == 0 && !d.isCut(at) {
			return false
		}
		want := summarize(at)
		for a := range counts {
			if !d.dead[d.hash(a)].dominates(want) {
				return false
			}
		}
		return true
	})
	if moved {
		d.ageCached()
		d.saveCare()
	}
	if d.dead[d.hash(d.self)].dominates(summarize(d.care.deadAt)) {
		return nil // we have said so
	}
	if len(d.care.closed) > 0 && d.care.closed[len(d.care.closed)-1].epoch > d.care.dead || len(d.buried) > 0 {
		return summarize(d.care.deadAt)
	}
	return summarize(d.stable) // whatever is deleted is dead
}

// isCut reports whether the log that led to a version is gone. d.mu is held.
func (d *Dataset) isCut(at crdt.Version) bool {
	for a, seq := range at {
		if d.durable[a].cut < seq {
			return false
		}
	}
	return true
}

// acknowledge signs what we have applied, if nobody can know it from our other
// entries: when there are tombstones that wait for it, or when nobody knows yet
// that there is a replica to wait for.
func (d *Dataset) acknowledge(claim summary) error {
	d.mu.Lock()
	due := (claim != nil || d.unacked && (d.tombs || d.logs[d.self].have == 0)) && d.mayWrite() == nil
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
