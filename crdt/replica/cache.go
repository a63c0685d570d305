package replica

import (
	"bytes"
	"container/list"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/datastore"
)

// MaxCache is how many bytes of object state a dataset keeps in memory;
// objects in use or not yet on disk may exceed it.
const MaxCache = 32 << 20

// What was used in the last moment may take as much again, and the object used last
// what it likes: or one that is large would be read again for each op on it.
const (
	justUsed = 2 * time.Second
	maxInUse = 2 * MaxCache
)

// Object names one CRDT of a dataset.
type Object struct {
	Family crdt.Family
	Key    string
}

// object is a cached object. Its fields are guarded by Dataset.mu.
type object struct {
	cache   *cache
	family  crdt.Family
	key     string
	state   crdt.Object // nil while loading
	err     error
	pins    int // users and unfinished commits; not evicted while > 0
	dirty   bool
	weight  int
	element *list.Element
	used    time.Time
}

// cache holds the objects in use of one space, least recently used last. When
// another space takes its place, so does another cache; an object of the old one
// may be read by who has it, but not changed any more.
type cache struct {
	space   datastore.Space
	objects map[Object]*object
	recent  *list.List
	weight  int
	loaded  sync.Cond // on Dataset.mu: some object finished loading
}

func newCache(d *Dataset, space datastore.Space) *cache {
	c := &cache{space: space, objects: make(map[Object]*object), recent: list.New()}
	c.loaded.L = &d.mu
	return c
}

// acquire returns the object pinned, read from the store if need be.
func (d *Dataset) acquire(family crdt.Family, key string) (*object, error) {
	all, err := d.acquireAll([]Object{{family, key}})
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// acquireAll returns the objects pinned, in their order. Nobody waits for the
// disk with a lock held: a loading object is in the map without state, and
// those who want it too wait for it. With an error nothing is pinned.
func (d *Dataset) acquireAll(ids []Object) ([]*object, error) {
	now := d.r.now()
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.cache
	all := make([]*object, len(ids))
	var missing []*object
	for i, id := range ids {
		o := c.objects[id]
		if o == nil {
			o = &object{cache: c, family: id.Family, key: id.Key}
			c.objects[id] = o
			missing = append(missing, o)
		}
		o.pins++
		all[i] = o
	}
	if len(missing) > 0 {
		aged := d.epochs()
		d.mu.Unlock()
		states, err := d.readAll(c.space, missing)
		for i := range states {
			states[i].Age(aged)
		}
		d.mu.Lock()
		for i, o := range missing {
			if o.err = err; err != nil {
				delete(c.objects, Object{o.family, o.key})
				continue
			}
			o.state = states[i]
			if h := d.epochs(); h.Epoch != aged.Epoch || h.Dead != aged.Dead {
				o.state.Age(h)
			}
			o.element = c.recent.PushFront(o)
			o.used = now
			c.reweigh(o)
		}
		c.loaded.Broadcast()
	}
	// Ours are loaded before we wait for others', so two who wait for each
	// other's both go on.
	var failed error
	for _, o := range all {
		for o.state == nil && o.err == nil {
			c.loaded.Wait()
		}
		if o.err != nil {
			failed = o.err
		} else {
			c.recent.MoveToFront(o.element)
			o.used = now
		}
	}
	if failed != nil {
		for _, o := range all {
			o.pins--
		}
		return nil, failed
	}
	return all, nil
}

func (d *Dataset) release(objects ...*object) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, o := range objects {
		o.pins--
	}
	d.cache.trim(d.r.now())
}

// readAll builds objects from their rows.
func (d *Dataset) readAll(space datastore.Space, objects []*object) ([]crdt.Object, error) {
	states := make([]crdt.Object, len(objects))
	prefixes := make([][]byte, len(objects))
	order := make([]int, len(objects))
	for i, o := range objects {
		state, err := crdt.New(o.family)
		if err != nil {
			return nil, fmt.Errorf("replica: %w", err)
		}
		states[i] = state
		prefixes[i] = datastore.ObjectPrefix(nil, space, byte(o.family), []byte(o.key))
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return bytes.Compare(prefixes[a], prefixes[b]) })
	sorted := make([][]byte, len(order))
	for i, at := range order {
		sorted[i] = prefixes[at]
	}
	var bad error
	err := d.r.store.ScanPrefixes(sorted, func(i int, k, v []byte) bool {
		bad = states[order[i]].Load(k[len(sorted[i]):], v)
		return bad == nil
	})
	for i := 0; i < len(states) && err == nil && bad == nil; i++ {
		bad = states[i].Loaded()
	}
	if bad != nil {
		err = fmt.Errorf("%w: %w", datastore.ErrDamaged, bad)
	}
	if err != nil {
		return nil, fmt.Errorf("replica: read %d objects from %s %q on: %w", len(objects), objects[0].family, objects[0].key, err)
	}
	return states, nil
}

func (c *cache) reweigh(o *object) {
	c.weight -= o.weight
	o.weight = o.state.Weight() + len(o.key)
	c.weight += o.weight
}

// trim lets go of what was not used lately.
func (c *cache) trim(now time.Time) {
	for e := c.recent.Back(); e != nil && e != c.recent.Front() && c.weight > MaxCache; {
		o := e.Value.(*object)
		e = e.Prev()
		if now.Sub(o.used) < justUsed && c.weight <= maxInUse {
			return // those in front were used later still
		}
		if o.pins == 0 && !o.dirty {
			c.recent.Remove(o.element)
			delete(c.objects, Object{o.family, o.key})
			c.weight -= o.weight
		}
	}
}
