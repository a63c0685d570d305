package sandboxtest

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/numax-mesh/numax/sandbox"
)

// Node is a Host in memory: one node that never meets another. Its fields may be changed between runs.
type Node struct {
	SyncErr  error // what every CRDT and Net call answers, e.g. sandbox.ErrSyncDisabled
	WriteErr error // what every CRDT write, Ready and Commit answer, e.g. sandbox.ErrBusy
	KVErr    error // what every KV call answers

	ID    string
	Addrs []sandbox.Peer
	Vars  map[string]string
	Clock time.Time

	mu      sync.Mutex
	kv      map[string][]byte
	grow    map[string]uint64
	pn      map[string]int64
	lww     map[string][]byte
	maps    map[string]map[string][]byte
	sets    map[string]map[string]bool
	seqs    map[string][]rgaItem
	commits int
	ids     int
	logs    []string
	events  []Event
}

// Event is one event_emit.
type Event struct {
	Name    string
	Payload []byte
}

type rgaItem struct {
	id    string
	value []byte
	dead  bool
}

// NewNode is a node with empty stores and a clock that stands still.
func NewNode() *Node {
	return &Node{
		ID:    "node-1",
		Vars:  map[string]string{},
		Clock: time.UnixMilli(1_700_000_000_123),
		kv:    map[string][]byte{},
		grow:  map[string]uint64{},
		pn:    map[string]int64{},
		lww:   map[string][]byte{},
		maps:  map[string]map[string][]byte{},
		sets:  map[string]map[string]bool{},
		seqs:  map[string][]rgaItem{},
	}
}

// Host is n as the sandbox wants it.
func (n *Node) Host() sandbox.Host {
	return sandbox.Host{
		KV: (*memKV)(n), CRDT: (*memCRDT)(n), Net: (*memNet)(n),
		Env: func(name string) (string, error) {
			if v, ok := n.Vars[name]; ok {
				return v, nil
			}
			return "", sandbox.ErrNotFound
		},
		Now:  func() time.Time { return n.Clock },
		Log:  func(line string) { n.mu.Lock(); n.logs = append(n.logs, line); n.mu.Unlock() },
		Emit: func(name string, p []byte) { n.mu.Lock(); n.events = append(n.events, Event{name, p}); n.mu.Unlock() },
	}
}

// Logs is every line logged so far.
func (n *Node) Logs() []string { n.mu.Lock(); defer n.mu.Unlock(); return slices.Clone(n.logs) }

// Events is every event emitted so far.
func (n *Node) Events() []Event { n.mu.Lock(); defer n.mu.Unlock(); return slices.Clone(n.events) }

// Commits is how often Commit was called.
func (n *Node) Commits() int { n.mu.Lock(); defer n.mu.Unlock(); return n.commits }

type memNet Node

func (n *memNet) NodeID() (string, error)        { return n.ID, n.SyncErr }
func (n *memNet) Peers() ([]sandbox.Peer, error) { return n.Addrs, n.SyncErr }

type memKV Node

func (n *memKV) Get(key []byte) ([]byte, bool, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	v, ok := n.kv[string(key)]
	return v, ok, n.KVErr
}

func (n *memKV) Set(key, value []byte) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.KVErr == nil {
		n.kv[string(key)] = value
	}
	return n.KVErr
}

func (n *memKV) Delete(key []byte) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.KVErr == nil {
		delete(n.kv, string(key))
	}
	return n.KVErr
}

func (n *memKV) Exists(key []byte) (bool, error) {
	_, ok, err := n.Get(key)
	return ok, err
}

func (n *memKV) Scan(prefix, after []byte, visit func(key, value []byte) bool) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.KVErr != nil {
		return n.KVErr
	}
	for _, k := range sortedKeys(n.kv) {
		if !bytes.HasPrefix([]byte(k), prefix) || after != nil && k <= string(after) {
			continue
		}
		if !visit([]byte(k), n.kv[k]) {
			break
		}
	}
	return nil
}

type memCRDT Node

// write does f under the lock unless writes are refused.
func (n *memCRDT) write(f func()) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.SyncErr != nil {
		return n.SyncErr
	}
	if n.WriteErr == nil {
		f()
	}
	return n.WriteErr
}

