package replica

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"time"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/datastore"
)

// familyControl marks ops about the dataset itself. They travel in entries like
// any other: signed, ordered, in the causal past of what comes after.
//
//	control := kind 1 ‖ payload
//	ack       summary    the author has applied what the entry's deps say, and
//	                     never again names an element that was deleted by an op
//	                     which the summary covers
//	retire    hash 16    the author with this hash is gone for good: what is
//	                     dropped does not wait for it any more
const familyControl crdt.Family = 0xf0

const (
	controlAck    = 1
	controlRetire = 2
)

// control is a decoded control op; the fields depend on the kind.
type control struct {
	kind byte
	dead summary    // ack
	who  authorHash // retire
}

func (c control) encode() []byte {
	b := []byte{c.kind}
	switch c.kind {
	case controlAck:
		b = c.dead.append(b)
	case controlRetire:
		b = append(b, c.who[:]...)
	}
	return b
}

// decodeControl reads a control op. Kinds of later versions are not an error:
// ok is false.
func decodeControl(b []byte) (c control, ok bool, err error) {
	r := reader{b: b}
	switch c.kind = r.byte(); c.kind {
	case controlAck:
		c.dead = r.summary(MaxDeps)
	case controlRetire:
		copy(c.who[:], r.bytes(len(c.who)))
	default:
		return c, false, r.err
	}
	if err := r.end(); err != nil {
		return c, false, fmt.Errorf("control op: %w", err)
	}
	return c, true, nil
}

// write queues a control op of ours, behind everything applied so far. It is
// not in an object, so nothing waits for it but the next commit.
func (d *Dataset) write(c control) error {
	if err := d.r.enter(); err != nil {
		return err
	}
	defer d.r.cut.RUnlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.isForked(d.self) {
		return errRotating
	}
	if err := d.mayWrite(); err != nil {
		return err
	}
	d.queueControl(c)
	return nil
}

// queueControl is write with Replica.cut and d.mu held.
func (d *Dataset) queueControl(c control) {
	seq := d.applied[d.self] + 1
	raw := c.encode()
	d.applied[d.self] = seq
	d.ops = append(d.ops, localOp{family: familyControl, op: crdt.Op{Seq: seq}, control: raw, size: len(raw)})
	d.obey(d.self, c)
	d.r.queue.push(len(raw), len(raw))
}

// control carries out a control op of another author. d.mu is held.
func (d *Dataset) control(e *Entry, raw []byte) {
	c, ok, err := decodeControl(raw)
	if err != nil {
		d.r.log.Warn("left out an op that makes no sense", "dataset", d.name, "author", e.Author, "err", err)
		return
	}
	if ok {
		d.obey(e.Author, c)
	}
}

// obey changes what this replica goes by.
func (d *Dataset) obey(by crdt.Author, c control) {
	switch h := d.hash(by); c.kind {
	case controlAck:
		d.mergeDead(h, c.dead)
	case controlRetire:
		if _, known := d.hashes[c.who]; known && !d.retired[c.who] {
			d.retired[c.who] = true
			d.extra = append(d.extra, row{datastore.FactKey(d.id, factRetired, c.who[:]), []byte{}})
		}
	}
}

// maxDead bounds the seqs that the acks of all authors name, in memory. An ack beyond
// it is not noted, and what waits for that ack is not dropped.
const maxDead = 1 << 18

// mergeDead notes an ack, of authors that are known here: those that an honest
// author names are. A row is written for each seq that moved.
func (d *Dataset) mergeDead(h authorHash, more summary) {
	for x, seq := range more {
		if _, known := d.hashes[x]; known && seq > d.dead[h][x] && d.noteDead(h, x, seq) {
			d.extra = append(d.extra, row{datastore.FactKey(d.id, factDead, append(h[:], x[:]...)), binary.AppendUvarint(nil, seq)})
		}
	}
}

func (d *Dataset) noteDead(h, x authorHash, seq uint64) bool {
	dead := d.dead[h]
	if dead == nil {
		dead = make(summary)
		d.dead[h] = dead
	}
	if _, old := dead[x]; !old {
		if d.deadSize >= maxDead {
			return false
		}
		d.deadSize++
	}
	dead[x] = max(dead[x], seq)
	return true
}

