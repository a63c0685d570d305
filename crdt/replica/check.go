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
// writes on as a new replica: its old log is one of those to replay. Where logs
// have been cut that cannot be done; the state then stays as it is, to be read,
// until a peer's whole state takes its place.
func (d *Dataset) checkLogs() error {
	holes, cut := false, false
	var b datastore.Batch
	for a, row := range d.durable {
		end, err := d.walk(a, row)
		if err != nil {
			return err
		}
		cut = cut || row.cut > 0
		if end.have >= row.have {
			continue
		}
		end.applied = min(row.applied, end.have)
		d.r.log.Error("the disk lost entries; peers that have them will send them again",
			"dataset", d.name, "author", a, "from", end.have+1, "to", row.have)
		d.restore(a, end)
		holes = true
	}
	if !holes {
		return nil
	}
	if cut {
		d.r.log.Error("the state may lack what was lost; the next peer's whole state will take its place", "dataset", d.name)
		d.care.broken = true
		b.Put(datastore.UpkeepKey(d.id), d.care.append(nil))
	} else if err := d.dropObjects(); err != nil {
		// The objects go first: after a crash in between the holes are found again.
		return err
	}
	for a, l := range d.durable {
		if !cut {
			l.applied = 0
		}
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

// walk follows an author's chain from where its log begins to its end or first
// hole.
func (d *Dataset) walk(a crdt.Author, row logState) (end logState, err error) {
	id := a.Bytes()
	end.logHead = logHead{have: row.cut, head: row.cutHead, cut: row.cut, cutHead: row.cutHead}
	var bad error
	start, limit := datastore.EntryKey(d.id, id[:], row.cut+1), datastore.After(datastore.EntryPrefix(d.id, id[:]))
	err = d.r.store.Scan(start, limit, func(_, v []byte) bool {
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
