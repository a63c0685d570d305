package replica

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/datastore"
)

// MaxDatasetName is the longest name of a dataset, in bytes.
const MaxDatasetName = 128

const replicaIDSize = 8

var (
	infoReplicaID = datastore.InfoKey("replica")
	infoPlace     = datastore.InfoKey("place")
)

// Options of Open. Store, Key and Network are required.
type Options struct {
	// Place names where the store is. If it is another than the store was last
	// opened at, the store is a copy, and goes on as a new author.
	Place []byte

	Store     *datastore.Store
	Key       ed25519.PrivateKey // this node's identity; signs its entries
	Network   NetworkID
	Mesh      Mesh             // nil: no other node is ever talked to
	Now       func() time.Time // default time.Now
	Log       *slog.Logger     // default: discard
	Retention Retention

	// Authorize says up to which op an author's log is taken in a dataset;
	// math.MaxUint64 for one that may write. nil: everybody may. Called with locks
	// held: it must be fast, and not call back. See Reauthorize.
	Authorize func(DatasetID, crdt.Author) uint64
	// Keys are those of the bodies; nil: bodies are not encrypted.
	Keys Keyring
	// MayRead says which peers may be sent whole states, which are not encrypted;
	// nil: all.
	MayRead func(peer string) bool
	// Administers says which peers are administrators, whose states are believed
	// before those of others; nil: none.
	Administers func(peer string) bool
}

// Replica is this node's copy of all its datasets. Its methods may be called
// concurrently.
type Replica struct {
	store     *datastore.Store
	key       ed25519.PrivateKey
	network   NetworkID
	mesh      Mesh
	now       func() time.Time
	log       *slog.Logger
	stats     Stats
	ahead     atomic.Int64 // bytes of entries that serves have read ahead
	retention Retention
	authorize func(DatasetID, crdt.Author) uint64
	keys      Keyring
	mayRead   func(peer string) bool

	administers func(peer string) bool
	sealed      atomic.Pointer[sealKey] // for what was accepted last
	// tending is held by a pass of upkeep, and while a join begins or is adopted:
	// none of them sees the other half done. Taken before cut.
	tending gate
	compact [][]byte // ranges to compact after the pass; guarded by tending

	// cut separates group commits: whoever changes state in memory shares it,
	// the committer takes it whole for the moment in which it gathers what a
	// batch holds. So a batch is a prefix of everything that happened on this
	// node, across datasets and db_* keys. Taken before any Dataset.mu.
	cut       sync.RWMutex
	queue     queue
	kv        kv
	inline    bucket      // only the committer uses it
	held      held        // decoded bodies
	hurt      atomic.Bool // a write beside the log failed: the store is to be reopened
	rotate    atomic.Bool // a new replica id is due at the next commit
	gaps      chan gap
	kick      chan struct{}
	tidy      chan struct{}
	turns     checkTurns
	exclusive chan exclusive

	mu       sync.Mutex // guards the fields below
	datasets map[DatasetID]*Dataset
	sessions map[string]*session
	dials    map[string]*dial
	author   crdt.Author
	clock    crdt.Clock
}

// Open reads this store's author and its datasets. After an unclean stop it
// checks every author's log and says what is missing. Run does the work.
func Open(o Options) (*Replica, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Mesh == nil {
		o.Mesh = noMesh{}
	}
	r := &Replica{
		store: o.Store, key: o.Key, network: o.Network, mesh: o.Mesh, now: o.Now, log: o.Log,
		tending: make(gate, 1), retention: o.Retention.orDefault(), exclusive: make(chan exclusive), turns: newCheckTurns(), tidy: make(chan struct{}, 1),
		datasets:  make(map[DatasetID]*Dataset),
		sessions:  make(map[string]*session),
		dials:     make(map[string]*dial),
		authorize: o.Authorize, keys: o.Keys, mayRead: o.MayRead, administers: o.Administers,
		inline: bucket{rate: inlineRate, burst: inlineBurst},
		gaps:   make(chan gap, maxGaps),
		kick:   make(chan struct{}, 1),
	}
	r.queue.init()
	r.kv.init(r)
	if err := r.loadAuthor(o.Place); err != nil {
		return nil, fmt.Errorf("replica: open: %w", err)
	}
	names := make(map[DatasetID]string)
	prefix := datastore.DatasetsPrefix()
	err := datastore.ScanPrefix(r.store, prefix, func(k, v []byte) bool {
		var id DatasetID
		copy(id[:], k[len(prefix):])
		names[id] = string(v)
		return true
	})
	if err != nil {
		return nil, fmt.Errorf("replica: open: %w", err)
	}
	for id, name := range names {
		if id != NewDatasetID(r.network, name) {
			continue // kept for the network it belongs to
		}
		if err := r.openDataset(id, name); err != nil {
			return nil, fmt.Errorf("replica: open dataset %q: %w", name, err)
		}
	}
	for _, d := range r.datasets {
		if d.isForked(r.author) {
			var b datastore.Batch
			r.newAuthor(&b)
			if err := r.store.Write(&b); err != nil {
				return nil, fmt.Errorf("replica: open: %w", err)
			}
		}
	}
	for _, d := range r.datasets {
		if d.self != r.author { // a dataset that was loaded later is why
			d.become(r.author)
		}
	}
	return r, nil
}

