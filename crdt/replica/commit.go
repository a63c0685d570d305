package replica

import (
	"context"
	"errors"
	"fmt"
	"time"

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
		p.d.applyMore()
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