func (n *memCRDT) read(f func()) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.SyncErr == nil {
		f()
	}
	return n.SyncErr
}

func (n *memCRDT) Ready() error { return n.write(func() {}) }

func (n *memCRDT) Commit(ctx context.Context) error {
	if err := n.write(func() { n.commits++ }); err != nil {
		return err
	}
	return ctx.Err()
}

func (n *memCRDT) GCounterInc(key string, delta uint64) error {
	return n.write(func() {
		if n.grow[key] > math.MaxUint64-delta {
			n.grow[key] = math.MaxUint64
		} else {
			n.grow[key] += delta
		}
	})
}

func (n *memCRDT) GCounterValue(key string) (v uint64, err error) {
	err = n.read(func() { v = n.grow[key] })
	return v, err
}

func (n *memCRDT) PNCounterInc(key string, delta uint64) error {
	return n.write(func() { n.pn[key] += int64(delta) })
}

func (n *memCRDT) PNCounterDec(key string, delta uint64) error {
	return n.write(func() { n.pn[key] -= int64(delta) })
}

func (n *memCRDT) PNCounterValue(key string) (v int64, err error) {
	err = n.read(func() { v = n.pn[key] })
	return v, err
}

func (n *memCRDT) LWWSet(key string, value []byte) error {
	return n.write(func() { n.lww[key] = value })
}

func (n *memCRDT) LWWGet(key string) (v []byte, ok bool, err error) {
	err = n.read(func() { v, ok = n.lww[key] })
	return v, ok, err
}

func (n *memCRDT) MapSet(key, field string, value []byte) error {
	return n.write(func() {
		if n.maps[key] == nil {
			n.maps[key] = map[string][]byte{}
		}
		n.maps[key][field] = value
	})
}

func (n *memCRDT) MapRemove(key, field string) error {
	return n.write(func() { delete(n.maps[key], field) })
}

func (n *memCRDT) MapGet(key, field string) (v []byte, ok bool, err error) {
	err = n.read(func() { v, ok = n.maps[key][field] })
	return v, ok, err
}

func (n *memCRDT) MapContains(key, field string) (bool, error) {
	_, ok, err := n.MapGet(key, field)
	return ok, err
}

func (n *memCRDT) MapEntries(key string, visit func(string, []byte) bool) error {
	return n.read(func() {
		for _, f := range sortedKeys(n.maps[key]) {
			if !visit(f, n.maps[key][f]) {
				return
			}
		}
	})
}

func (n *memCRDT) SetAdd(key, elem string) error {
	return n.write(func() {
		if n.sets[key] == nil {
			n.sets[key] = map[string]bool{}
		}
		n.sets[key][elem] = true
	})
}

func (n *memCRDT) SetRemove(key, elem string) error {
	return n.write(func() { delete(n.sets[key], elem) })
}

func (n *memCRDT) SetContains(key, elem string) (ok bool, err error) {
	err = n.read(func() { ok = n.sets[key][elem] })
	return ok, err
}

func (n *memCRDT) SetElements(key string, visit func(string) bool) error {
	return n.read(func() {
		for _, e := range sortedKeys(n.sets[key]) {
			if !visit(e) {
				return
			}
		}
	})
}

func (n *memCRDT) RGAInsert(key, parent string, value []byte) (id string, err error) {
	err = n.write(func() {
		n.ids++
		id = fmt.Sprintf("%032d", n.ids)
		at := 1 + slices.IndexFunc(n.seqs[key], func(it rgaItem) bool { return it.id == parent })
		n.seqs[key] = slices.Insert(n.seqs[key], at, rgaItem{id: id, value: value})
	})
	return id, err
}

func (n *memCRDT) RGADelete(key, id string) error {
	return n.write(func() {
		for i := range n.seqs[key] {
			if n.seqs[key][i].id == id {
				n.seqs[key][i].dead = true
			}
		}
	})
}

func (n *memCRDT) RGAValues(key string, visit func([]byte) bool) error {
	return n.read(func() {
		for _, it := range n.seqs[key] {
			if !it.dead && !visit(it.value) {
				return
			}
		}
	})
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
