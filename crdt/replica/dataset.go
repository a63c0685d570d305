package replica

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/zeebo/blake3"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/datastore"
)

// Dataset is a named set of CRDT objects, replicated as one unit. Its methods
// may be called concurrently.
type Dataset struct {
	r    *Replica
	id   DatasetID
	name string

	mu    sync.Mutex // guards the fields below; taken after Replica.cut
	cache *cache

	// The log: what we hold of each author, in memory and on disk. Of our own
	// author, logs counts only what is sealed and on disk.
	self    crdt.Author
	logs    map[crdt.Author]logHead
	durable map[crdt.Author]logState
	names   map[crdt.Author]authorHash // of those in logs
	slots   slots
	hashes  map[authorHash]crdt.Author
	intents map[authorHash]map[intent]struct{}

	// The state: what the objects contain. applied is their causal context;
	// of our own author it runs ahead of logs by the ops not yet in an entry.
	applied crdt.Version
	news    map[crdt.Author]struct{} // whose applied moved since our last entry

	// Facts about authors, by hash (control.go, fork.go).
	dead     map[authorHash]summary
	deadSize int // seqs in dead
	forked   map[authorHash]bool
	retired  map[authorHash]bool

	// What deps of accepted entries cover; see standing.go. Unused if everybody
	// may write.
	vouched crdt.Version
	excess  time.Time // since when the objects contain more than stands; zero: they do not

	clocks map[crdt.Author]time.Duration // of those far from ours: how far ahead

	parked    parked
	young     young
	watches   map[*Watch]struct{}
	shown     shown
	replaying bool   // the log is applied to a state that was just adopted
	joining   bool   // the state of another replica is being joined
	rank      uint64 // of the last group of a family that is not known

	// Upkeep.
	care      care
	stable    crdt.Version // what every author has signed that it applied, at the last pass
	unacked   bool         // there is news that no entry of ours has in its deps
	tombs     bool         // there may be tombstones to drop
	surveyed  bool         // tombs and buried are right
	buried    crdt.Version // the last deletions of sequence elements in this epoch
	tended    uint64       // sum of the version at the last pass
	swept     crdt.Version // up to where tombstones were dropped
	sweptGone uint32
	nextSweep time.Time

	// What the next commit takes.
	ops     []localOp
	learned []*Entry
	dirty   []*object
	touched map[crdt.Author]struct{} // foreign authors whose version row changes
	extra   []row

	digest      [32]byte // over durable; valid if digestValid
	digestValid bool
	sorted      []crdt.Author // the authors of durable, if they are as many
}

// logHead says which part of an author's log we hold: the entries behind seq
// cut, up to seq have. head is the id of the entry that ends at have, cutHead
// of the one that ended at cut.
//
//	┄┄┄ forgotten ┄┄┄ cut ──── entries ──── have
type logHead struct {
	have    uint64
	head    EntryID
	cut     uint64
	cutHead EntryID
}

// logState is a version row:
//
//	uvarint have ‖ head 32 ‖ uvarint applied ‖ uvarint cut ‖ cutHead 32
//
// applied is the last seq that the objects contain. A log that was never cut
// has no cutHead.
type logState struct {
	logHead
	applied uint64
}

func (l logState) append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, l.have)
	dst = append(dst, l.head[:]...)
	dst = binary.AppendUvarint(dst, l.applied)
	dst = binary.AppendUvarint(dst, l.cut)
	if l.cut > 0 {
		dst = append(dst, l.cutHead[:]...)
	}
	return dst
}

func decodeLogState(b []byte) (l logState, err error) {
	r := reader{b: b}
	l.have = r.uvarint()
	copy(l.head[:], r.bytes(len(l.head)))
	l.applied = r.uvarint()
	if l.cut = r.uvarint(); l.cut > 0 {
		copy(l.cutHead[:], r.bytes(len(l.cutHead)))
	}
	if r.err == nil && (len(r.b) != 0 || l.applied > l.have || l.cut > l.applied) {
		r.err = errors.New("does not make sense")
	}
	return l, r.err
}

// ID is the dataset's id.
func (d *Dataset) ID() DatasetID { return d.id }

// Name is the dataset's name.
func (d *Dataset) Name() string { return d.name }

