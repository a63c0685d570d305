package replica

import (
	"container/heap"

	"github.com/numax-mesh/numax/crdt"
)

// MaxParked is how many bytes of entries that cannot be applied yet a dataset
// keeps in memory, counted as what they take there. Above it, entries behind a gap
// are dropped, and pulled again when the gap closes; entries of the log are read
// back from disk.
const MaxParked = 16 << 20

// parked holds entries that came before what they need: ahead of a gap in
// their author's log, or in the log with unmet deps. Their bodies are not decoded.
// Guarded by Dataset.mu.
//
//	author's log:  ───applied───────have──┄┄gap┄┄──[ahead]
//	                         [waiting]
//
// The first waiting entry of each author is in one of two places: in ready, to be
// looked at, or in blocked, under the author whose progress it needs next. So what
// one entry costs does not grow with how many others wait.
type parked struct {
	ahead   map[crdt.Author]*ahead
	waiting map[crdt.Author]*waiting
	ready   map[crdt.Author]struct{}
	blocked map[crdt.Author]*blocked
	bytes   int
}

// waiting is the part of an author's log that is not applied. Its entries are
// in memory as far as they fit, in order; the rest is on disk.
type waiting struct {
	entries []*Entry
	spilled bool       // the log goes on behind entries
	locked  bool       // with an entry under a key that we do not have; entries is empty
	taken   bool       // somebody applies the first entry, or reads more from disk
	unmet   []crdt.Dot // what the first entry may still need; nil if nobody has looked
	looked  bool
}

func (p *parked) init() {
	p.ahead = make(map[crdt.Author]*ahead)
	p.waiting = make(map[crdt.Author]*waiting)
	p.ready = make(map[crdt.Author]struct{})
	p.blocked = make(map[crdt.Author]*blocked)
}

// footprint is about what a parked entry takes in memory.
func (e *Entry) footprint() int { return len(e.raw) + 64*len(e.Deps) + 512 }

// stored notes that the author's log on disk has entries to apply.
func (p *parked) stored(a crdt.Author) {
	p.forget(a)
	p.waiting[a] = &waiting{spilled: true}
	p.ready[a] = struct{}{}
}

// push adds the newest entry of an author's log.
func (p *parked) push(e *Entry, locked bool) {
	w := p.waiting[e.Author]
	if w == nil {
		w = &waiting{}
		p.waiting[e.Author] = w
	}
	if w.spilled || locked || p.bytes > MaxParked && len(w.entries) > 0 {
		e.shed()
		w.spilled = true
		return // it will be read back after those before it
	}
	if len(w.entries) > 0 {
		e.shed()
	}
	w.entries = append(w.entries, e)
	p.bytes += e.footprint()
	if len(w.entries) == 1 {
		p.ready[e.Author] = struct{}{}
	}
}

// take returns an author whose first waiting entry can be applied, with that
// entry; or without one, if the log is to be read from disk first. Give it back
// with settle.
func (p *parked) take(applied crdt.Version, met func(crdt.Dot) bool) (a crdt.Author, e *Entry, ok bool) {
	for a := range p.ready {
		w := p.waiting[a]
		switch {
		case w == nil || w.locked || w.taken:
			delete(p.ready, a)
			continue
		case len(w.entries) == 0:
			delete(p.ready, a)
			w.taken = true
			return a, nil, true
		}
		e := w.entries[0]
		if !w.looked {
			w.looked, w.unmet = true, nil
			for x, seq := range e.Deps {
				if d := (crdt.Dot{Author: x, Seq: seq}); !met(d) {
					w.unmet = append(w.unmet, d)
				}
			}
		}
		for n := len(w.unmet); n > 0 && met(w.unmet[n-1]); n-- {
			w.unmet = w.unmet[:n-1]
		}
		delete(p.ready, a)
		if n := len(w.unmet); n > 0 {
			e.shed()
			x := w.unmet[n-1]
			if p.blocked[x.Author] == nil {
				p.blocked[x.Author] = &blocked{}
			}
			heap.Push(p.blocked[x.Author], blockedAt{x.Seq, a})
			continue
		}
		if applied[a]+1 == e.First {
			w.taken = true
			return a, e, true
		}
	}
	return crdt.Author{}, nil, false
}

// settle gives back what take returned.
func (p *parked) settle(a crdt.Author) {
	if w := p.waiting[a]; w != nil {
		w.taken = false
		p.ready[a] = struct{}{}
	}
}