// loadAuthor goes on as the store's author, or as a new one if the store is new
// or is not where it was.
func (r *Replica) loadAuthor(place []byte) error {
	id, err := r.store.Get(infoReplicaID)
	fresh := errors.Is(err, datastore.ErrNotFound)
	if err != nil && !fresh {
		return err
	}
	if !fresh && len(id) != replicaIDSize {
		return fmt.Errorf("replica id of %d bytes: %w", len(id), datastore.ErrDamaged)
	}
	last, err := r.store.Get(infoPlace)
	if err != nil && !errors.Is(err, datastore.ErrNotFound) {
		return err
	}
	copied := len(last) > 0 && len(place) > 0 && !bytes.Equal(last, place)
	if !fresh {
		r.author = r.authorOf(id)
	}
	var b datastore.Batch
	if len(place) > 0 && !bytes.Equal(last, place) {
		b.Put(infoPlace, place)
	}
	if fresh || copied {
		r.newAuthor(&b)
	}
	if copied {
		r.log.Warn("the data directory was copied, moved or restored: writing on as a new replica")
	}
	if b.Len() == 0 {
		return nil
	}
	return r.store.Write(&b)
}

func (r *Replica) authorOf(replicaID []byte) crdt.Author {
	var b [crdt.AuthorSize]byte
	copy(b[:], r.key.Public().(ed25519.PublicKey))
	copy(b[ed25519.PublicKeySize:], replicaID)
	return crdt.MakeAuthor(b)
}

// newAuthor gives this store a new replica id, and so a new, empty log: the
// way to go on when seqs of the old one may be in use elsewhere. The caller
// writes b before any entry of the new author.
func (r *Replica) newAuthor(b *datastore.Batch) {
	id := make([]byte, replicaIDSize)
	_, _ = rand.Read(id) // never fails
	b.Put(infoReplicaID, id)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.author = r.authorOf(id)
}

// Author is whom this store's entries are by.
func (r *Replica) Author() crdt.Author {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.author
}

// Dataset opens the dataset called name, made if this store has none.
func (r *Replica) Dataset(name string) (*Dataset, error) {
	if name == "" || len(name) > MaxDatasetName {
		return nil, fmt.Errorf("replica: dataset name %q: want 1 to %d bytes", name, MaxDatasetName)
	}
	id := NewDatasetID(r.network, name)
	if d := r.dataset(id); d != nil {
		return d, nil
	}
	var b datastore.Batch
	b.Put(datastore.DatasetKey(id), []byte(name))
	if err := r.store.Write(&b); err != nil {
		return nil, fmt.Errorf("replica: dataset %q: %w", name, err)
	}
	if err := r.openDataset(id, name); err != nil {
		return nil, fmt.Errorf("replica: dataset %q: %w", name, err)
	}
	r.datasetsChanged()
	return r.dataset(id), nil
}

// Datasets are the open datasets by name.
func (r *Replica) Datasets() []*Dataset {
	r.mu.Lock()
	all := make([]*Dataset, 0, len(r.datasets))
	for _, d := range r.datasets {
		all = append(all, d)
	}
	r.mu.Unlock()
	slices.SortFunc(all, func(a, b *Dataset) int { return strings.Compare(a.name, b.name) })
	return all
}

func (r *Replica) dataset(id DatasetID) *Dataset {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.datasets[id]
}

func (r *Replica) openDataset(id DatasetID, name string) error {
	d, err := loadDataset(r, id, name)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.datasets[id] == nil {
		r.datasets[id] = d
	}
	return nil
}

// stamp is the time of a local write.
func (r *Replica) stamp() crdt.HLC {
	ms := r.now().UnixMilli()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.clock.Now(ms)
}

func (r *Replica) observe(t crdt.HLC) {
	ms := r.now().UnixMilli()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.clock.Observe(t, ms)
}

// Run commits and repairs until ctx ends, then commits what is left. Writes
// are refused after it returns.
func (r *Replica) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { r.repair(ctx) })
	wg.Go(func() { r.upkeep(ctx) })
	r.upkeepSoon() // what a crash has left
	err := r.commitLoop(ctx)
	wg.Wait()
	return err
}
