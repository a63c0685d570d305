package guest

import (
	"bytes"
	"sync"
	"sync/atomic"

	"github.com/numax-mesh/numax/crdt/replica"
	"github.com/numax-mesh/numax/sandbox"
)

// keys is sandbox.KV over a module's key space.
type keys struct {
	*Guest
	keys  *replica.Keys
	space *Space
}

func (k keys) Get(key []byte) ([]byte, bool, error) { return k.keys.Get(key) }

func (k keys) Set(key, value []byte) error {
	return k.put(key, len(value), rowCost(len(key), len(value)), func() error { return k.keys.Set(k.ctx, key, value) })
}

func (k keys) Delete(key []byte) error {
	return k.put(key, 0, 0, func() error { return k.keys.Delete(k.ctx, key) })
}

// rowOverhead is what a row takes beside its key and value: the module's name before the key, what the store notes of
// each row, and the row's turn in the journal. Without it a module of nothing but tiny keys would take many times its
// storage.
const rowOverhead = 64

// rowCost is what a key with its value takes of its module's storage.
func rowCost(key, value int) int { return key + value + rowOverhead }

// put counts a write of a key and so many bytes of value, and what it makes of the module's space: afterwards the pair takes
// size.
func (k keys) put(key []byte, value, size int, write func() error) error {
	if err := k.writes.take(1, len(key)+value); err != nil {
		return err
	}
	k.wrote = true
	if k.space == nil {
		return guestError(write())
	}
	k.space.mu.Lock()
	defer k.space.mu.Unlock()
	before := 0
	if old, ok, err := k.keys.Get(key); err != nil {
		return err
	} else if ok {
		before = rowCost(len(key), len(old))
	}
	if size > before && k.space.used.Load()+int64(size-before) > k.space.limit.Load() {
		return sandbox.ErrQuota
	}
	err := guestError(write())
	if err == nil {
		k.space.used.Add(int64(size - before))
	}
	return err
}

func (k keys) Exists(key []byte) (bool, error) {
	_, ok, err := k.keys.Get(key)
	return ok, err
}

func (k keys) Scan(prefix, after []byte, visit func(key, value []byte) bool) error {
	return k.keys.Scan(prefix, after, visit)
}

// Space is how much a module keeps: its keys and values, each pair with rowOverhead, and its blobs. It is shared by the
// module's instances, and safe for concurrent use.
type Space struct {
	limit, used atomic.Int64
	mu          sync.Mutex // orders the writes, which change used
}

// NewSpace counts what a module keeps already under its keys, and adds what it keeps elsewhere.
func NewSpace(k *replica.Keys, elsewhere int64) (*Space, error) {
	s := new(Space)
	s.used.Store(elsewhere)
	err := k.Scan(nil, nil, func(key, value []byte) bool {
		if bytes.HasPrefix(key, []byte("__nx/")) {
			return true // the host's
		}
		s.used.Add(int64(rowCost(len(key), len(value))))
		return true
	})
	return s, err
}

// SetLimit bounds it; what is there already stays.
func (s *Space) SetLimit(bytes int64) { s.limit.Store(bytes) }

// Add takes so many bytes more, for what is not kept under keys: ErrQuota if there is no room, and nothing is taken.
// Bytes below zero are given back.
func (s *Space) Add(bytes int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if bytes > 0 && bytes > s.limit.Load()-s.used.Load() {
		return sandbox.ErrQuota
	}
	s.used.Add(bytes)
	return nil
}

// Used is how many bytes the module keeps.
func (s *Space) Used() int64 { return s.used.Load() }
