package replica

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"maps"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/datastore"
)

// A join makes one state of ours and another replica's: in a space of its own,
// while reads and writes go on in the present one.
//
//	ours, pinned at version M ──┐
//	                            ├─► merge, object by object ─► new space, at M ⊔ V
//	theirs, as it comes, at V ──┘                                    │
//	                                                 adopt: one batch, then our log behind M ⊔ V
//
// So what peers cannot send as entries any more is ours, and what only we had
// stays. A join that is not adopted leaves nothing but a space to delete.
type join struct {
	d       *Dataset
	state   *stateReader // theirs
	theirs  crdt.Version
	replace bool // drop our state instead of merging it

	mine     crdt.Version
	view     *datastore.View
	objects  func() (objectRows, bool) // ours, in the order of their keys
	stop     func()
	ours     objectRows // the next of them
	oursLeft bool
	failed   error // why there are no more

	space   datastore.Space
	batch   datastore.Batch
	content contentHash              // of theirs
	heads   map[crdt.Author]struct{} // whose heads were shown, and lie in the space
	rank    uint64                   // of the last op of a family that is not known
}

var (
	errJoining = errors.New("replica: another state is being joined")
	errKnown   = errors.New("replica: the state has nothing new")
	errNewer   = errors.New("replica: the state has objects of a kind that this numax-node does not know: upgrade it")
	// ErrBehind: joining would lose what only this replica has.
	ErrBehind = errors.New("replica: the other side has not yet all that this node has dropped from its log; let it catch up first")
)

// newJoin begins to join a state. With replace ours gives way to it. Nothing is
// changed before adopt; end it with close.
func (d *Dataset) newJoin(encoded []byte, replace bool) (_ *join, err error) {
	state, err := newStateReader(encoded)
	if err != nil {
		return nil, err
	}
	m := state.manifest
	if m.network != d.r.network || m.dataset != d.id {
		return nil, fmt.Errorf("%w: state of another network or dataset", ErrMalformed)
	}
	d.r.tending.Lock() // or its space would be taken for garbage
	d.mu.Lock()
	busy := d.joining
	d.joining = true
	news := replace
	for a, l := range m.logs {
		news = news || l.have > d.applied[a] && !d.isForked(a)
	}
	d.mu.Unlock()
	d.r.tending.Unlock()
	if busy {
		return nil, errJoining
	}
	j := &join{
		d: d, state: state, theirs: state.version, replace: replace,
		mine: make(crdt.Version), stop: func() {}, heads: make(map[crdt.Author]struct{}), content: newContentHash(),
	}
	state.object = j.object
	state.news, state.head = d.isNewLog, j.head
	defer func() {
		if err != nil {
			j.close()
		}
	}()
	if !news {
		return nil, errKnown
	}
	d.mu.Lock()
	_, err = d.joinedLogs(j) // whether it can be adopted, as far as one can say now
	d.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if j.view, err = d.r.store.View(); err != nil {
		return nil, err
	}
	if err := j.pin(); err != nil {
		return nil, err
	}
	_, _ = rand.Read(j.space[:]) // never fails
	j.batch.Put(datastore.GarbageKey(j.space), nil)
	return j, j.flush(0)
}

// isNewLog reports whether a log is not the one that ends here.
func (d *Dataset) isNewLog(a crdt.Author, l logHead) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	ours := d.durable[a]
	return ours.have != l.have || ours.head != l.head
}

// head keeps the verified head of an author's log, beside the objects of the new
// space, until the state is adopted.
func (j *join) head(a crdt.Author, signed []byte) error {
	id := a.Bytes()
	j.batch.Put(datastore.ShownKey(j.space, id[:]), signed)
	j.heads[a] = struct{}{}
	return j.flush(joinBatch)
}

// pin reads what is ours.
func (j *join) pin() error {
	if j.replace {
		return nil
	}
	logs, err := readLogs(j.view, j.d.id)
	if err != nil {
		return err
	}
	space, err := readSpace(j.view, j.d.id)
	if err != nil {
		return err
	}
	for a, l := range logs {
		j.mine[a] = l.applied
	}
	j.objects, j.stop = iter.Pull(ourObjects(j.view, space, &j.failed))
	j.nextOurs()
	return nil
}

// ourObjects are the objects of a space in the order of their keys. If they
// cannot be read it ends early, with an error.
func ourObjects(r datastore.Reader, space datastore.Space, failed *error) iter.Seq[objectRows] {
	prefix := datastore.ObjectsPrefix(space)
	return func(yield func(objectRows) bool) {
		var o objectRows
		goOn := true
		*failed = datastore.ScanPrefix(r, prefix, func(k, v []byte) bool {
			k = k[len(prefix):]
			key, slot := splitObject(k)
			if !bytes.Equal(key, o.key) {
				if o.key != nil {
					goOn = yield(o)
				}
				o = objectRows{key: bytes.Clone(key)}
			}
			o.rows = append(o.rows, stateRow{bytes.Clone(slot), bytes.Clone(v)})
			return goOn
		})
		if goOn && o.key != nil {
			yield(o)
		}
	}
}

