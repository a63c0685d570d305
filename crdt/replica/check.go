package replica

import (
	"fmt"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/datastore"
)

// checkLogs walks every author's log after an unclean stop. LevelDB drops
// damaged journal records without a word; a hole in a hash-linked log shows
// them. What is behind a hole is given up and pulled again from the peers.
//
// The lost batch held rows of objects too, and rows written after it may
// already answer to ops that will come a second time (a removal of an element
// whose add is lost). So the state is made again from the logs, and this node
// writes on as a new replica: its old log is one of those to replay.
func (d *Dataset) checkLogs() error {
	holes := false
	var b datastore.Batch
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
		d.restore(a, end)
		holes = true
	}
	if !holes {
		return nil
	}
	// The objects go first: after a crash in between the holes are found again.
	if err := d.dropObjects(); err != nil {
		return err
	}
	for a, l := range d.durable {
		l.applied = 0
		d.restore(a, l)
		id := a.Bytes()
		b.Put(datastore.VersionKey(d.id, id[:]), l.append(nil))
	}
	d.r.newAuthor(&b)
	d.become(d.r.Author())
	return d.r.store.Write(&b)
}

// dropRows is how many object rows are deleted in one batch.
const dropRows = 1 << 14

func (d *Dataset) dropObjects() error {
	for {
		var b datastore.Batch
		err := datastore.ScanPrefix(d.r.store, datastore.ObjectsPrefix(d.cache.space), func(k, _ []byte) bool {
			b.Delete(k)
			return b.Len() < dropRows
		})
		if err != nil || b.Len() == 0 {
			return err
		}
		if err := d.r.store.Write(&b); err != nil {
			return err
		}
	}
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
