package replicasim

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/crdt/replica"
	"github.com/numax-mesh/numax/datastore"
	"github.com/numax-mesh/numax/datastore/datastoretest"
)

// Sizes of the workload. Names are few, so that nodes meet.
const (
	keysAFamily  = 2
	fields       = 5
	maxLarge     = 900 << 10
	maxLargeOps  = 3 // of a worker
	meanPause    = 700 * time.Millisecond
	maxBurst     = 30
	insertWidth  = 4
	maxPublicIDs = 64
)

// worker writes to one dataset on one node, as a guest would.
type worker struct {
	w     *world
	x     *node
	k     int // of the dataset
	rng   *rand.Rand
	j     *journal
	large int
	pause time.Duration // mean, between two steps; 0 = meanPause
	known bool          // to others, by an entry
	typed []record      // the last elements inserted, which may be deleted by now
}

// public holds element ids that were told to other nodes by another way than
// replication; they are on disk where they were made.
type public struct {
	mu  sync.Mutex // guards ids
	ids []record
}

func (p *public) add(r record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.ids) < maxPublicIDs {
		p.ids = append(p.ids, r)
	}
}

func (p *public) pick(rng *rand.Rand) (r record, ok bool) {
	n := rng.IntN(maxPublicIDs)
	p.mu.Lock()
	defer p.mu.Unlock()
	if n < len(p.ids) {
		return p.ids[n], true
	}
	return r, false
}

// run works until the active time is over.
func (k *worker) run(end time.Time) {
	for {
		n := 1
		if k.rng.IntN(8) == 0 {
			n += k.rng.IntN(maxBurst)
		}
		for range n {
			if i := k.x.current(); i != nil {
				k.step(i)
			}
		}
		time.Sleep(time.Duration(k.rng.ExpFloat64() * float64(cmp.Or(k.pause, meanPause))))
		if !time.Now().Before(end) {
			return
		}
	}
}

func (k *worker) step(i *incarnation) {
	var err error
	switch n := k.rng.IntN(40); {
	case k.x.suspect:
		err = k.update(i)
	case n < 3:
		err = k.sync(i)
	case n < 5:
		err = k.setKey(i)
	case n == 5:
		err = k.deleteByID(i)
	default:
		err = k.update(i)
	}
	for _, fine := range []error{
		nil, replica.ErrBusy, replica.ErrClosed, datastore.ErrClosed, datastoretest.ErrDisk,
		context.Canceled, context.DeadlineExceeded,
	} {
		if errors.Is(err, fine) {
			return
		}
	}
	k.w.failf("%s: %v", k.x.name, err)
}

func (k *worker) sync(i *incarnation) error {
	n := k.j.len()
	ctx, cancel := context.WithTimeout(i.ctx, 30*time.Second)
	defer cancel()
	if err := i.replica.Sync(ctx); err != nil {
		return err
	}
	k.j.mu.Lock()
	defer k.j.mu.Unlock()
	k.j.acknowledgeTo(i.run, n)
	for at := len(k.j.records) - 1; at >= 0 && at >= n-5; at-- {
		if r := k.j.records[at]; r.kind == isOp && r.acked && r.run == i.run && r.op.Kind == crdt.Insert {
			r.elem = crdt.Dot{Author: i.author(), Seq: r.op.Seq}
			k.w.public[k.k].add(r)
		}
	}
	return nil
}

func (k *worker) setKey(i *incarnation) error {
	n := k.j.len() + 1
	v := binary.BigEndian.AppendUint32(nil, uint32(n))
	if err := i.replica.Keys(k.w.datasets[k.k]).Set(i.ctx, keyName, v); err != nil {
		return err
	}
	k.j.add(record{run: i.run, kind: isKey})
	return nil
}

func (k *worker) deleteByID(i *incarnation) error {
	r, ok := k.w.public[k.k].pick(k.rng)
	if !ok {
		return nil
	}
	// What fails may have happened: the deletion counts as possible.
	err := i.sets[k.k].DeleteElement(i.ctx, r.name.key, replica.FormatElementID(r.elem))
	if err != nil {
		k.w.unsure(k.k, r.name, r.elem)
		return err
	}
	k.j.add(record{run: i.run, kind: isDeletion, name: r.name, elem: r.elem})
	return nil
}

