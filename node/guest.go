package node

import (
	"context"
	"errors"
	"math"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/crdt/replica"
	"github.com/numax-mesh/numax/sandbox"
)

// guestData is a guest's dataset: sandbox.CRDT over a replica. ctx is the
// guest's run, so that a write that waits for room ends with it.
type guestData struct {
	ctx context.Context
	r   *replica.Replica
	d   *replica.Dataset
}

func guestError(err error) error {
	if errors.Is(err, replica.ErrBusy) {
		return sandbox.ErrBusy
	}
	return err
}

func (g guestData) update(f crdt.Family, key string, make func(crdt.Object, replica.Now) (crdt.Op, bool)) error {
	_, err := g.d.Update(g.ctx, f, key, make)
	return guestError(err)
}

// view reads an object as its concrete type.
func view[T crdt.Object](d *replica.Dataset, f crdt.Family, key string, read func(T)) error {
	return d.View(f, key, func(o crdt.Object) { read(o.(T)) })
}

func (g guestData) Ready() error { return guestError(g.r.Ready()) }

func (g guestData) GCounterInc(key string, delta uint64) error {
	return g.update(crdt.GCounter, key, func(o crdt.Object, now replica.Now) (crdt.Op, bool) {
		return o.(*crdt.GCounterState).Inc(now.Author, delta), true
	})
}

func (g guestData) GCounterValue(key string) (n uint64, err error) {
	err = view(g.d, crdt.GCounter, key, func(c *crdt.GCounterState) { n = c.Value() })
	return n, err
}

func (g guestData) PNCounterInc(key string, delta uint64) error {
	return g.update(crdt.PNCounter, key, func(o crdt.Object, now replica.Now) (crdt.Op, bool) {
		return o.(*crdt.PNCounterState).Inc(now.Author, delta), true
	})
}

func (g guestData) PNCounterDec(key string, delta uint64) error {
	return g.update(crdt.PNCounter, key, func(o crdt.Object, now replica.Now) (crdt.Op, bool) {
		return o.(*crdt.PNCounterState).Dec(now.Author, delta), true
	})
}

func (g guestData) PNCounterValue(key string) (n int64, err error) {
	err = view(g.d, crdt.PNCounter, key, func(c *crdt.PNCounterState) { n = c.Value() })
	return n, err
}

func (g guestData) LWWSet(key string, value []byte) error {
	return g.update(crdt.LWWRegister, key, func(o crdt.Object, now replica.Now) (crdt.Op, bool) {
		return o.(*crdt.RegisterState).Set(now.Time, value), true
	})
}

func (g guestData) LWWGet(key string) (value []byte, ok bool, err error) {
	err = view(g.d, crdt.LWWRegister, key, func(c *crdt.RegisterState) {
		value, ok = c.Get()
		value = append([]byte(nil), value...)
	})
	return value, ok, err
}

func (g guestData) MapSet(key, field string, value []byte) error {
	return g.update(crdt.LWWMap, key, func(o crdt.Object, now replica.Now) (crdt.Op, bool) {
		return o.(*crdt.MapState).Set(now.Time, []byte(field), value), true
	})
}

func (g guestData) MapRemove(key, field string) error {
	return g.update(crdt.LWWMap, key, func(o crdt.Object, now replica.Now) (crdt.Op, bool) {
		return o.(*crdt.MapState).Remove(now.Time, []byte(field)), true
	})
}

func (g guestData) MapGet(key, field string) (value []byte, ok bool, err error) {
	err = view(g.d, crdt.LWWMap, key, func(c *crdt.MapState) {
		value, ok = c.Get([]byte(field))
		value = append([]byte(nil), value...)
	})
	return value, ok, err
}

func (g guestData) MapContains(key, field string) (ok bool, err error) {
	err = view(g.d, crdt.LWWMap, key, func(c *crdt.MapState) { _, ok = c.Get([]byte(field)) })
	return ok, err
}

func (g guestData) MapEntries(key string, visit func(field string, value []byte)) error {
	return view(g.d, crdt.LWWMap, key, func(c *crdt.MapState) {
		c.Range(func(field, value []byte) bool { visit(string(field), value); return true })
	})
}

func (g guestData) SetAdd(key, elem string) error {
	return g.update(crdt.ORSet, key, func(o crdt.Object, _ replica.Now) (crdt.Op, bool) {
		return o.(*crdt.SetState).Add([]byte(elem)), true
	})
}

func (g guestData) SetRemove(key, elem string) error {
	return g.update(crdt.ORSet, key, func(o crdt.Object, _ replica.Now) (crdt.Op, bool) {
		return o.(*crdt.SetState).Remove([]byte(elem))
	})
}

func (g guestData) SetContains(key, elem string) (ok bool, err error) {
	err = view(g.d, crdt.ORSet, key, func(c *crdt.SetState) { ok = c.Contains([]byte(elem)) })
	return ok, err
}

