package replica

import (
	"fmt"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/datastore"
)

// checkLogs walks every author's log after an unclean stop. LevelDB drops
// damaged journal records without a word; a hole in a hash-linked log shows
// them. What is behind a hole is given up: of other authors it is pulled again
// from the peers, and if it was our own this node writes on as a new replica,
// so that no seq is used twice.
func (d *Dataset) checkLogs() error {
	for a, row := range d.durable {
		end, err := d.walk(a)
		if err != nil {
			return err
		}
		if end.have >= row.have {
			continue
		}
		d.r.log.Error("the disk lost entries; peers that have them will send them again",
			"dataset", d.name, "author", a, "from", end.have+1, "to", row.have)
		end.applied = min(row.applied, end.have)
		id := a.Bytes()
		var b datastore.Batch
		b.Put(datastore.VersionKey(d.id, id[:]), end.append(nil))
		if err := d.r.store.Write(&b); err != nil {
			return err
		}
		d.restore(a, end)
		if a == d.self {
			if err := d.r.newAuthor(); err != nil {
				return err
			}
			d.become(d.r.Author())
		}
	}
	return nil
}

// walk follows an author's chain from its beginning to its end or first hole.
func (d *Dataset) walk(a crdt.Author) (end logState, err error) {
	id := a.Bytes()
	var bad error
	err = datastore.ScanPrefix(d.r.store, datastore.EntryPrefix(d.id, id[:]), func(_, v []byte) bool {
		e, _, err := splitEntry(v, false)
		if err != nil {
			bad = fmt.Errorf("entry of %s behind seq %d: %w", a, end.have, err)
			return false
		}
		if e.First != end.have+1 || e.Prev != end.head {
			return false
		}
		end.have, end.head = e.Last(), e.ID
		return true
	})
	if bad != nil {
		d.r.log.Error("damaged entry", "dataset", d.name, "err", bad)
	}
	return end, err
}

// become makes a the author of the dataset's next entries.
func (d *Dataset) become(a crdt.Author) {
	d.self = a
	d.hashes[hashAuthor(a)] = a
	for old := range d.logs {
		d.news[old] = struct{}{}
	}
}
