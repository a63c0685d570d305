package replica

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/numax-mesh/numax/datastore"
)

// kv holds the db_* writes that are not on disk yet. They share the commit
// queue with the CRDT ops, so that a crash keeps a prefix of both.
type kv struct {
	r  *Replica
	mu sync.RWMutex // guards the fields below; taken after Replica.cut

	// Full keys to values; nil means deleted. Reads look at pending, then at
	// flushing (what a commit is writing just now), then at the store.
	pending  map[string][]byte
	flushing map[string][]byte
}

func (kv *kv) init(r *Replica) {
	kv.r = r
	kv.pending = make(map[string][]byte)
}

func (kv *kv) cut(b *datastore.Batch) {
	kv.mu.Lock()
	defer kv.mu.Unlock()
	kv.flushing, kv.pending = kv.pending, make(map[string][]byte)
	for k, v := range kv.flushing {
		if v == nil {
			b.Delete([]byte(k))
		} else {
			b.Put([]byte(k), v)
		}
	}
}

func (kv *kv) committed() {
	kv.mu.Lock()
	defer kv.mu.Unlock()
	kv.flushing = nil
}

func (kv *kv) lookup(key string) (value []byte, ok bool) {
	if v, ok := kv.pending[key]; ok {
		return v, true
	}
	v, ok := kv.flushing[key]
	return v, ok
}

// Keys is the private key space of one module: the db_* calls. It is not
// replicated. Its methods may be called concurrently.
type Keys struct {
	r      *Replica
	prefix []byte
}

// Keys returns the key space of a module.
func (r *Replica) Keys(module string) *Keys {
	return &Keys{r: r, prefix: datastore.ModulePrefix(module)}
}

func (k *Keys) full(key []byte) []byte { return append(bytes.Clone(k.prefix), key...) }

// Get returns a copy of the value.
func (k *Keys) Get(key []byte) (value []byte, ok bool, err error) {
	full := k.full(key)
	kv := &k.r.kv
	// Held across the read: else a commit could end between the two looks.
	kv.mu.RLock()
	defer kv.mu.RUnlock()
	if v, ok := kv.lookup(string(full)); ok {
		return bytes.Clone(v), v != nil, nil
	}
	v, err := k.r.store.Get(full)
	if errors.Is(err, datastore.ErrNotFound) {
		return nil, false, nil
	}
	return v, err == nil, err
}

// Set writes a value; the key and value are copied.
func (k *Keys) Set(ctx context.Context, key, value []byte) error {
	v := make([]byte, len(value)) // never nil
	copy(v, value)
	return k.write(ctx, key, v)
}

// Delete removes a key; it need not exist.
func (k *Keys) Delete(ctx context.Context, key []byte) error { return k.write(ctx, key, nil) }

func (k *Keys) write(ctx context.Context, key, value []byte) error {
	if err := k.r.queue.admit(ctx); err != nil {
		return err
	}
	full := k.full(key)
	if err := k.r.enter(); err != nil {
		return err
	}
	defer k.r.cut.RUnlock()
	kv := &k.r.kv
	kv.mu.Lock()
	kv.pending[string(full)] = value
	kv.mu.Unlock()
	k.r.queue.push(len(full)+len(value), len(full)+len(value))
	return nil
}

// Scan visits the pairs whose key begins with prefix and, with after not nil,
// is greater than after, in key order. The slices are valid during the call.
func (k *Keys) Scan(prefix, after []byte, visit func(key, value []byte) bool) error {
	start := k.full(prefix)
	limit := datastore.After(start)
	if after != nil {
		if a := append(k.full(after), 0); bytes.Compare(a, start) > 0 {
			start = a
		}
	}
	fresh, view, err := k.r.kv.at(start, limit)
	if err != nil {
		return err
	}
	defer view.Close()
	stop := false
	emit := func(key, v []byte) bool {
		stop = stop || !visit(key[len(k.prefix):], v)
		return !stop
	}
	emitFresh := func() bool {
		p := fresh[0]
		fresh = fresh[1:]
		return p.value == nil || emit([]byte(p.key), p.value)
	}
	err = view.Scan(start, limit, func(key, v []byte) bool {
		for len(fresh) > 0 && fresh[0].key < string(key) {
			if !emitFresh() {
				return false
			}
		}
		if len(fresh) > 0 && fresh[0].key == string(key) {
			return emitFresh()
		}
		return emit(key, v)
	})
	for err == nil && !stop && len(fresh) > 0 {
		emitFresh()
	}
	return err
}

// pair is a write that is not on disk yet; a nil value means deleted.
type pair struct {
	key   string
	value []byte
}

// at returns what a reader of [start, limit) sees now: the writes that are not on
// disk yet, in the order of their keys, and a view of the disk below them. So a long
// read keeps no write waiting.
func (kv *kv) at(start, limit []byte) ([]pair, *datastore.View, error) {
	kv.mu.RLock()
	defer kv.mu.RUnlock()
	var fresh []pair
	for _, m := range []map[string][]byte{kv.pending, kv.flushing} {
		for key, v := range m {
			if key >= string(start) && (limit == nil || key < string(limit)) {
				fresh = append(fresh, pair{key, v})
			}
		}
	}
	// The newer of two writes of a key comes first, and stays.
	slices.SortStableFunc(fresh, func(p, q pair) int { return strings.Compare(p.key, q.key) })
	fresh = slices.CompactFunc(fresh, func(p, q pair) bool { return p.key == q.key })
	view, err := kv.r.store.View()
	return fresh, view, err
}
