package sandbox

import (
	"context"
	"crypto/rand"
	"io"
	mathrand "math/rand/v2"
	"time"

	"github.com/zeebo/blake3"
)

// KV is the module's private key-value space, behind the db_* functions. Keys and values are raw bytes; keys that
// start with "__nx/" never come here. Bytes given to Set and Delete belong to the host from then on; the others may
// be used until the method returns. Methods are called by one guest at a time, but guests may share a KV.
type KV interface {
	// Get returns a value that the sandbox only reads, and only until the next call.
	Get(key []byte) (value []byte, ok bool, err error)
	Set(key, value []byte) error
	// Delete of an absent key is not an error.
	Delete(key []byte) error
	Exists(key []byte) (bool, error)
	// Scan visits the keys that start with prefix, ascending by bytes; those > after only, when after is not nil
	// (after need not exist). It stops when visit returns false. The slices are valid during the visit.
	Scan(prefix, after []byte, visit func(key, value []byte) (more bool)) error
}

// CRDT is the guest's dataset, behind the crdt_* functions. The six families have separate key spaces. A write
// returns once it is applied in memory, so that the guest reads what it wrote. Every method may return
// ErrSyncDisabled, and writes ErrBusy, both without effect. Value slices given to a write belong to the host from
// then on; slices given to a visit are valid during it. Visits ascend by bytes, except RGAValues, which is in
// sequence order; they stop when visit returns false.
type CRDT interface {
	// Ready is what a write would answer now: nil, ErrSyncDisabled or ErrBusy. RGAInsert needs to know before it
	// may have an effect.
	Ready() error

	GCounterInc(key string, delta uint64) error
	GCounterValue(key string) (uint64, error) // an absent counter is 0

	PNCounterInc(key string, delta uint64) error
	PNCounterDec(key string, delta uint64) error
	PNCounterValue(key string) (int64, error)

	LWWSet(key string, value []byte) error
	LWWGet(key string) (value []byte, ok bool, err error)

	MapSet(key, field string, value []byte) error
	MapRemove(key, field string) error // writes a tombstone even for a field never set
	MapGet(key, field string) (value []byte, ok bool, err error)
	MapContains(key, field string) (bool, error)
	MapEntries(key string, visit func(field string, value []byte) (more bool)) error

	SetAdd(key, elem string) error
	SetRemove(key, elem string) error // of an absent element is no op
	SetContains(key, elem string) (bool, error)
	SetElements(key string, visit func(elem string) (more bool)) error

	// RGAInsert puts value after parent; "" and unknown parents mean the head. id is at most 36 ASCII bytes.
	RGAInsert(key, parent string, value []byte) (id string, err error)
	RGADelete(key, id string) error // any id is accepted
	RGAValues(key string, visit func(value []byte) (more bool)) error

	// Commit returns when everything this guest wrote so far, through KV too, is on disk.
	Commit(ctx context.Context) error
}

// Net is what a guest may know of the network. Both return ErrSyncDisabled when there is none.
type Net interface {
	NodeID() (string, error)
	Peers() ([]Peer, error) // in any order
}

// Peer is a connected node.
type Peer struct{ Addr, ID string }

// Host is what stands behind a guest's imports. What is nil is not there: a nil KV answers -6 (not granted), a nil
// CRDT or Net -5 (no sync), a nil Env knows no variable; Log and Emit drop; Now and Rand are the system's.
// Functions are called from the goroutine of Run, never after Run has returned.
type Host struct {
	KV   KV
	CRDT CRDT
	Net  Net

	// Nil answers -6, as do randomness and wall clock when they are withheld. WASI, which language runtimes need to
	// start, then has a clock that stands at 1970 and randomness that is the same for every instance of a module.
	Service        Service
	Messages       Messages
	Fetch          Fetcher
	Blobs          Blobs
	WithholdTime   bool
	WithholdRandom bool

	Env  func(name string) (value string, err error) // ErrNotFound if unset; asked only for names the ABI allows
	Now  func() time.Time
	Rand io.Reader
	Log  func(line string)                 // "[guest] …", valid UTF-8, no newline added
	Emit func(name string, payload []byte) // the payload belongs to Emit

	// Calling is told of the context of each call of the guest, before it begins.
	Calling func(ctx context.Context)
	// Count is told, after each call of the guest, how often it called each nx function and about how long that took
	// together, by the calls that were timed: some.
	Count func(call string, calls uint64, took time.Duration)
	// Observe is told how long each nx call took. It is for measuring: to look at the clock takes its time too.
	Observe func(call string, took time.Duration)
	// Denied is told of every nx call that answered -6.
	Denied func(call string)
}

func (h Host) withDefaults(module string) Host {
	if h.Env == nil {
		h.Env = func(string) (string, error) { return "", ErrNotFound }
	}
	if h.Now == nil {
		h.Now = time.Now
	}
	if h.WithholdRandom {
		h.Rand = mathrand.NewChaCha8(blake3.Sum256([]byte(module)))
	}
	if h.Rand == nil {
		h.Rand = rand.Reader
	}
	if h.Log == nil {
		h.Log = func(string) {}
	}
	if h.Emit == nil {
		h.Emit = func(string, []byte) {}
	}
	return h
}