// advanced wakes those who wait for what an author has come to. Some may have been
// forgotten since, or wait for something else now: they are looked at, that is all.
func (p *parked) advanced(x crdt.Author, applied uint64) {
	b := p.blocked[x]
	if b == nil {
		return
	}
	for len(*b) > 0 && (*b)[0].seq <= applied {
		p.ready[heap.Pop(b).(blockedAt).who] = struct{}{}
	}
	if len(*b) == 0 {
		delete(p.blocked, x)
	}
}

// blocked is a heap of those who wait for ops of one author, the lowest seq first.
type blocked []blockedAt

type blockedAt struct {
	seq uint64
	who crdt.Author
}

func (h blocked) Len() int           { return len(h) }
func (h blocked) Less(i, j int) bool { return h[i].seq < h[j].seq }
func (h blocked) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *blocked) Push(x any)        { *h = append(*h, x.(blockedAt)) }
func (h *blocked) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// durable notes that more of an author's log is on disk.
func (p *parked) durable(a crdt.Author) {
	if w := p.waiting[a]; w != nil && len(w.entries) == 0 {
		p.ready[a] = struct{}{}
	}
}

// lock leaves an author's entries on disk until there is a key to them.
func (p *parked) lock(a crdt.Author) {
	if w := p.waiting[a]; w != nil {
		for _, e := range w.entries {
			p.bytes -= e.footprint()
		}
		*w = waiting{spilled: true, locked: true}
	}
}

// unlock is for when there are other keys.
func (p *parked) unlock() {
	for a, w := range p.waiting {
		if w.locked {
			w.locked = false
			p.ready[a] = struct{}{}
		}
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
			p.bytes -= e.footprint()
			e.shed()
		}
		delete(p.waiting, a)
		delete(p.ready, a)
	}
}

// forgetAll is forget for everybody.
func (p *parked) forgetAll() {
	for a := range p.waiting {
		p.forget(a)
	}
	clear(p.blocked)
}

// pop forgets the author's first waiting entry, which has been applied.
func (p *parked) pop(a crdt.Author, more bool) {
	w := p.waiting[a]
	if w == nil {
		return
	}
	if len(w.entries) > 0 {
		p.bytes -= w.entries[0].footprint()
		w.entries[0] = nil
		w.entries = w.entries[1:]
	}
	w.looked, w.unmet = false, nil
	if len(w.entries) == 0 {
		if !more {
			delete(p.waiting, a)
			delete(p.ready, a)
			return
		}
		w.spilled = true
	}
	p.ready[a] = struct{}{}
}

// dropSpilled lets go of waiting entries that are on disk while memory is
// short.
func (d *Dataset) dropSpilled() {
	p := &d.parked
	if p.bytes <= MaxParked {
		return
	}
	for a, w := range p.waiting {
		for p.bytes > MaxParked && len(w.entries) > 1 {
			last := w.entries[len(w.entries)-1]
			if last.Last() > d.durable[a].have {
				break
			}
			w.entries = w.entries[:len(w.entries)-1]
			w.spilled = true
			p.bytes -= last.footprint()
		}
	}
}

// ahead are the entries behind a gap in one author's log, by their first seq.
type ahead struct {
	entries map[uint64]*Entry
	firsts  firsts
}

// putAhead keeps an entry behind a gap, if there is room.
func (p *parked) putAhead(e *Entry) {
	e.shed()
	of := p.ahead[e.Author]
	if p.bytes+e.footprint() > MaxParked || of != nil && of.entries[e.First] != nil {
		return
	}
	if of == nil {
		of = &ahead{entries: make(map[uint64]*Entry)}
		p.ahead[e.Author] = of
	}
	of.entries[e.First] = e
	heap.Push(&of.firsts, e.First)
	p.bytes += e.footprint()
}

// takeAhead returns the entry that begins at first, and forgets those before.
func (p *parked) takeAhead(a crdt.Author, first uint64) *Entry {
	of := p.ahead[a]
	if of == nil {
		return nil
	}
	e := of.entries[first]
	for len(of.firsts) > 0 && of.firsts[0] <= first {
		at := heap.Pop(&of.firsts).(uint64)
		p.bytes -= of.entries[at].footprint()
		delete(of.entries, at)
	}
	if len(of.firsts) == 0 {
		delete(p.ahead, a)
	}
	return e
}

// dropAhead forgets what waits behind an author's gap.
func (p *parked) dropAhead(a crdt.Author) {
	if of := p.ahead[a]; of != nil {
		for _, e := range of.entries {
			p.bytes -= e.footprint()
		}
		delete(p.ahead, a)
	}
}

// firsts is a heap, the lowest first.
type firsts []uint64

func (h firsts) Len() int           { return len(h) }
func (h firsts) Less(i, j int) bool { return h[i] < h[j] }
func (h firsts) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *firsts) Push(x any)        { *h = append(*h, x.(uint64)) }
func (h *firsts) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
