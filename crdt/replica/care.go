package replica

import (
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/numax-mesh/numax/crdt"
)

// care is what a dataset's upkeep has to remember. It is not on the wire.
//
// Deletions of sequence elements are counted in epochs, of this replica's own
// numbering. An epoch is closed at the version of the last deletions in it:
//
//	epoch:    1        2        3 (now)
//	        ──────┤closed├──┤closed├──────
//	dead      every author has signed that it applied the version of the closing:
//	          nobody is left who could not know of the deletions
//	gone      every author has signed that, for it, they are dead: no op that
//	          names the elements can come any more
//
// Marks say how old the log is: what version had been applied at what time.
type care struct {
	epoch  uint32
	dead   uint32
	gone   uint32
	deadAt crdt.Version // of the last closing that is dead
	closed []closing    // those that are not gone, oldest first
	marks  []mark       // oldest first
	broken bool         // the objects may lack something; a peer's state is to replace them
}

type closing struct {
	epoch uint32
	at    crdt.Version
}

type mark struct {
	time time.Time
	at   crdt.Version
}

const (
	maxClosed  = 32 // closed epochs; the newest grows beyond
	marksInAge = 8  // marks within the age at which entries are cut

	// keepAtLeast is how long entries stay in a log that is too large: those who
	// were sent a whole state go on from there.
	keepAtLeast = time.Hour
)

func newCare() care { return care{epoch: 1} }

// close ends the present epoch. at covers the deletions of the epochs before,
// too: what is said of one epoch is then true of all before it.
func (c *care) close(at crdt.Version) {
	if n := len(c.closed); n > 0 {
		at.Merge(c.closed[n-1].at)
	}
	at.Merge(c.deadAt)
	if len(c.closed) == maxClosed {
		c.closed = c.closed[:maxClosed-1]
	}
	c.closed = append(c.closed, closing{c.epoch, at})
	c.epoch++
}

// advance moves dead and gone on; known reports whether every author has signed
// that what was deleted at a version is dead for it.
func (c *care) advance(stable crdt.Version, known func(crdt.Version) bool) (moved bool) {
	for _, x := range c.closed {
		if x.epoch > c.dead && stable.Dominates(x.at) {
			c.dead, c.deadAt, moved = x.epoch, x.at, true
		}
	}
	for len(c.closed) > 0 && c.closed[0].epoch <= c.dead && known(c.closed[0].at) {
		c.gone, moved = c.closed[0].epoch, true
		c.closed = c.closed[1:]
	}
	return moved
}

// joined begins anew after a join: epochs of the other replica mean nothing
// here, so all that was deleted before counts as deleted now.
func (c *care) joined(epoch uint32, logs map[crdt.Author]logState) {
	at := make(crdt.Version, len(logs))
	for a, l := range logs {
		at[a] = l.applied
	}
	c.epoch = max(c.epoch, epoch) + 1
	c.gone = 0
	c.closed = []closing{{c.epoch - 1, at}}
	c.marks = nil
	c.broken = false
}

// mayCut reports whether the oldest mark is due.
func (c *care) mayCut(now time.Time, r *Retention) bool {
	return len(c.marks) > 0 && now.Sub(c.marks[0].time) >= r.Age
}

// cut sets a mark, if it is time, and says to which version the logs are to be
// cut; nil for nothing.
func (c *care) cut(now time.Time, r *Retention, size int64, logs map[crdt.Author]logState) (to crdt.Version, marked bool) {
	last := len(c.marks) - 1
	age := r.Age
	if size > r.Bytes {
		age = min(age, keepAtLeast)
	}
	every := age / marksInAge
	// A clock that was set back must not stop the marks.
	if last < 0 || now.Sub(c.marks[last].time) >= every || now.Before(c.marks[last].time) {
		at := make(crdt.Version, len(logs))
		for a, l := range logs {
			if l.applied > 0 {
				at[a] = l.applied
			}
		}
		c.marks = append(c.marks, mark{now, at})
		marked = true
	}
	if size <= r.Spare {
		// Nothing is cut; old marks go, so that they do not pile up.
		if n := len(c.marks) - 2*marksInAge; n > 0 {
			c.marks = slices.Delete(c.marks, 1, 1+n)
		}
		return nil, marked
	}
	for len(c.marks) > 0 && now.Sub(c.marks[0].time) >= age {
		to = c.marks[0].at
		c.marks = c.marks[1:]
		marked = true
	}
	return to, marked
}

// append encodes the upkeep row:
//
//	uvarint epoch ‖ uvarint dead ‖ uvarint gone ‖ version deadAt
//	‖ uvarint n ‖ n × (uvarint epoch ‖ version) ‖ uvarint m ‖ m × (uvarint ms ‖ version)
//	‖ broken 1
func (c *care) append(dst []byte) []byte {
	for _, n := range []uint32{c.epoch, c.dead, c.gone} {
		dst = binary.AppendUvarint(dst, uint64(n))
	}
	dst = c.deadAt.Append(dst)
	dst = binary.AppendUvarint(dst, uint64(len(c.closed)))
	for _, x := range c.closed {
		dst = x.at.Append(binary.AppendUvarint(dst, uint64(x.epoch)))
	}
	dst = binary.AppendUvarint(dst, uint64(len(c.marks)))
	for _, m := range c.marks {
		dst = m.at.Append(binary.AppendUvarint(dst, uint64(m.time.UnixMilli())))
	}
	if c.broken {
		return append(dst, 1)
	}
	return append(dst, 0)
}

func decodeCare(b []byte) (c care, err error) {
	r := reader{b: b}
	c.epoch, c.dead, c.gone = uint32(r.uvarint()), uint32(r.uvarint()), uint32(r.uvarint())
	c.deadAt = r.version(MaxDeps)
	n := r.uvarint()
	for range min(n, maxClosed) {
		c.closed = append(c.closed, closing{uint32(r.uvarint()), r.version(MaxDeps)})
	}
	m := r.uvarint()
	for range min(m, uint64(len(r.b))) {
		c.marks = append(c.marks, mark{time.UnixMilli(int64(r.uvarint())), r.version(MaxDeps)})
	}
	c.broken = r.byte() == 1
	if r.err == nil && (len(r.b) > 0 || c.epoch == 0 || c.gone > c.dead) {
		r.err = errors.New("does not make sense")
	}
	return c, r.err
}
