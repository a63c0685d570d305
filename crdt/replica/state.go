package replica

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/zeebo/blake3"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/datastore"
)

// A state is everything that a replica has applied of a dataset, at one moment:
// for who is below the cut of the logs, and as a file. It is a manifest, the
// rows in the order of their keys, and a seal.
//
//	manifest := version 1 ‖ network 32 ‖ dataset 16 ‖ uvarint len ‖ name ‖ author 40 ‖ hlc 8 ‖ uvarint epoch
//	            ‖ uvarint n ‖ n × (author 40 ‖ uvarint seq ‖ head 32)      ascending by author
//	rows     := codec 1 ‖ n × (uvarint shared ‖ uvarint len ‖ rest of key ‖ uvarint len ‖ value)
//	seal     := uvarint rows ‖ hash 32 ‖ signature 64
//
// The manifest's author is who made it, its list the version of the state and
// the entry each log has come to. A key shares its first bytes with the one
// before; it begins with its table:
//
//	a‖author 40                     → ack row (acks.go)
//	m‖esc(module)‖key               → db_* value; in files only
//	o‖family 1‖esc(key)‖slot        → one slot of an object
//	x‖kind 1‖author hash 16         → a fact about an author (control.go)
//
// hash is BLAKE3 over the manifest and all rows, before compression; the
// signature is by the manifest's author over a domain and the hash. So the state
// is as its maker had it; what the maker had is its word, for the entries that
// would prove it are gone.
const (
	stateVersion = 1
	stateChunk   = 256 << 10 // bytes of rows in one frame, about

	stateAcks    = 'a'
	stateModules = 'm'
	stateObjects = 'o'
	stateFacts   = 'x'
)

const domainState = "numax 2026-11 state"

// manifest is what a state is of.
type manifest struct {
	network NetworkID
	dataset DatasetID
	name    string
	author  crdt.Author
	time    crdt.HLC
	epoch   uint32                  // the maker's; the tombstones of its rows are of this or older ones
	logs    map[crdt.Author]logHead // have and head only
}

func (m *manifest) version() crdt.Version {
	v := make(crdt.Version, len(m.logs))
	for a, l := range m.logs {
		v[a] = l.have
	}
	return v
}

func (m *manifest) encode() []byte {
	b := append([]byte{stateVersion}, m.network[:]...)
	b = append(b, m.dataset[:]...)
	b = append(binary.AppendUvarint(b, uint64(len(m.name))), m.name...)
	b = binary.BigEndian.AppendUint64(m.author.Append(b), uint64(m.time))
	b = binary.AppendUvarint(b, uint64(m.epoch))
	b = binary.AppendUvarint(b, uint64(len(m.logs)))
	for _, a := range slices.SortedFunc(maps.Keys(m.logs), crdt.Author.Compare) {
		l := m.logs[a]
		b = binary.AppendUvarint(a.Append(b), l.have)
		b = append(b, l.head[:]...)
	}
	return b
}

func decodeManifest(b []byte) (*manifest, error) {
	r := reader{b: b}
	var m manifest
	if v := r.byte(); r.err == nil && v != stateVersion {
		return nil, fmt.Errorf("%w: state of version %d", ErrMalformed, v)
	}
	copy(m.network[:], r.bytes(len(m.network)))
	copy(m.dataset[:], r.bytes(len(m.dataset)))
	if n := r.uvarint(); n <= MaxDatasetName {
		m.name = string(r.bytes(int(n)))
	} else {
		r.fail(errTruncated)
	}
	m.author = r.author()
	if t := r.bytes(8); t != nil {
		m.time = crdt.HLC(binary.BigEndian.Uint64(t))
	}
	epoch := r.uvarint()
	if m.epoch = uint32(epoch); epoch > 1<<31 {
		r.fail(errOrder)
	}
	n := r.uvarint()
	if n > MaxDeps || n > uint64(len(r.b)) {
		r.fail(errTruncated)
	}
	m.logs = make(map[crdt.Author]logHead)
	var last crdt.Author
	for range n {
		a := r.author()
		l := logHead{have: r.uvarint()}
		copy(l.head[:], r.bytes(len(l.head)))
		if r.err == nil && (a.Compare(last) <= 0 || l.have == 0 || l.have > crdt.MaxSeq) {
			r.fail(errOrder)
		}
		if r.err != nil {
			break
		}
		m.logs[a], last = l, a
	}
	return &m, r.end()
}

