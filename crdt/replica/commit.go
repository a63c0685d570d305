package replica

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/datastore"
)

// Retry times of a commit that fails.
const (
	minRetry = 100 * time.Millisecond
	maxRetry = 5 * time.Second
)

// commitLoop is the one writer of the store. A failed commit is retried until
// it succeeds: the batch is the same each time, so it does not matter how much
// of a failed attempt is on disk, and nothing that was accepted is lost.
// Meanwhile new writes get ErrBusy and reads go on.
func (r *Replica) commitLoop(ctx context.Context) error {
	defer r.queue.end()
	var load load
	for {
		select {
		case <-r.queue.wake:
		case x := <-r.exclusive:
			fatal, err := r.commitThen(ctx, x.run)
			x.done <- err
			if fatal {
				r.closeQueue()
				return err
			}
			continue
		case <-ctx.Done():
			r.closeQueue()
			return r.lastCommit()
		}
		r.gather(ctx, load.window())
		ops, entries, err := r.commit(ctx)
		if err != nil {
			r.closeQueue()
			return err
		}
		load.note(r.now(), ops, entries)
	}
}

// load chooses the window. Alone, a change should not wait; under load that
// lasts, a longer window means fewer signatures and fsyncs for the same ops,
// here and, for each entry, on every other node. A burst, however large, is one
// commit and makes nobody wait after it.
type load struct {
	last         time.Time
	ops, entries rate
}

// rate is a number a second, smoothed over settle.
type rate float64

// Up to calm the window is the shortest, from busy on the longest.
const (
	// Entries of all authors, a second. Every entry is verified, stored and
	// passed on by every node, so together the nodes write no more of them than
	// small machines bear.
	calmEntries rate = 200
	busyEntries rate = 250

	// Ops of our own, a second.
	calmOps rate = 5_000
	busyOps rate = 20_000

	settle = 8 * maxWindow
)

func (r *rate) note(n int, gap time.Duration) {
	weight := min(gap.Seconds()/settle.Seconds(), 1)
	*r += (rate(float64(n)/gap.Seconds()) - *r) * rate(weight)
}

// between is 0 at calm and below, 1 at busy and above.
func (r rate) between(calm, busy rate) float64 {
	return float64(min(max((r-calm)/(busy-calm), 0), 1))
}

func (l *load) note(now time.Time, ops, entries int) {
	gap := max(now.Sub(l.last), minWindow)
	l.ops.note(ops, gap)
	l.entries.note(entries, gap)
	l.last = now
}

func (l *load) window() time.Duration {
	share := max(l.ops.between(calmOps, busyOps), l.entries.between(calmEntries, busyEntries))
	return minWindow + time.Duration(share*float64(maxWindow-minWindow))
}

// gather waits until the window is over, or full, or somebody needs the disk.
func (r *Replica) gather(ctx context.Context, window time.Duration) {
	t := time.NewTimer(window)
	defer t.Stop()
	select {
	case <-t.C:
	case <-r.queue.full:
	case <-ctx.Done():
	}
}

