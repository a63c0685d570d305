package replica

import (
	"fmt"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/datastore"
)

// part is one dataset's share of a commit.
type part struct {
	d       *Dataset
	self    crdt.Author
	ops     []localOp // ours, not yet in an entry
	log     logHead   // of ours, as it grows
	time    crdt.HLC
	deps    crdt.Version
	sealed  []*Entry // made of ops
	foreign []*Entry // learned
	objects []*object
	logs    map[crdt.Author]logState // rows to write; ours is added by seal
	extra   []row
}

type row struct{ key, value []byte } // a nil value deletes

type localOp struct {
	family crdt.Family
	key    string
	op     crdt.Op
	size   int

	control []byte // of familyControl: the op, encoded
}

// cut moves what the dataset has pending into a part, and the changed object
// rows into the batch. Replica.cut is held whole.
func (d *Dataset) cut(b *datastore.Batch) *part {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.ops) == 0 && len(d.learned) == 0 && len(d.dirty) == 0 && len(d.touched) == 0 && len(d.extra) == 0 {
		return nil
	}
	p := &part{
		d: d, self: d.self, ops: d.ops, log: d.logs[d.self],
		foreign: d.learned, objects: d.dirty, extra: d.extra,
		logs: make(map[crdt.Author]logState, len(d.touched)+1),
	}
	if len(p.ops) > 0 {
		p.deps = make(crdt.Version, len(d.news))
		for a := range d.news {
			p.deps[a] = d.applied[a]
		}
		d.vouch(p.deps)
		clear(d.news)
		d.unacked = false
		p.time = d.r.stamp()
	}
	for a := range d.touched {
		p.logs[a] = d.logState(a)
	}
	var prefix []byte
	for _, o := range d.dirty {
		prefix = datastore.ObjectPrefix(prefix[:0], d.cache.space, byte(o.family), []byte(o.key))
		n := len(prefix)
		o.state.Flush(
			func(slot, cell []byte) { prefix = append(prefix[:n], slot...); b.Put(prefix, cell) },
			func(slot []byte) { prefix = append(prefix[:n], slot...); b.Delete(prefix) },
		)
		prefix = prefix[:n]
		o.dirty = false
		o.pins++ // until the rows are on disk
		d.cache.reweigh(o)
	}
	d.ops, d.learned, d.dirty, d.extra = nil, nil, nil, nil
	clear(d.touched)
	return p
}

// maxSealOps, of ops as they are encoded, and maxSealBytes split what was gathered
// into entries well below MaxEntry.
const (
	maxSealOps   = crdt.MaxOps
	maxSealBytes = 256 << 10
)

// seal makes entries of the part's ops. No lock is held: only the committer
// moves our own log's head.
func (p *part) seal(r *Replica) error {
	for ops := p.ops; len(ops) > 0; {
		n := sealCount(ops, p.self)
		e, err := p.sealOps(r, ops[:n])
		if err != nil {
			return fmt.Errorf("replica: dataset %q: %w", p.d.name, err)
		}
		p.sealed = append(p.sealed, e)
		p.log.have, p.log.head, p.deps = e.Last(), e.ID, nil
		ops = ops[n:]
	}
	if len(p.sealed) > 0 {
		p.logs[p.self] = logState{p.log, p.log.have}
	}
	return nil
}

// sealCount returns how many of the first ops go into one entry: at least one. Ops
// that become one op when they are encoded, like the letters of a word, count once.
func sealCount(ops []localOp, self crdt.Author) int {
	count, size, width := 0, 0, uint64(0)
	for n := range ops {
		op := &ops[n]
		if n == 0 || !ops[n-1].coalesces(op, self) {
			count++
		}
		size += op.size
		width += op.op.Width()
		if n > 0 && (count > maxSealOps || size > maxSealBytes || width > crdt.MaxWidth) {
			return n
		}
	}
	return len(ops)
}

func (o *localOp) coalesces(next *localOp, self crdt.Author) bool {
	return o.control == nil && next.control == nil && o.family == next.family && o.key == next.key && crdt.Coalesces(o.family, &o.op, &next.op, self)
}