func (j *join) nextOurs() { j.ours, j.oursLeft = j.objects() }

const joinBatch = 1 << 20 // bytes of rows that are written together

// flush writes what has gathered, if it is more than min bytes. It is fsynced:
// the rows must not be younger than those that make them the dataset's.
func (j *join) flush(min int) error {
	if j.batch.Size() <= min {
		return nil
	}
	if err := j.d.r.beside(j.d.r.store.Write(&j.batch)); err != nil {
		return err
	}
	j.batch.Reset()
	return nil
}

// object merges the next of their objects, after those of ours that they do not
// have.
func (j *join) object(theirs objectRows) error {
	if err := j.oursUpTo(theirs.key); err != nil {
		return err
	}
	var ours objectRows
	if j.oursLeft && bytes.Equal(j.ours.key, theirs.key) {
		ours = j.ours
		j.nextOurs()
	}
	if err := j.merge(theirs.key, ours.rows, theirs.rows); err != nil {
		return err
	}
	return j.flush(joinBatch)
}

// oursUpTo merges our objects before key, nil for all, with nothing.
func (j *join) oursUpTo(key []byte) error {
	for j.oursLeft && (key == nil || bytes.Compare(j.ours.key, key) < 0) {
		if err := j.merge(j.ours.key, j.ours.rows, nil); err != nil {
			return err
		}
		j.nextOurs()
		if err := j.flush(joinBatch); err != nil {
			return err
		}
	}
	return j.failed
}

// merge writes the join of two objects, of which either may be empty, into the
// new space.
func (j *join) merge(key []byte, ours, theirs []stateRow) error {
	prefix := append(datastore.ObjectsPrefix(j.space), key...)
	n := len(prefix)
	put := func(slot, cell []byte) { prefix = append(prefix[:n], slot...); j.batch.Put(prefix, cell) }
	family := crdt.Family(key[0])
	switch {
	case family == familyKept:
		return j.mergeKept(key, put, ours, theirs)
	case !family.Known() && len(ours) > 0 && len(theirs) > 0:
		return errNewer
	case !family.Known():
		for _, r := range append(ours, theirs...) {
			put(r.key, r.value)
		}
		return nil
	}
	other, err := loadObject(family, theirs)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	j.content.add(key, other)
	if len(j.mine) == 0 { // nothing of ours to merge
		for _, r := range theirs {
			put(r.key, r.value)
		}
		return nil
	}
	o, err := loadObject(family, ours)
	if err == nil {
		_, err = o.Merge(other, j.mine, j.theirs)
	}
	if err != nil {
		return err
	}
	for _, r := range ours {
		put(r.key, r.value)
	}
	o.Flush(put, func(slot []byte) { prefix = append(prefix[:n], slot...); j.batch.Delete(prefix) })
	return nil
}

func loadObject(f crdt.Family, rows []stateRow) (crdt.Object, error) {
	o, err := crdt.New(f)
	for i := 0; i < len(rows) && err == nil; i++ {
		err = o.Load(rows[i].key, rows[i].value)
	}
	if err == nil {
		err = o.Loaded()
	}
	return o, err
}

// finish checks the seal and makes the new state the dataset's.
func (j *join) finish(ctx context.Context, seal []byte, agree func(context.Context, *join) error) error {
	if err := j.state.end(seal); err != nil {
		return err
	}
	if err := agree(ctx, j); err != nil {
		return err
	}
	if err := j.oursUpTo(nil); err != nil {
		return err
	}
	if err := j.flush(0); err != nil {
		return err
	}
	j.d.r.tending.Lock()
	defer j.d.r.tending.Unlock()
	err := j.d.r.exclusively(ctx, func(ctx context.Context) error { return j.d.adopt(ctx, j) })
	j.d.applyReady(ctx) // what others would have applied meanwhile
	if err == nil {
		for a := range j.theirs {
			j.d.fulfil(context.WithoutCancel(ctx), a) // the peer may leave, the state stays
		}
	}
	return err
}

// close ends a join, adopted or not.
func (j *join) close() {
	j.stop()
	if j.view != nil {
		j.view.Close()
	}
	j.d.mu.Lock()
	j.d.joining = false
	j.d.mu.Unlock()
	j.d.r.upkeepSoon()
}

// version is that of the new state.
func (j *join) version() crdt.Version {
	v := maps.Clone(j.theirs)
	v.Merge(j.mine)
	return v
}