func (g guestData) SetElements(key string, visit func(elem string)) error {
	return view(g.d, crdt.ORSet, key, func(c *crdt.SetState) {
		c.Range(func(elem []byte) bool { visit(string(elem)); return true })
	})
}

func (g guestData) RGAInsert(key, parent string, value []byte) (string, error) {
	after, _ := g.d.Element(parent) // an unknown one is the head
	dot, err := g.d.Update(g.ctx, crdt.Sequence, key, func(o crdt.Object, _ replica.Now) (crdt.Op, bool) {
		return o.(*crdt.SequenceState).InsertAfter(after, [][]byte{value}), true
	})
	if err != nil {
		return "", guestError(err)
	}
	return replica.FormatElementID(dot), nil
}

func (g guestData) RGADelete(key, id string) error {
	return guestError(g.d.DeleteElement(g.ctx, key, id))
}

func (g guestData) RGAValues(key string, visit func(value []byte)) error {
	return view(g.d, crdt.Sequence, key, func(c *crdt.SequenceState) {
		c.Range(func(_ crdt.Dot, value []byte) bool { visit(value); return true })
	})
}

func (g guestData) Commit(ctx context.Context) error { return guestError(g.r.Sync(ctx)) }

// noSync is sandbox.CRDT with sync off: everything answers -5, but a commit
// still covers db_* writes.
type noSync struct{ r *replica.Replica }

func (noSync) Ready() error                         { return sandbox.ErrSyncDisabled }
func (noSync) GCounterInc(string, uint64) error     { return sandbox.ErrSyncDisabled }
func (noSync) GCounterValue(string) (uint64, error) { return 0, sandbox.ErrSyncDisabled }
func (noSync) PNCounterInc(string, uint64) error    { return sandbox.ErrSyncDisabled }
func (noSync) PNCounterDec(string, uint64) error    { return sandbox.ErrSyncDisabled }
func (noSync) PNCounterValue(string) (int64, error) { return 0, sandbox.ErrSyncDisabled }
func (noSync) LWWSet(string, []byte) error          { return sandbox.ErrSyncDisabled }
func (noSync) LWWGet(string) ([]byte, bool, error)  { return nil, false, sandbox.ErrSyncDisabled }
func (noSync) MapSet(string, string, []byte) error  { return sandbox.ErrSyncDisabled }
func (noSync) MapRemove(string, string) error       { return sandbox.ErrSyncDisabled }
func (noSync) MapGet(string, string) ([]byte, bool, error) {
	return nil, false, sandbox.ErrSyncDisabled
}

func (noSync) MapContains(string, string) (bool, error)         { return false, sandbox.ErrSyncDisabled }
func (noSync) MapEntries(string, func(string, []byte)) error    { return sandbox.ErrSyncDisabled }
func (noSync) SetAdd(string, string) error                      { return sandbox.ErrSyncDisabled }
func (noSync) SetRemove(string, string) error                   { return sandbox.ErrSyncDisabled }
func (noSync) SetContains(string, string) (bool, error)         { return false, sandbox.ErrSyncDisabled }
func (noSync) SetElements(string, func(string)) error           { return sandbox.ErrSyncDisabled }
func (noSync) RGAInsert(string, string, []byte) (string, error) { return "", sandbox.ErrSyncDisabled }
func (noSync) RGADelete(string, string) error                   { return sandbox.ErrSyncDisabled }
func (noSync) RGAValues(string, func([]byte)) error             { return sandbox.ErrSyncDisabled }
func (n noSync) Commit(ctx context.Context) error               { return guestError(n.r.Sync(ctx)) }

// guestKeys is sandbox.KV over a module's key space.
type guestKeys struct {
	ctx  context.Context
	keys *replica.Keys
}

func (k guestKeys) Get(key []byte) ([]byte, bool, error) { return k.keys.Get(key) }
func (k guestKeys) Set(key, value []byte) error          { return guestError(k.keys.Set(k.ctx, key, value)) }

func (k guestKeys) Delete(key []byte) error { return guestError(k.keys.Delete(k.ctx, key)) }

func (k guestKeys) Exists(key []byte) (bool, error) {
	_, ok, err := k.keys.Get(key)
	return ok, err
}

func (k guestKeys) Scan(prefix, after []byte, visit func(key, value []byte) bool) error {
	return k.keys.Scan(prefix, after, visit)
}

// guestNet is sandbox.Net over a node; with no host the node has an identity
// and no peers.
type guestNet struct{ n *Node }

func (g guestNet) NodeID() (string, error) { return g.n.ID(), nil }

func (g guestNet) Peers() ([]sandbox.Peer, error) {
	if g.n.host == nil {
		return nil, nil
	}
	var peers []sandbox.Peer
	for _, p := range g.n.host.Connected() {
		if len(peers) == math.MaxInt16 {
			break
		}
		peers = append(peers, sandbox.Peer{Addr: p.Addr, ID: p.ID})
	}
	return peers, nil
}