// lastCommit runs when writers are already refused. It does not wait for a
// disk to come back.
func (r *Replica) lastCommit() error {
	if r.queue.empty() {
		return nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, _, err := r.commit(ctx)
	return err
}

// commit makes everything that was accepted so far durable and then tells
// those who wait for it. It returns the number of ops of our own and of
// entries of all authors that it held.
func (r *Replica) commit(ctx context.Context) (ops, entries int, err error) {
	r.cut.Lock()
	c := r.cutBatch()
	r.cut.Unlock()
	if err := r.put(ctx, c); err != nil {
		return 0, 0, err
	}
	r.announce(c)
	return c.ops, c.entries, nil
}

// commitThen is commit followed by f, with Replica.cut held whole: f finds
// nothing on its way to disk. The lock is taken when the disk has just worked,
// and with little to write; if it fails nevertheless, writers wait with us. f
// runs with the committer's context, not with that of who asked: what it began
// to write has to be written, or nobody knows what is on disk. fatal means that
// the committer was stopped while the disk failed.
func (r *Replica) commitThen(ctx context.Context, f func(context.Context) error) (fatal bool, err error) {
	if _, _, err := r.commit(ctx); err != nil {
		return true, err
	}
	r.cut.Lock()
	c := r.cutBatch()
	if err = r.put(ctx, c); err != nil {
		r.cut.Unlock()
		return true, err
	}
	err = f(ctx)
	r.cut.Unlock()
	r.announce(c)
	return err != nil && ctx.Err() != nil, err
}

// batch is what one commit makes durable.
type batch struct {
	rows         datastore.Batch
	ticket       taken
	parts        []*part
	ops, entries int
}

// cutBatch gathers what is pending. Replica.cut is held whole.
func (r *Replica) cutBatch() *batch {
	c := &batch{ticket: r.queue.take()}
	r.kv.cut(&c.rows)
	for _, d := range r.Datasets() {
		if p := d.cut(&c.rows); p != nil {
			c.parts = append(c.parts, p)
			c.ops += len(p.ops)
			c.entries += len(p.foreign)
		}
	}
	if r.rotate.Swap(false) {
		r.becomeNew(&c.rows)
	}
	return c
}

// put writes a batch. Only the committer does.
func (r *Replica) put(ctx context.Context, c *batch) error {
	for _, p := range c.parts {
		if err := p.seal(r); err != nil {
			return err
		}
		c.entries += len(p.sealed)
		p.rows(&c.rows)
	}
	if err := r.write(ctx, &c.rows); err != nil {
		return err
	}
	r.stats.Commits.Add(1)
	r.kv.committed()
	for _, p := range c.parts {
		p.committed()
	}
	r.queue.done(c.ticket)
	return nil
}

// announce tells the mesh what is durable now, and goes on with what waited for
// it.
func (r *Replica) announce(c *batch) {
	for _, p := range c.parts {
		p.announce(r)
		p.d.applySpilled()
	}
}

// becomeNew goes on as a new author, whose id reaches the disk with the batch
// that is being cut, so before its first entry. Replica.cut is held whole, and
// nothing of the old author is pending.
func (r *Replica) becomeNew(b *datastore.Batch) {
	r.newAuthor(b)
	for _, d := range r.Datasets() {
		d.mu.Lock()
		d.become(r.Author())
		d.mu.Unlock()
	}
}

// queueRotation asks the committer for a new replica id.
func (r *Replica) queueRotation() {
	r.rotate.Store(true)
	signal(r.queue.wake)
}

// It is also what reopens the store for those who write beside the log.
func (r *Replica) write(ctx context.Context, b *datastore.Batch) error {
	if b.Len() == 0 && !r.hurt.Load() {
		return nil
	}
	err := r.store.Write(b)
	for wait := minRetry; err != nil; wait = min(2*wait, maxRetry) {
		if r.queue.fail(err) {
			r.log.Error("cannot write to disk: new writes are refused until it works again", "err", err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("replica: last commit: %w", err)
		case <-time.After(wait):
		}
		if err = r.store.Reopen(); err == nil {
			if err = r.store.Write(b); err == nil {
				r.log.Info("the disk takes writes again")
			}
		}
	}
	r.hurt.Store(false)
	r.queue.mend()
	return nil
}

// beside looks at the error of a write beside the log. LevelDB takes nothing
// more after a failed one until it is opened again, which the committer does.
func (r *Replica) beside(err error) error {
	if err != nil && !errors.Is(err, datastore.ErrClosed) && !errors.Is(err, context.Canceled) {
		r.hurt.Store(true)
		signal(r.queue.wake)
	}
	return err
}

// Sync waits until every change accepted before the call is on disk.
func (r *Replica) Sync(ctx context.Context) error { return r.queue.sync(ctx) }

// Failure says why commits do not succeed at present; nil if they do.
func (r *Replica) Failure() error { return r.queue.failed() }

// part is one dataset's share of a commit.
type part struct {
	d       *Dataset
	self    crdt.Author
	ops     []localOp // ours, not yet in an entry
	log     logHead   // of ours, as it grows
	time    crdt.HLC
	deps    crdt.Version
	sealed  []*Entry // made of ops
	foreign []*Entry // learned
	objects []*object
	logs    map[crdt.Author]logState // rows to write; ours is added by seal
	extra   []row
}

type row struct{ key, value []byte } // a nil value deletes

type localOp struct {
	family crdt.Family
	key    string
	op     crdt.Op
	size   int

	control []byte // of familyControl: the op, encoded
}

// cut moves what the dataset has pending into a part, and the changed object
// rows into the batch. Replica.cut is held whole.
func (d *Dataset) cut(b *datastore.Batch) *part {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.ops) == 0 && len(d.learned) == 0 && len(d.dirty) == 0 && len(d.touched) == 0 && len(d.extra) == 0 {
		return nil
	}
	p := &part{
		d: d, self: d.self, ops: d.ops, log: d.logs[d.self],
		foreign: d.learned, objects: d.dirty, extra: d.extra,
		logs: make(map[crdt.Author]logState, len(d.touched)+1),
	}
	if len(p.ops) > 0 {
		p.deps = make(crdt.Version, len(d.news))
		for a := range d.news {
			p.deps[a] = d.applied[a]
		}
		d.vouch(p.deps)
		clear(d.news)
		d.unacked = false
		p.time = d.r.stamp()
	}
	for a := range d.touched {
		p.logs[a] = d.logState(a)
	}
	var prefix []byte
	for _, o := range d.dirty {
		prefix = datastore.ObjectPrefix(prefix[:0], d.cache.space, byte(o.family), []byte(o.key))
		n := len(prefix)
		o.state.Flush(
			func(slot, cell []byte) { prefix = append(prefix[:n], slot...); b.Put(prefix, cell) },
			func(slot []byte) { prefix = append(prefix[:n], slot...); b.Delete(prefix) },
		)
		prefix = prefix[:n]
		o.dirty = false
		o.pins++ // until the rows are on disk
		d.cache.reweigh(o)
	}
	d.ops, d.learned, d.dirty, d.extra = nil, nil, nil, nil
	clear(d.touched)
	return p
}

// maxSealOps and maxSealBytes split what was gathered into entries well below
// MaxEntry.
const (
	maxSealOps   = 1 << 16
	maxSealBytes = 256 << 10
)

// seal makes entries of the part's ops. No lock is held: only the committer
// moves our own log's head.
func (p *part) seal(r *Replica) error {
	for ops := p.ops; len(ops) > 0; {
		n, size := 0, 0
		for n < len(ops) && n < maxSealOps && (n == 0 || size+ops[n].size <= maxSealBytes) {
			size += ops[n].size
			n++
		}
		e, err := p.sealOps(r, ops[:n])
		if err != nil {
			return fmt.Errorf("replica: dataset %q: %w", p.d.name, err)
		}
		p.sealed = append(p.sealed, e)
		p.log.have, p.log.head, p.deps = e.Last(), e.ID, nil
		ops = ops[n:]
	}
	if len(p.sealed) > 0 {
		p.logs[p.self] = logState{p.log, p.log.have}
	}
	return nil
}

func (p *part) sealOps(r *Replica, ops []localOp) (*Entry, error) {
	type object struct {
		family crdt.Family
		key    string
	}
	first := p.log.have + 1
	index := make(map[object]int)
	var groups []crdt.Group
	var count uint64
	for i := range ops {
		if c := ops[i].control; c != nil {
			groups = append(groups, crdt.Group{
				Family: familyControl, Raw: c, Runs: []crdt.OpRun{{Seq: ops[i].op.Seq, Width: 1, Count: 1}},
			})
			count++
			continue
		}
		o := object{ops[i].family, ops[i].key}
		at, ok := index[o]
		if !ok {
			at = len(groups)
			index[o] = at
			groups = append(groups, crdt.Group{Family: o.family, Key: []byte(o.key)})
		}
		groups[at].Ops = append(groups[at].Ops, ops[i].op)
		count += ops[i].op.Width()
	}
	plain, cut, err := crdt.EncodeBodyCut(groups, p.self, first, p.time)
	if err != nil {
		return nil, err
	}
	codec, body := pack(plain, cut)
	h := Header{
		Network: r.network, Dataset: p.d.id, Author: p.self, First: first, Count: count,
		Prev: p.log.head, Time: p.time, Deps: p.deps, Codec: codec,
	}
	k, err := r.sealKey()
	if err != nil {
		return nil, err
	}
	return sealEntry(r.key, h, h.sealBody(k, body))
}

// rows adds the part's entries and version rows to the batch.
func (p *part) rows(b *datastore.Batch) {
	for _, list := range [][]*Entry{p.sealed, p.foreign} {
		for _, e := range list {
			a := e.Author.Bytes()
			b.Put(datastore.EntryKey(p.d.id, a[:], e.Last()), e.raw)
		}
	}
	for author, l := range p.logs {
		a := author.Bytes()
		b.Put(datastore.VersionKey(p.d.id, a[:]), l.append(nil))
	}
	for _, x := range p.extra {
		if x.value == nil {
			b.Delete(x.key)
		} else {
			b.Put(x.key, x.value)
		}
	}
}

// committed publishes within the node what is now durable.
func (p *part) committed() {
	d := p.d
	d.mu.Lock()
	now := d.r.now()
	large := p.large()
	for a, l := range p.logs {
		if had := d.durable[a].have; had < l.have && !large[a] {
			d.young.add(now, a, had)
		}
		d.durable[a] = l
		if a == p.self {
			log := d.logs[a] // its cut may have moved since
			log.have, log.head = l.have, l.head
			d.logs[a] = log
		}
	}
	d.digestValid = false
	for _, o := range p.objects {
		o.pins--
	}
	d.dropSpilled()
	d.cache.trim()
	if d.ops == nil && cap(p.ops) <= keepOps { // the next ones need not grow a slice anew
		clear(p.ops)
		d.ops = p.ops[:0]
	}
	d.mu.Unlock()
}

// keepOps is how long a slice of ops is kept for the next commit.
const keepOps = 1 << 13

// large are the authors of entries that gossip does not carry.
func (p *part) large() map[crdt.Author]bool {
	var large map[crdt.Author]bool
	for _, list := range [][]*Entry{p.sealed, p.foreign} {
		for _, e := range list {
			if len(e.raw) > MaxInline {
				if large == nil {
					large = make(map[crdt.Author]bool)
				}
				large[e.Author] = true
			}
		}
	}
	return large
}

// announce tells the mesh of the entries we made.
func (p *part) announce(r *Replica) {
	for _, e := range p.sealed {
		r.stats.EntriesLocal.Add(1)
		r.stats.OpsLocal.Add(e.Count)
		r.stats.EntryBytes.Add(uint64(len(e.raw)))
		r.publish(p.d, e)
	}
	if len(p.sealed)+len(p.foreign) > 0 {
		r.versionMoved()
	}
}
