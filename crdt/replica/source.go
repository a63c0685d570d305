package replica

import (
	"crypto/ed25519"
	"fmt"
	"maps"
	"slices"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/datastore"
)

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

// statePart is a table of the state: rows of the view under a prefix, or one of
// each author, made when its turn comes.
type statePart struct {
	table   byte
	prefix  []byte
	next    []byte // where to go on under prefix; nil at first
	authors []crdt.Author
	row     func(crdt.Author) ([]byte, error) // of an author; nil: rows under prefix
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
	// While commits fail the store may show what is not synced: seqs that a
	// power cut would make free again.
	if err := d.r.Failure(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBusy, err)
	}
	logs, err := readLogs(view, d.id)
	if err != nil {
		return nil, err
	}
	space, err := readSpace(view, d.id)
	if err != nil {
		return nil, err
	}
	m := manifest{
		network: d.r.network, dataset: d.id, name: d.name, author: d.r.Author(), time: d.r.stamp(),
		epoch: d.epoch(), logs: make(map[crdt.Author]logHead, len(logs)),
	}
	var authors []crdt.Author
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
		authors = append(authors, a)
	}
	s := &stateSource{view: view, manifest: m.encode(), key: d.r.key}
	s.hash = newStateHash(s.manifest)
	s.parts = []statePart{
		{table: stateAcks, authors: authors, row: func(a crdt.Author) ([]byte, error) {
			k, _, err := readAck(view, d.id, a, logs[a])
			if err != nil {
				return nil, err
			}
			k.upto = min(k.upto, logs[a].applied) // entries may have been lost since
			return k.append(nil), nil
		}},
		{table: stateHeads, authors: authors, row: func(a crdt.Author) ([]byte, error) { return logs[a].signedHead(view, d.id, a) }},
	}
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
		if p.row != nil {
			for more := true; more && len(p.authors) > 0; p.authors = p.authors[1:] {
				value, err := p.row(p.authors[0])
				if err != nil {
					return nil, err
				}
				more = add(p.table, p.authors[0].Append(nil), value)
			}
			if len(p.authors) == 0 {
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
	codec, packed := pack(rows, len(rows), len(rows))
	packed = append([]byte{codec}, packed...)
	s.hash.add(packed, n)
	return packed, nil
}

func (s *stateSource) seal() []byte { return s.hash.seal(s.key) }
