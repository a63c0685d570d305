package replica

import (
	"encoding/binary"
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

// readAcks returns what every author of logs has signed, over all its entries
// that are applied, and which of the rows in r are behind that.
func readAcks(r datastore.Reader, id DatasetID, logs map[crdt.Author]logState) (acks map[crdt.Author]*ack, stale []crdt.Author, err error) {
	acks = make(map[crdt.Author]*ack, len(logs))
	prefix := datastore.AckKey(id, nil)
	var bad error
	err = datastore.ScanPrefix(r, prefix, func(k, v []byte) bool {
		var a crdt.Author
		if a, bad = crdt.AuthorFromBytes(k[len(prefix):]); bad == nil {
			acks[a], bad = decodeAck(v)
		}
		return bad == nil
	})
	if err == nil && bad != nil {
		err = fmt.Errorf("%w: %w", bad, datastore.ErrDamaged)
	}
	if err != nil {
		return nil, nil, err
	}
	for author, l := range logs {
		a := acks[author]
		if a == nil {
			a = &ack{applied: make(crdt.Version)}
			acks[author] = a
		}
		if a.upto >= l.applied {
			continue
		}
		stale = append(stale, author)
		if err := a.follow(r, id, author, l.applied); err != nil {
			return nil, nil, err
		}
	}
	return acks, stale, nil
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

// stable is what every author of acks has applied: the greatest lower bound of
// what they signed. Whoever it does not count is out.
func stable(acks map[crdt.Author]*ack, counts func(crdt.Author) bool) crdt.Version {
	var low crdt.Version
	for author, a := range acks {
		if !counts(author) {
			continue
		}
		if low == nil {
			low = maps.Clone(a.applied)
			low[author] = a.upto
			continue
		}
		for x, seq := range low {
			has := a.applied[x]
			if x == author {
				has = a.upto
			}
			if has < seq {
				low[x] = has
			}
		}
	}
	return low
}
