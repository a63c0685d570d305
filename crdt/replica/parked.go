package replica

import "github.com/numax-mesh/numax/crdt"

// MaxParked is how many bytes of entries that cannot be applied yet a dataset
// keeps in memory. Above it, entries behind a gap are dropped, and pulled again
// when the gap closes; entries of the log are read back from disk.
const MaxParked = 16 << 20

// parked holds entries that came before what they need: ahead of a gap in
// their author's log, or in the log with unmet deps. Guarded by Dataset.mu.
//
//	author's log:  ───applied───────have──┄┄gap┄┄──[ahead]
//	                         [waiting]
type parked struct {
	ahead   map[crdt.Author]map[uint64]*Entry // by first seq, > have
	waiting map[crdt.Author]*waiting
	bytes   int
}

// waiting is the part of an author's log that is not applied. Its entries are
// in memory as far as they fit, in order; the rest is on disk.
type waiting struct {
	entries []*Entry
	spilled bool // the log goes on behind entries
	locked  bool // with an entry under a key that we do not have; entries is empty
}

func (p *parked) init() {
	p.ahead = make(map[crdt.Author]map[uint64]*Entry)
	p.waiting = make(map[crdt.Author]*waiting)
}

// stored notes that the author's log on disk has entries to apply.
func (p *parked) stored(a crdt.Author) { p.waiting[a] = &waiting{spilled: true} }

// putAhead keeps an entry behind a gap, if there is room.
func (p *parked) putAhead(e *Entry) {
	of := p.ahead[e.Author]
	if of[e.First] != nil || p.bytes+len(e.raw) > MaxParked {
		return
	}
	if of == nil {
		of = make(map[uint64]*Entry)
		p.ahead[e.Author] = of
	}
	of[e.First] = e
	p.bytes += len(e.raw)
}

// takeAhead returns the entry that begins at first, and forgets those before.
func (p *parked) takeAhead(a crdt.Author, first uint64) *Entry {
	of := p.ahead[a]
	e := of[first]
	for at, x := range of {
		if at <= first {
			delete(of, at)
			p.bytes -= len(x.raw)
		}
	}
	if len(of) == 0 {
		delete(p.ahead, a)
	}
	return e
}

// dropAhead forgets what waits behind an author's gap.
func (p *parked) dropAhead(a crdt.Author) {
	for _, e := range p.ahead[a] {
		p.bytes -= len(e.raw)
	}
	delete(p.ahead, a)
}

// push adds the newest entry of an author's log.
func (p *parked) push(e *Entry) {
	w := p.waiting[e.Author]
	if w == nil {
		w = &waiting{}
		p.waiting[e.Author] = w
	}
	if w.spilled || e.locked() {
		w.spilled = true
		return // it will be read back after those before it
	}
	w.entries = append(w.entries, e)
	p.bytes += len(e.raw)
}

// unlock is for when there are other keys.
func (p *parked) unlock() {
	for _, w := range p.waiting {
		w.locked = false
	}
}

// isLocked reports whether some of the log is under a key that we do not have.
func (p *parked) isLocked() bool {
	for _, w := range p.waiting {
		if w.locked {
			return true
		}
	}
	return false
}

// forget lets go of what waits of an author's log.
func (p *parked) forget(a crdt.Author) {
	if w := p.waiting[a]; w != nil {
		for _, e := range w.entries {
			p.bytes -= len(e.raw)
		}
		delete(p.waiting, a)
	}
}

// pop forgets the author's first waiting entry, which has been applied.
func (p *parked) pop(a crdt.Author, more bool) {
	w := p.waiting[a]
	if w == nil {
		return
	}
	if len(w.entries) > 0 {
		p.bytes -= len(w.entries[0].raw)
		w.entries = w.entries[1:]
	}
	if len(w.entries) == 0 && !more {
		delete(p.waiting, a)
	}
}

// dropSpilled lets go of waiting entries that are on disk while memory is
// short.
func (d *Dataset) dropSpilled() {
	p := &d.parked
	for a, w := range p.waiting {
		for p.bytes > MaxParked && len(w.entries) > 1 {
			last := w.entries[len(w.entries)-1]
			if last.Last() > d.durable[a].have {
				break
			}
			w.entries = w.entries[:len(w.entries)-1]
			w.spilled = true
			p.bytes -= len(last.raw)
		}
	}
}