func (k *worker) value() []byte {
	if k.large < maxLargeOps && k.rng.IntN(60) == 0 {
		k.large++
		v := make([]byte, k.rng.IntN(maxLarge))
		if k.rng.IntN(2) == 0 {
			return bytes.Repeat([]byte{byte(k.rng.Uint32())}, len(v))
		}
		for n := range v {
			v[n] = byte(k.rng.Uint32())
		}
		return v
	}
	return fmt.Appendf(nil, "%x", k.rng.Uint32N(1<<16))
}

// typedIn is an element of a sequence that this node inserted; a guest keeps ids
// of what others have deleted.
func (k *worker) typedIn(name object, where float64) (d crdt.Dot) {
	if n := len(k.typed); n > 0 {
		if r := k.typed[int(where*float64(n))]; r.name == name {
			return r.elem
		}
	}
	return d
}

// stranger reports whether no other replica has heard of our author, or ours of
// another. Nobody waits for a stranger when removals from maps are forgotten, and it
// does not know how far they were; an older write of it may then win where they are,
// and lose where they are not (see doc.go).
func (k *worker) stranger(i *incarnation) bool {
	if !k.w.cuts() || k.known {
		return false
	}
	if len(positive(i.sets[k.k].Version())) < 2 {
		return true
	}
	for _, x := range k.w.nodes {
		if j := x.current(); j != nil && x != k.x && j.sets[k.k].Version()[i.author()] > 0 {
			k.known = true
			return false
		}
	}
	return true
}

func (k *worker) update(i *incarnation) error {
	r := record{run: i.run, name: object{
		crdt.Family(1 + k.rng.IntN(6)), fmt.Sprintf("key %d", k.rng.IntN(keysAFamily)),
	}}
	if k.x.suspect {
		r.name.key = forkedKey
	}
	if r.name.family == crdt.LWWMap && !*strangers && k.stranger(i) {
		r.name.family = crdt.ORSet
	}
	// Drawn before the object is seen, so that what is drawn later does not
	// depend on how the nodes' work interleaved.
	value, field, by := k.value(), fmt.Appendf(nil, "f%d", k.rng.IntN(fields)), 1+k.rng.Uint64N(9)
	pick, where, width := k.rng.IntN(3), k.rng.Float64(), 1+k.rng.IntN(insertWidth)
	dot, err := i.sets[k.k].Update(i.ctx, r.name.family, r.name.key, func(o crdt.Object, now replica.Now) (op crdt.Op, ok bool) {
		ok = true
		switch o := o.(type) {
		case *crdt.GCounterState:
			op, r.by = o.Inc(now.Author, by), int64(by)
		case *crdt.PNCounterState:
			if pick == 0 {
				op, r.by = o.Dec(now.Author, by), -int64(by)
			} else {
				op, r.by = o.Inc(now.Author, by), int64(by)
			}
		case *crdt.RegisterState:
			op = o.Set(now.Time, value)
		case *crdt.MapState:
			if pick == 0 {
				op = o.Remove(now.Time, field)
			} else {
				op = o.Set(now.Time, field, value)
			}
		case *crdt.SetState:
			if pick == 0 {
				op, ok = o.Remove(field)
			} else {
				op = o.Add(field)
			}
		case *crdt.SequenceState:
			at := int(where * float64(o.Len()+1))
			if pick == 0 && o.Len() > 0 {
				op = o.DeleteRange(min(at, o.Len()-1), width)
				break
			}
			values := [][]byte{value}
			for n := 1; n < width; n++ {
				values = append(values, fmt.Append(nil, n))
			}
			op = o.InsertAt(at, values)
			if after := k.typedIn(r.name, where); pick == 1 && !after.IsZero() {
				op = o.InsertAfter(after, values)
			}
		}
		r.op = op
		return op, ok
	})
	if err != nil || dot.IsZero() {
		return err
	}
	r.op.Seq = dot.Seq
	if r.op.Kind == crdt.Insert {
		r.elem = dot
		k.typed = append(k.typed[max(0, len(k.typed)-maxPublicIDs):], r)
	}
	if !k.x.suspect {
		k.j.add(r)
	}
	return nil
}
