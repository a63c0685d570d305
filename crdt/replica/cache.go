package replica

import (
	"container/list"
	"fmt"
	"sync"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/datastore"
)

// MaxCache is how many bytes of object state a dataset keeps in memory;
// objects in use or not yet on disk may exceed it.
const MaxCache = 32 << 20

// Object names one CRDT of a dataset.
type Object struct {
	Family crdt.Family
	Key    string
}

// object is a cached object. Its fields are guarded by Dataset.mu.
type object struct {
	family  crdt.Family
	key     string
	state   crdt.Object // nil while loading
	err     error
	pins    int // users and unfinished commits; not evicted while > 0
	dirty   bool
	weight  int
	element *list.Element
}

// cache holds the objects in use, least recently used last.
type cache struct {
	d       *Dataset
	objects map[Object]*object
	recent  *list.List
	weight  int
	loaded  sync.Cond // on Dataset.mu: some object finished loading
}

func (c *cache) init(d *Dataset) {
	c.d = d
	c.objects = make(map[Object]*object)
	c.recent = list.New()
	c.loaded.L = &d.mu
}

// acquire returns the object pinned, read from the store if need be. Nobody
// waits for the disk with a lock held: a loading object is in the map without
// state, and those who want it too wait for it.
func (d *Dataset) acquire(family crdt.Family, key string) (*object, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := &d.cache
	id := Object{family, key}
	o := c.objects[id]
	if o != nil {
		o.pins++
		for o.state == nil && o.err == nil {
			c.loaded.Wait()
		}
		if o.err != nil {
			return nil, o.err
		}
		c.recent.MoveToFront(o.element)
		return o, nil
	}
	o = &object{family: family, key: key, pins: 1}
	c.objects[id] = o
	d.mu.Unlock()
	state, err := d.read(d.r.store, family, key)
	d.mu.Lock()
	if err != nil {
		o.err = err
		delete(c.objects, id)
		c.loaded.Broadcast()
		return nil, err
	}
	o.state = state
	o.element = c.recent.PushFront(o)
	c.reweigh(o)
	c.loaded.Broadcast()
	return o, nil
}

func (d *Dataset) release(objects ...*object) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, o := range objects {
		o.pins--
	}
	d.cache.trim()
}

// read builds an object from its rows.
func (d *Dataset) read(from datastore.Reader, family crdt.Family, key string) (crdt.Object, error) {
	state, err := crdt.New(family)
	if err != nil {
		return nil, fmt.Errorf("replica: %w", err)
	}
	prefix := datastore.ObjectPrefix(nil, d.id, byte(family), []byte(key))
	var bad error
	err = datastore.ScanPrefix(from, prefix, func(k, v []byte) bool {
		bad = state.Load(k[len(prefix):], v)
		return bad == nil
	})
	if err == nil && bad == nil {
		bad = state.Loaded()
	}
	if bad != nil {
		err = fmt.Errorf("%w: %w", datastore.ErrDamaged, bad)
	}
	if err != nil {
		return nil, fmt.Errorf("replica: read %s %q: %w", family, key, err)
	}
	return state, nil
}

func (c *cache) reweigh(o *object) {
	c.weight -= o.weight
	o.weight = o.state.Weight() + len(o.key)
	c.weight += o.weight
}

func (c *cache) trim() {
	for e := c.recent.Back(); e != nil && c.weight > MaxCache; {
		o := e.Value.(*object)
		e = e.Prev()
		if o.pins == 0 && !o.dirty {
			c.recent.Remove(o.element)
			delete(c.objects, Object{o.family, o.key})
			c.weight -= o.weight
		}
	}
}