// stateHash runs over a state as it is made or read.
type stateHash struct {
	h    *blake3.Hasher
	rows uint64
}

func newStateHash(manifest []byte) *stateHash {
	s := &stateHash{h: blake3.NewDeriveKey(domainState)}
	_, _ = s.h.Write(manifest)
	return s
}

func (s *stateHash) add(rows []byte, n int) {
	_, _ = s.h.Write(rows)
	s.rows += uint64(n)
}

func (s *stateHash) signed() []byte { return s.h.Sum([]byte(domainState)) }

func (s *stateHash) seal(key ed25519.PrivateKey) []byte {
	signed := s.signed()
	b := binary.AppendUvarint(nil, s.rows)
	b = append(b, signed[len(domainState):]...)
	return append(b, ed25519.Sign(key, signed)...)
}

var errSeal = errors.New("the state is not the one its maker sealed")

// check verifies a seal.
func (s *stateHash) check(seal []byte, author crdt.Author) error {
	signed := s.signed()
	r := reader{b: seal}
	rows := r.uvarint()
	sum := r.bytes(32)
	signature := r.bytes(signatureSize)
	if err := r.end(); err != nil {
		return err
	}
	pub := author.Bytes()
	if rows != s.rows || string(sum) != string(signed[len(domainState):]) ||
		!ed25519.Verify(pub[:ed25519.PublicKeySize], signed, signature) {
		return fmt.Errorf("%w: %w", ErrMalformed, errSeal)
	}
	return nil
}

// stateRow is one row of a state.
type stateRow struct{ key, value []byte }

// appendRow encodes a row behind one with the key last.
func appendRow(dst, last, key, value []byte) []byte {
	shared := 0
	for shared < min(len(last), len(key)) && last[shared] == key[shared] {
		shared++
	}
	dst = binary.AppendUvarint(dst, uint64(shared))
	dst = append(binary.AppendUvarint(dst, uint64(len(key)-shared)), key[shared:]...)
	return append(binary.AppendUvarint(dst, uint64(len(value))), value...)
}

// eachRow reads rows, whose keys must rise, behind one with the key last. It
// returns the key of the last one. The slices are valid during the call.
func eachRow(rows, last []byte, visit func(stateRow) error) (end []byte, n int, err error) {
	r := reader{b: rows}
	key := append([]byte(nil), last...)
	for len(r.b) > 0 {
		shared := r.uvarint()
		rest := r.bytes(int(min(r.uvarint(), maxFrame)))
		value := r.bytes(int(min(r.uvarint(), maxFrame)))
		if r.err == nil && (shared > uint64(len(key)) || string(rest) <= string(key[shared:])) {
			r.fail(errOrder)
		}
		if r.err != nil {
			return nil, n, fmt.Errorf("%w: rows: %w", ErrMalformed, r.err)
		}
		key = append(key[:shared], rest...)
		n++
		if err := visit(stateRow{key, value}); err != nil {
			return nil, n, err
		}
	}
	return key, n, nil
}

// stateSource makes a state from a pinned view of the store.
type stateSource struct {
	view     *datastore.View
	manifest []byte
	hash     *stateHash
	key      ed25519.PrivateKey
	parts    []statePart
	ended    bool   // the seal was sent
	last     []byte // key of the last row made
}

// statePart is a table of the state: rows of the view under a prefix, or given
// ones.
type statePart struct {
	table  byte
	prefix []byte
	given  []stateRow
	next   []byte // where to go on under prefix; nil at first
}