func (p *part) sealOps(r *Replica, ops []localOp) (*Entry, error) {
	type object struct {
		family crdt.Family
		key    string
	}
	first := p.log.have + 1
	index := make(map[object]int)
	var groups []crdt.Group
	var count uint64
	for i := range ops {
		if c := ops[i].control; c != nil {
			groups = append(groups, crdt.Group{
				Family: familyControl, Raw: c, Runs: []crdt.OpRun{{Seq: ops[i].op.Seq, Width: 1, Count: 1}},
			})
			count++
			continue
		}
		o := object{ops[i].family, ops[i].key}
		at, ok := index[o]
		if !ok {
			at = len(groups)
			index[o] = at
			groups = append(groups, crdt.Group{Family: o.family, Key: []byte(o.key)})
		}
		groups[at].Ops = append(groups[at].Ops, ops[i].op)
		count += ops[i].op.Width()
	}
	plain, cut, err := crdt.EncodeBodyCut(groups, p.self, first, p.time)
	if err != nil {
		return nil, err
	}
	codec, body := packBody(plain, cut)
	h := Header{
		Network: r.network, Dataset: p.d.id, Author: p.self, First: first, Count: count,
		Prev: p.log.head, Time: p.time, Deps: p.deps, Codec: codec,
	}
	k, err := r.sealKey()
	if err != nil {
		return nil, err
	}
	return sealEntry(r.key, h, h.sealBody(k, body))
}

// rows adds the part's entries and version rows to the batch.
func (p *part) rows(b *datastore.Batch) {
	for _, list := range [][]*Entry{p.sealed, p.foreign} {
		for _, e := range list {
			a := e.Author.Bytes()
			b.Put(datastore.EntryKey(p.d.id, a[:], e.Last()), e.raw)
		}
	}
	for author, l := range p.logs {
		a := author.Bytes()
		b.Put(datastore.VersionKey(p.d.id, a[:]), l.append(nil))
	}
	for _, x := range p.extra {
		if x.value == nil {
			b.Delete(x.key)
		} else {
			b.Put(x.key, x.value)
		}
	}
}

// committed publishes within the node what is now durable.
func (p *part) committed() {
	d := p.d
	d.mu.Lock()
	now := d.r.now()
	large := p.large()
	for a, l := range p.logs {
		if had := d.durable[a].have; had < l.have && !large[a] {
			d.young.add(now, a, had)
		}
		d.durable[a] = l
		d.parked.durable(a)
		if a == p.self {
			log := d.logs[a] // its cut may have moved since
			log.have, log.head = l.have, l.head
			d.logs[a] = log
		}
	}
	d.digestValid = false
	for _, o := range p.objects {
		o.pins--
	}
	d.dropSpilled()
	d.cache.trim(now)
	if d.ops == nil && cap(p.ops) <= keepOps { // the next ones need not grow a slice anew
		clear(p.ops)
		d.ops = p.ops[:0]
	}
	d.mu.Unlock()
}

// keepOps is how long a slice of ops is kept for the next commit.
const keepOps = 1 << 13

// large are the authors of entries that gossip does not carry.
func (p *part) large() map[crdt.Author]bool {
	var large map[crdt.Author]bool
	for _, list := range [][]*Entry{p.sealed, p.foreign} {
		for _, e := range list {
			if len(e.raw) > MaxInline {
				if large == nil {
					large = make(map[crdt.Author]bool)
				}
				large[e.Author] = true
			}
		}
	}
	return large
}

// announce tells the mesh of the entries we made.
func (p *part) announce(r *Replica) {
	for _, e := range p.sealed {
		r.stats.EntriesLocal.Add(1)
		r.stats.OpsLocal.Add(e.Count)
		r.stats.EntryBytes.Add(uint64(len(e.raw)))
		r.publish(p.d, e)
	}
	if len(p.sealed)+len(p.foreign) > 0 {
		r.versionMoved()
	}
}
