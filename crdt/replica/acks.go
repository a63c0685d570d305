package replica

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/datastore"
)

// An ack is what an author has signed that it applied: the deps of its entries
// up to seq upto, all together. Its row:
//
//	a‖dataset 16‖author 40 → uvarint upto ‖ version applied
//
// Rows are brought up to date when they are needed, by reading the headers of
// the log from upto on; so that nothing is written for them while ops come in.
type ack struct {
	upto    uint64
	applied crdt.Version
}

func (a *ack) append(dst []byte) []byte {
	return a.applied.Append(binary.AppendUvarint(dst, a.upto))
}

func decodeAck(b []byte) (*ack, error) {
	r := reader{b: b}
	a := &ack{upto: r.uvarint(), applied: r.version(MaxDeps)}
	if err := r.end(); err != nil {
		return nil, fmt.Errorf("ack row: %w", err)
	}
	return a, nil
}

// readLogs reads the version rows of a dataset.
func readLogs(r datastore.Reader, id DatasetID) (map[crdt.Author]logState, error) {
	logs := make(map[crdt.Author]logState)
	prefix := datastore.VersionKey(id, nil)
	var bad error
	err := datastore.ScanPrefix(r, prefix, func(k, v []byte) bool {
		a, err := crdt.AuthorFromBytes(k[len(prefix):])
		if err == nil {
			var l logState
			if l, err = decodeLogState(v); err == nil {
				logs[a] = l
				return true
			}
		}
		bad = fmt.Errorf("version row: %w: %w", err, datastore.ErrDamaged)
		return false
	})
	if err == nil {
		err = bad
	}
	return logs, err
}

// readAck returns what an author has signed over all its entries that are applied,
// and whether its row in r is behind that.
func readAck(r datastore.Reader, id DatasetID, author crdt.Author, l logState) (a *ack, stale bool, err error) {
	key := author.Bytes()
	row, err := r.Get(datastore.AckKey(id, key[:]))
	switch {
	case errors.Is(err, datastore.ErrNotFound):
		a, err = &ack{applied: make(crdt.Version)}, nil
	case err == nil:
		if a, err = decodeAck(row); err != nil {
			err = fmt.Errorf("%w: %w", err, datastore.ErrDamaged)
		}
	}
	if err != nil || a.upto >= l.applied {
		return a, false, err
	}
	return a, true, a.follow(r, id, author, l.applied)
}

// follow notes the author's entries behind upto, up to seq last.
func (a *ack) follow(r datastore.Reader, id DatasetID, author crdt.Author, last uint64) error {
	key := author.Bytes()
	var bad error
	err := r.Scan(datastore.EntryKey(id, key[:], a.upto+1), datastore.EntryKey(id, key[:], last+1), func(_, v []byte) bool {
		var h Header
		if h, bad = storedHeader(v); bad == nil {
			a.upto = h.Last()
			a.applied.Merge(h.Deps)
		}
		return bad == nil
	})
	if err == nil && bad != nil {
		err = fmt.Errorf("entry of %s: %w: %w", author, bad, datastore.ErrDamaged)
	}
	return err
}

// stability finds what every author has applied: the greatest lower bound of what
// they signed. Each ack is added once and not kept; what one lacks is dropped at
// once, so that all of them together cost what they are long.
type stability struct {
	low   crdt.Version
	begun bool
}

func (s *stability) add(author crdt.Author, a *ack) {
	if !s.begun {
		s.begun, s.low = true, maps.Clone(a.applied)
		if s.low == nil {
			s.low = make(crdt.Version)
		}
		s.low[author] = a.upto
		return
	}
	for x, seq := range s.low {
		has := a.applied[x]
		if x == author {
			has = a.upto
		}
		switch {
		case has == 0:
			delete(s.low, x)
		case has < seq:
			s.low[x] = has
		}
	}
}