func loadDataset(r *Replica, id DatasetID, name string) (*Dataset, error) {
	d := &Dataset{
		r: r, id: id, name: name, self: r.Author(),
		logs:    make(map[crdt.Author]logHead),
		durable: make(map[crdt.Author]logState),
		hashes:  make(map[authorHash]crdt.Author),
		names:   make(map[crdt.Author]authorHash),
		slots:   newSlots(),
		intents: make(map[authorHash]map[intent]struct{}),
		applied: make(crdt.Version),
		news:    make(map[crdt.Author]struct{}),
		dead:    make(map[authorHash]summary),
		forked:  make(map[authorHash]bool),
		retired: make(map[authorHash]bool),
		vouched: make(crdt.Version),
		clocks:  make(map[crdt.Author]time.Duration),
		watches: make(map[*Watch]struct{}),
		touched: make(map[crdt.Author]struct{}),
	}
	space, err := readSpace(r.store, id)
	if err != nil {
		return nil, err
	}
	d.cache = newCache(d, space)
	d.parked.init()
	d.hashes[hashAuthor(d.self)] = d.self
	logs, err := readLogs(r.store, id)
	if err != nil {
		return nil, err
	}
	for a, l := range logs {
		d.restore(a, l)
	}
	if err := d.loadFacts(); err != nil {
		return nil, err
	}
	if err := d.loadCare(); err != nil {
		return nil, err
	}
	if !r.store.WasClean() {
		if err := d.checkLogs(); err != nil {
			return nil, err
		}
	}
	if err := d.applyKept(); err != nil {
		return nil, err
	}
	for a, l := range d.durable {
		if l.applied < l.have {
			d.parked.stored(a)
		}
	}
	if err := d.loadVouched(); err != nil {
		return nil, err
	}
	if err := d.loadIntents(); err != nil {
		return nil, err
	}
	d.applyMore()
	for h := range d.intents {
		if a, ok := d.hashes[h]; ok {
			d.fulfil(context.Background(), a)
		}
	}
	return d, nil
}

func (d *Dataset) loadCare() error {
	d.care = newCare()
	d.tombs = true                // nobody has looked yet
	d.buried = make(crdt.Version) // set when it is known what there is to be buried
	b, err := d.r.store.Get(datastore.UpkeepKey(d.id))
	if errors.Is(err, datastore.ErrNotFound) {
		return nil
	}
	if err == nil {
		if d.care, err = decodeCare(b); err != nil {
			err = fmt.Errorf("upkeep row: %w: %w", err, datastore.ErrDamaged)
		}
	}
	return err
}

// readSpace finds the space of a dataset's objects.
func readSpace(r datastore.Reader, id DatasetID) (space datastore.Space, err error) {
	b, err := r.Get(datastore.SpaceKey(id))
	switch {
	case errors.Is(err, datastore.ErrNotFound):
		return id, nil
	case err == nil && len(b) != len(space):
		err = fmt.Errorf("space row of %d bytes: %w", len(b), datastore.ErrDamaged)
	}
	copy(space[:], b)
	return space, err
}

func (d *Dataset) restore(a crdt.Author, l logState) {
	d.addLog(a)
	d.durable[a] = l
	d.logs[a] = l.logHead
	d.applied[a] = l.applied
	if a != d.self {
		d.news[a] = struct{}{} // our next entry may depend on it
	}
}

func (d *Dataset) logState(a crdt.Author) logState {
	return logState{d.logs[a], d.applied[a]}
}

// Version is the durable log: author → last seq that this node can serve.
func (d *Dataset) Version() crdt.Version {
	return d.versionOf(func(l logState) uint64 { return l.have })
}

// Applied is what the objects durably contain: author → last seq.
func (d *Dataset) Applied() crdt.Version {
	return d.versionOf(func(l logState) uint64 { return l.applied })
}

func (d *Dataset) versionOf(seq func(logState) uint64) crdt.Version {
	d.mu.Lock()
	defer d.mu.Unlock()
	v := make(crdt.Version, len(d.durable))
	for a, l := range d.durable {
		v[a] = seq(l)
	}
	return v
}

// have is what we hold or are about to: what a peer need not send.
func (d *Dataset) have() summary {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := make(summary, len(d.logs))
	for a, l := range d.logs {
		if l.have > 0 && !d.isForked(a) {
			s[d.hash(a)] = l.have
		}
	}
	return s
}

// Digest is a hash of the durable log: equal digests mean equal logs.
func (d *Dataset) Digest() [32]byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.digestValid {
		h := blake3.NewDeriveKey(domainDigest)
		if len(d.sorted) != len(d.durable) {
			d.sorted = slices.SortedFunc(maps.Keys(d.durable), crdt.Author.Compare)
		}
		for _, a := range d.sorted {
			l := d.durable[a]
			if l.have == 0 || d.isForked(a) {
				continue
			}
			b := binary.BigEndian.AppendUint64(a.Append(nil), l.have)
			_, _ = h.Write(append(b, l.head[:]...))
		}
		copy(d.digest[:], h.Sum(nil))
		d.digestValid = true
	}
	return d.digest
}
