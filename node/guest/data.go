package guest

import (
	"context"
	"errors"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/crdt/replica"
	"github.com/numax-mesh/numax/sandbox"
)

// data is a guest's dataset: sandbox.CRDT over a replica, within what the module
// was granted.
type data struct {
	*Guest
	d *replica.Dataset
}

func guestError(err error) error {
	if errors.Is(err, replica.ErrBusy) {
		return sandbox.ErrBusy
	}
	return err
}

// write asks whether the guest may change an object by an op of about size bytes.
func (g data) write(f crdt.Family, key string, size int) error {
	if g.grants != nil && !g.grants.CanWrite(g.d.Name(), f.String(), key) {
		return sandbox.ErrDenied
	}
	g.wrote = true
	return g.writes.take(1, len(key)+size)
}

func (g data) update(f crdt.Family, key string, size int, make func(crdt.Object, replica.Now) (crdt.Op, bool)) error {
	if err := g.write(f, key, size); err != nil {
		return err
	}
	_, err := g.d.Update(g.ctx, f, key, make)
	return guestError(err)
}

// view reads an object as its concrete type.
func view[T crdt.Object](g data, f crdt.Family, key string, read func(T)) error {
	if g.grants != nil && !g.grants.CanRead(g.d.Name(), f.String(), key) {
		return sandbox.ErrDenied
	}
	return g.d.View(f, key, func(o crdt.Object) { read(o.(T)) })
}

func (g data) Ready() error { return guestError(g.world.Replica.Ready()) }

func (g data) GCounterInc(key string, delta uint64) error {
	return g.update(crdt.GCounter, key, 8, func(o crdt.Object, now replica.Now) (crdt.Op, bool) {
		return o.(*crdt.GCounterState).Inc(now.Author, delta), true
	})
}

func (g data) GCounterValue(key string) (n uint64, err error) {
	err = view(g, crdt.GCounter, key, func(c *crdt.GCounterState) { n = c.Value() })
	return n, err
}

func (g data) PNCounterInc(key string, delta uint64) error {
	return g.update(crdt.PNCounter, key, 8, func(o crdt.Object, now replica.Now) (crdt.Op, bool) {
		return o.(*crdt.PNCounterState).Inc(now.Author, delta), true
	})
}

func (g data) PNCounterDec(key string, delta uint64) error {
	return g.update(crdt.PNCounter, key, 8, func(o crdt.Object, now replica.Now) (crdt.Op, bool) {
		return o.(*crdt.PNCounterState).Dec(now.Author, delta), true
	})
}

func (g data) PNCounterValue(key string) (n int64, err error) {
	err = view(g, crdt.PNCounter, key, func(c *crdt.PNCounterState) { n = c.Value() })
	return n, err
}

func (g data) LWWSet(key string, value []byte) error {
	return g.update(crdt.LWWRegister, key, len(value), func(o crdt.Object, now replica.Now) (crdt.Op, bool) {
		return o.(*crdt.RegisterState).Set(now.Time, value), true
	})
}

func (g data) LWWGet(key string) (value []byte, ok bool, err error) {
	err = view(g, crdt.LWWRegister, key, func(c *crdt.RegisterState) {
		value, ok = c.Get()
		value = append([]byte(nil), value...)
	})
	return value, ok, err
}

func (g data) MapSet(key, field string, value []byte) error {
	return g.update(crdt.LWWMap, key, len(field)+len(value), func(o crdt.Object, now replica.Now) (crdt.Op, bool) {
		return o.(*crdt.MapState).Set(now.Time, []byte(field), value), true
	})
}

func (g data) MapRemove(key, field string) error {
	return g.update(crdt.LWWMap, key, len(field), func(o crdt.Object, now replica.Now) (crdt.Op, bool) {
		return o.(*crdt.MapState).Remove(now.Time, []byte(field)), true
	})
}

func (g data) MapGet(key, field string) (value []byte, ok bool, err error) {
	err = view(g, crdt.LWWMap, key, func(c *crdt.MapState) {
		value, ok = c.Get([]byte(field))
		value = append([]byte(nil), value...)
	})
	return value, ok, err
}

func (g data) MapContains(key, field string) (ok bool, err error) {
	err = view(g, crdt.LWWMap, key, func(c *crdt.MapState) { _, ok = c.Get([]byte(field)) })
	return ok, err
}

func (g data) MapEntries(key string, visit func(field string, value []byte) bool) error {
	return view(g, crdt.LWWMap, key, func(c *crdt.MapState) {
		c.Range(func(field, value []byte) bool { return visit(string(field), value) })
	})
}

func (g data) SetAdd(key, elem string) error {
	return g.update(crdt.ORSet, key, len(elem), func(o crdt.Object, _ replica.Now) (crdt.Op, bool) {
		return o.(*crdt.SetState).Add([]byte(elem)), true
	})
}

func (g data) SetRemove(key, elem string) error {
	return g.update(crdt.ORSet, key, len(elem), func(o crdt.Object, _ replica.Now) (crdt.Op, bool) {
		return o.(*crdt.SetState).Remove([]byte(elem))
	})
}

func (g data) SetContains(key, elem string) (ok bool, err error) {
	err = view(g, crdt.ORSet, key, func(c *crdt.SetState) { ok = c.Contains([]byte(elem)) })
	return ok, err
}

func (g data) SetElements(key string, visit func(elem string) bool) error {
	return view(g, crdt.ORSet, key, func(c *crdt.SetState) {
		c.Range(func(elem []byte) bool { return visit(string(elem)) })
	})
}

func (g data) RGAInsert(key, parent string, value []byte) (string, error) {
	if err := g.write(crdt.Sequence, key, len(value)); err != nil {
		return "", err
	}
	after, _ := g.d.Element(parent) // an unknown one is the head
	dot, err := g.d.Update(g.ctx, crdt.Sequence, key, func(o crdt.Object, _ replica.Now) (crdt.Op, bool) {
		return o.(*crdt.SequenceState).InsertAfter(after, [][]byte{value}), true
	})
	if err != nil {
		return "", guestError(err)
	}
	return replica.FormatElementID(dot), nil
}

func (g data) RGADelete(key, id string) error {
	if err := g.write(crdt.Sequence, key, len(id)); err != nil {
		return err
	}
	return guestError(g.d.DeleteElement(g.ctx, key, id))
}

func (g data) RGAValues(key string, visit func(value []byte) bool) error {
	return view(g, crdt.Sequence, key, func(c *crdt.SequenceState) {
		c.Range(func(_ crdt.Dot, value []byte) bool { return visit(value) })
	})
}

func (g data) Commit(ctx context.Context) error { return guestError(g.world.Replica.Sync(ctx)) }