// Facts about authors, by their hash, that outlive the log:
//
//	x‖dataset 16‖kind 1‖author hash 16 → value
//	x‖dataset 16‖d‖author hash 16‖author hash 16 → uvarint seq
const (
	factDead    = 'd' // the first has said, in acks, that of the second seq is dead
	factForked  = 'f' // fork proof
	factRetired = 'r' // nothing
)

// loadFacts reads them.
func (d *Dataset) loadFacts() error {
	prefix := datastore.FactsPrefix(d.id)
	var bad error
	err := datastore.ScanPrefix(d.r.store, prefix, func(k, v []byte) bool {
		bad = d.learnFact(k[len(prefix):], v, true)
		return bad == nil
	})
	if bad != nil {
		return fmt.Errorf("fact: %w: %w", bad, datastore.ErrDamaged)
	}
	return err
}

var errNobody = errors.New("a fact about an author that is not known")

// learnFact takes a fact's row, of our disk or of another replica's state. What was
// verified before it was written is not verified again.
func (d *Dataset) learnFact(key, value []byte, ours bool) error {
	if len(key) != 1+authorHashSize && (len(key) != 1+2*authorHashSize || key[0] != factDead) {
		return fmt.Errorf("%w: fact of %d bytes", ErrMalformed, len(key))
	}
	h := authorHash(key[1:])
	if d.hashes[h] == (crdt.Author{}) {
		if ours {
			return nil // its log was lost
		}
		return errNobody
	}
	switch r := (reader{b: value}); key[0] {
	case factDead:
		seq := r.uvarint()
		if err := r.end(); err != nil {
			return err
		}
		if len(key) != 1+2*authorHashSize {
			return fmt.Errorf("%w: fact of %d bytes", ErrMalformed, len(key))
		}
		if x := authorHash(key[1+authorHashSize:]); d.hashes[x] != (crdt.Author{}) {
			d.noteDead(h, x, seq)
		}
	case factForked:
		foreign := false
		p, err := decodeProof(value, func(e *Entry) bool {
			foreign = hashAuthor(e.Author) != h || e.Dataset != d.id || e.Network != d.r.network
			return !foreign && !ours
		})
		if err == nil && foreign {
			err = fmt.Errorf("%w: proof against another", ErrMalformed)
		}
		if err != nil || p == nil && !ours {
			return err
		}
		d.forked[h] = true
	case factRetired:
		d.retired[h] = true
	}
	return nil
}

// Forget retires an author in the eyes of every replica: nobody waits any more
// for it to apply what it has not. Meant for devices that are gone for good;
// entries of it that still come are taken, but where they name what was dropped
// meanwhile replicas may differ until the next resync.
func (d *Dataset) Forget(a crdt.Author) error {
	if a == d.r.Author() {
		return fmt.Errorf("replica: dataset %q: this node cannot forget itself", d.name)
	}
	d.mu.Lock()
	_, known := d.logs[a]
	retired := d.retired[hashAuthor(a)]
	d.mu.Unlock()
	switch {
	case !known:
		return fmt.Errorf("replica: dataset %q: nobody of that name has written here", d.name)
	case retired:
		return nil
	}
	return d.write(control{kind: controlRetire, who: hashAuthor(a)})
}

// Member is one author of a dataset.
type Member struct {
	Author  crdt.Author
	Self    bool
	Ops     uint64 // in its log, as far as it came here
	Retired bool   // by Forget
	Forked  bool   // it signed two logs; see Resync
	Barred  bool   // the network does not let it write any more
	// Ahead is how far its clock was ahead of ours, or behind if negative, when
	// its last entry came by gossip; 0 if it was about right.
	Ahead time.Duration
}

// Members are the dataset's authors.
func (d *Dataset) Members() []Member {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := make([]Member, 0, len(d.logs))
	for a := range maps.Keys(d.logs) {
		l := d.logs[a]
		if l.have == 0 && a != d.self {
			continue
		}
		h := d.hash(a)
		all = append(all, Member{
			Author: a, Self: a == d.self, Ops: max(l.have, d.applied[a]), Retired: d.retired[h], Forked: d.isForked(a),
			Barred: d.stands(a) != math.MaxUint64, Ahead: d.clocks[a],
		})
	}
	return all
}