// newState pins the dataset as it is on disk now. modules are included in a
// file. Close it.
func (d *Dataset) newState(modules bool) (_ *stateSource, err error) {
	view, err := d.r.store.View()
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			view.Close()
		}
	}()
	logs, err := readLogs(view, d.id)
	if err != nil {
		return nil, err
	}
	space, err := readSpace(view, d.id)
	if err != nil {
		return nil, err
	}
	acks, _, err := readAcks(view, d.id, logs)
	if err != nil {
		return nil, err
	}
	m := manifest{
		network: d.r.network, dataset: d.id, name: d.name, author: d.r.Author(), time: d.r.stamp(),
		epoch: d.epoch(), logs: make(map[crdt.Author]logHead, len(logs)),
	}
	var ackRows []stateRow
	for _, a := range slices.SortedFunc(maps.Keys(logs), crdt.Author.Compare) {
		l := logs[a]
		if l.applied == 0 {
			continue
		}
		head, err := l.appliedHead(view, d.id, a)
		if err != nil {
			return nil, err
		}
		m.logs[a] = logHead{have: l.applied, head: head}
		ackRows = append(ackRows, stateRow{a.Append(nil), acks[a].append(nil)})
	}
	s := &stateSource{view: view, manifest: m.encode(), key: d.r.key}
	s.hash = newStateHash(s.manifest)
	s.parts = []statePart{{table: stateAcks, given: ackRows}}
	if modules {
		s.parts = append(s.parts, statePart{table: stateModules, prefix: datastore.ModulesPrefix()})
	}
	s.parts = append(s.parts,
		statePart{table: stateObjects, prefix: datastore.ObjectsPrefix(space)},
		statePart{table: stateFacts, prefix: datastore.FactsPrefix(d.id)})
	return s, nil
}

func (d *Dataset) epoch() uint32 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.care.epoch
}

// appliedHead is the id of the entry that ends where the objects are.
func (l logState) appliedHead(r datastore.Reader, id DatasetID, a crdt.Author) (EntryID, error) {
	switch l.applied {
	case l.have:
		return l.head, nil
	case l.cut:
		return l.cutHead, nil
	}
	key := a.Bytes()
	raw, err := r.Get(datastore.EntryKey(id, key[:], l.applied))
	if err != nil {
		return EntryID{}, fmt.Errorf("entry of %s at %d: %w", a, l.applied, err)
	}
	return storedID(raw)
}

func (s *stateSource) close() { s.view.Close() }

// chunk makes the next rows, encoded and packed; nil at the end.
func (s *stateSource) chunk() ([]byte, error) {
	var rows []byte
	n := 0
	add := func(table byte, key, value []byte) bool {
		full := append([]byte{table}, key...)
		rows = appendRow(rows, s.last, full, value)
		s.last = full
		n++
		return len(rows) < stateChunk
	}
	for len(s.parts) > 0 && len(rows) < stateChunk {
		p := &s.parts[0]
		if p.prefix == nil {
			i := 0
			for i < len(p.given) && add(p.table, p.given[i].key, p.given[i].value) {
				i++
			}
			if p.given = p.given[min(i+1, len(p.given)):]; len(p.given) == 0 {
				s.parts = s.parts[1:]
			}
			continue
		}
		start := p.next
		if start == nil {
			start = p.prefix
		}
		full := false
		if err := s.view.Scan(start, datastore.After(p.prefix), func(k, v []byte) bool {
			if !add(p.table, k[len(p.prefix):], v) {
				p.next = append(append([]byte(nil), k...), 0)
				full = true
			}
			return !full
		}); err != nil {
			return nil, err
		}
		if !full {
			s.parts = s.parts[1:]
		}
	}
	if n == 0 {
		return nil, nil
	}
	s.hash.add(rows, n)
	codec, packed := pack(rows)
	return append([]byte{codec}, packed...), nil
}

func (s *stateSource) seal() []byte { return s.hash.seal(s.key) }
