package replica

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/zeebo/blake3"

	"github.com/numax-mesh/numax/crdt"
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
//	h‖author 40                     → head: the author's word for its log (heads.go)
//	m‖esc(module)‖key               → db_* value; in files only
//	o‖family 1‖esc(key)‖slot        → one slot of an object
//	x‖kind 1‖author hash 16         → a fact about an author (control.go)
//
// hash is BLAKE3 over the manifest and all rows as they are, packed; the
// signature is by the manifest's author over a domain and the hash. So the state
// is as its maker had it, and says of no log more than its author signed. What the
// objects hold of entries that are gone is the maker's word.
const (
	stateVersion = 2
	stateChunk   = 256 << 10 // bytes of rows in one frame, about

	// A state that has more of what must be in memory at once is refused.
	maxStateObject = 64 << 20 // rows of one object, each with rowCharge more
	rowCharge      = 96
	maxStateFacts  = 8 << 20
	maxStateAcks   = 32 << 20

	stateAcks    = 'a'
	stateHeads   = 'h'
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

// objectRows are the rows of one object: by family ‖ esc(key), then slot.
type objectRows struct {
	key  []byte
	rows []stateRow // key = slot
}

// splitObject divides family ‖ esc(key) ‖ slot behind esc(key); key is nil if
// it makes no sense.
func splitObject(b []byte) (key, slot []byte) {
	for i := 1; i+1 < len(b); i++ {
		if b[i] == 0 {
			if b[i+1] == 1 {
				return b[:i+2], b[i+2:]
			}
			i++
		}
	}
	return nil, b
}

// stateReader takes a state apart as it comes.
type stateReader struct {
	manifest             *manifest
	version              crdt.Version
	hash                 *stateHash
	last                 []byte     // key of the last row
	open                 objectRows // as far as its rows have come
	openBytes, factBytes int
	acks                 map[crdt.Author]*ack
	ackBytes             int
	heads                int // that have come
	facts                []stateRow

	news func(crdt.Author, logHead) bool          // whether a log is another than the one here
	head func(a crdt.Author, signed []byte) error // is given the head of each that is; verified

	object func(objectRows) error        // is given each object
	module func(key, value []byte) error // each db_* row; nil leaves them out
}

func newStateReader(encoded []byte) (*stateReader, error) {
	m, err := decodeManifest(encoded)
	if err != nil {
		return nil, err
	}
	return &stateReader{
		manifest: m, version: m.version(), hash: newStateHash(encoded), acks: make(map[crdt.Author]*ack),
		news: func(crdt.Author, logHead) bool { return true }, head: func(crdt.Author, []byte) error { return nil },
	}, nil
}

// rows takes the next frame of rows.
func (s *stateReader) rows(packed []byte) error {
	if len(packed) == 0 {
		return fmt.Errorf("%w: empty rows", ErrMalformed)
	}
	rows, err := unpack(packed[0], packed[1:])
	if err != nil {
		return fmt.Errorf("%w: rows: %w", ErrMalformed, err)
	}
	last, n, err := eachRow(rows, s.last, s.row)
	if err != nil {
		return err
	}
	s.last = last
	s.hash.add(packed, n)
	return nil
}

func (s *stateReader) row(r stateRow) error {
	if len(r.key) == 0 {
		return fmt.Errorf("%w: row without a table", ErrMalformed)
	}
	table, key := r.key[0], r.key[1:]
	switch table {
	case stateAcks:
		a, err := crdt.AuthorFromBytes(key)
		if _, known := s.manifest.logs[a]; err == nil && !known {
			err = errors.New("ack of nobody")
		}
		if s.ackBytes += 3 * len(r.value); s.ackBytes > maxStateAcks {
			err = fmt.Errorf("acks of more than %d bytes", maxStateAcks)
		}
		if err == nil {
			s.acks[a], err = decodeAck(r.value)
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrMalformed, err)
		}
	case stateHeads:
		return s.takeHead(key, r.value)
	case stateModules:
		if s.module != nil {
			return s.module(bytes.Clone(key), bytes.Clone(r.value))
		}
	case stateObjects:
		key, slot := splitObject(key)
		if key == nil {
			return fmt.Errorf("%w: object row", ErrMalformed)
		}
		if s.heads < len(s.manifest.logs) {
			return fmt.Errorf("%w: %w", ErrMalformed, errHead)
		}
		if f := crdt.Family(key[0]); f.Known() {
			if err := crdt.CheckRow(f, slot, r.value, s.version); err != nil {
				return fmt.Errorf("%w: %w", ErrMalformed, err)
			}
		}
		if !bytes.Equal(key, s.open.key) {
			if err := s.close(); err != nil {
				return err
			}
			s.open = objectRows{key: bytes.Clone(key)}
		}
		if s.openBytes += len(slot) + len(r.value) + rowCharge; s.openBytes > maxStateObject {
			return fmt.Errorf("%w: object of more than %d bytes", ErrMalformed, maxStateObject)
		}
		s.open.rows = append(s.open.rows, stateRow{bytes.Clone(slot), bytes.Clone(r.value)})
	case stateFacts:
		if s.factBytes += len(key) + len(r.value); s.factBytes > maxStateFacts {
			return fmt.Errorf("%w: too many facts", ErrMalformed)
		}
		s.facts = append(s.facts, stateRow{bytes.Clone(key), bytes.Clone(r.value)})
	}
	return nil // a table of a later version
}

// takeHead takes the head of an author's log. They come in the order of authors,
// before any object.
func (s *stateReader) takeHead(key, signed []byte) error {
	a, err := crdt.AuthorFromBytes(key)
	l, known := s.manifest.logs[a]
	if err != nil || !known {
		return fmt.Errorf("%w: head of nobody", ErrMalformed)
	}
	s.heads++ // no key comes twice
	news := s.news(a, l)
	if err := checkHead(signed, s.manifest.network, s.manifest.dataset, a, l, news); err != nil {
		return err
	}
	if !news {
		return nil
	}
	return s.head(a, bytes.Clone(signed))
}

// close hands over the object whose rows have all come.
func (s *stateReader) close() error {
	o := s.open
	s.open, s.openBytes = objectRows{}, 0
	if o.key == nil {
		return nil
	}
	return s.object(o)
}

// end checks the seal, and what only the whole state can show.
func (s *stateReader) end(seal []byte) error {
	if err := s.hash.check(seal, s.manifest.author); err != nil {
		return err
	}
	if s.heads < len(s.manifest.logs) {
		return fmt.Errorf("%w: %w", ErrMalformed, errHead)
	}
	for a, l := range s.manifest.logs {
		if k := s.acks[a]; k == nil || k.upto > l.have {
			return fmt.Errorf("%w: state without the ack of %s", ErrMalformed, a)
		}
	}
	return s.close()
}
