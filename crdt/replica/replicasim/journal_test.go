package replicasim

import (
	"encoding/binary"
	"sync"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/crdt/replica"
)

// journal is what a node accepted for one dataset, in order, over all its
// incarnations. It tells what survived from what the node holds after a start.
type journal struct {
	mu       sync.Mutex // guards the fields below
	author   crdt.Author
	records  []record
	restored []restored // at the start of run 1, 2, …
}

// record is an accepted change: an op, a db_* write or a deletion by id.
type record struct {
	run   int
	kind  recordKind
	name  object
	op    crdt.Op // with its Seq
	by    int64   // counters: what it adds
	elem  crdt.Dot
	acked bool // Sync returned after it, or the node stopped properly
}

type recordKind int

const (
	isOp recordKind = iota
	isKey
	isDeletion
)

type object struct {
	family crdt.Family
	key    string
}

// restored is what a start found: the node's own log, and the number of records
// when the last db_* write on disk was made.
type restored struct {
	seq uint64
	key int
}

func (j *journal) add(r record) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.records = append(j.records, r)
}

func (j *journal) len() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.records)
}

// acknowledge marks what a run accepted so far as safe, up to a record.
func (j *journal) acknowledge(run int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.acknowledgeTo(run, len(j.records))
}

func (j *journal) acknowledgeTo(run, n int) {
	for k := n - 1; k >= 0; k-- {
		r := &j.records[k]
		if r.run != run || r.acked {
			return
		}
		r.acked = true
	}
}

var keyName = []byte("records")

// restarted notes what a start found.
func (j *journal) restarted(w *world, i *incarnation, d *replica.Dataset, k int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	a := i.author()
	if j.author.IsZero() {
		j.author = a
	}
	if a != j.author {
		w.failf("%s run %d writes as %v, before as %v, over an honest disk", i.node.name, i.run, a, j.author)
	}
	found := restored{seq: d.Version()[a]}
	v, ok, err := i.replica.Keys(w.datasets[k]).Get(keyName)
	if err != nil {
		w.failf("%s: db_get: %v", i.node.name, err)
	}
	if ok {
		found.key = int(binary.BigEndian.Uint32(v))
	}
	j.restored = append(j.restored, found)
}

// settle removes what crashes took, and says what must not be gone: an
// acknowledged change, or one that was accepted before another that is there.
// Deletions by id have no seq of their own; sure are those that must be there.
func (j *journal) settle(w *world, name string) (ops []record, sure, maybe []record) {
	j.mu.Lock()
	defer j.mu.Unlock()
	end := len(j.restored)
	var later int // the lowest record that is known to be followed by a survivor, per run
	run := -1
	type loose struct {
		r     record
		saved bool
	}
	var deletions []loose
	for k := len(j.records) - 1; k >= 0; k-- {
		r := j.records[k]
		if r.run != run {
			run, later = r.run, 0
		}
		must := r.acked || later > 0
		if r.run >= end { // no start after it: it must still be here
			must = true
		}
		alive := true
		if r.run < end {
			found := j.restored[r.run] // of run r.run+1
			switch r.kind {
			case isOp:
				alive = r.op.Seq+r.op.Width()-1 <= found.seq
			case isKey:
				alive = k < found.key
			case isDeletion:
				alive = must
			}
		}
		if must && !alive {
			w.failf("%s run %d: record %d of %v is lost (acknowledged: %v, followed by a survivor: %v)",
				name, r.run, k, r.name, r.acked, later > 0)
		}
		if alive && r.kind != isDeletion {
			later = k + 1
		}
		switch {
		case r.kind == isDeletion:
			deletions = append(deletions, loose{r, must})
		case r.kind == isOp && alive:
			ops = append(ops, r)
		}
	}
	for _, d := range deletions {
		if d.saved {
			sure = append(sure, d.r)
		} else {
			maybe = append(maybe, d.r)
		}
	}
	return ops, sure, maybe
}
