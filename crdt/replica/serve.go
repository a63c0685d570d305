package replica

import (
	"container/heap"
	"time"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/datastore"
)

// serveBuffer is how many bytes of entries a serve reads ahead, over all
// authors.
const serveBuffer = 1 << 20

// serve streams the entries that a peer's version lacks. The authors' logs are
// merged by their clocks, so that entries come about after what they depend on
// and the peer can apply them as they come.
type serve struct {
	d       *Dataset
	channel uint64
	credit  int64 // bytes that may be sent; an entry may overdraw it once
	cursors cursors
	sorted  bool // cursors is a heap, and each has read ahead
	skips   bool // entries in flight are left out

	state *stateSource // instead of cursors: the whole state
	begun bool         // its manifest was sent
	moved time.Time    // when a frame of it was last made
}

// cursor reads one author's log.
type cursor struct {
	author crdt.Author
	next   uint64 // seq to read from
	last   uint64 // seq of the end
	ahead  []*Entry
}

// newServe plans what to send to a peer that has version.
//
// Entries younger than inFlight, and than since, are left to gossip: while writes go on, roots
// differ by what is under way, and to send that too would double the traffic.
// What gossip loses of them the next want brings.
func (d *Dataset) newServe(w wantFrame, since time.Time) *serve {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := &serve{d: d, channel: w.channel, credit: int64(min(w.credit, maxCredit))}
	d.young.forget(d.r.now().Add(-inFlight))
	for a, l := range d.durable {
		last := d.young.before(a, l.have, since)
		if d.isForked(a) {
			continue
		}
		h := d.hash(a)
		s.skips = s.skips || last < l.have && w.version[h] < l.have
		if has := w.version[h]; has < last {
			s.cursors = append(s.cursors, &cursor{author: a, next: has + 1, last: last})
		}
	}
	return s
}

// inFlight is how long gossip takes to bring an entry to everybody, nearly
// always; shorter than gapWait, after which what it lost is asked for.
const inFlight = 40 * time.Millisecond

// young remembers the entries of the last moments, oldest first.
type young struct{ commits []youngCommit }

type youngCommit struct {
	time   time.Time
	author crdt.Author
	had    uint64 // before it
}

func (y *young) add(now time.Time, a crdt.Author, had uint64) {
	y.forget(now.Add(-inFlight))
	y.commits = append(y.commits, youngCommit{now, a, had})
}

func (y *young) forget(until time.Time) {
	n := 0
	for n < len(y.commits) && !y.commits[n].time.After(until) {
		n++
	}
	y.commits = y.commits[n:]
}

// before is an author's seq without its young entries, as far as they came after
// since.
func (y *young) before(a crdt.Author, have uint64, since time.Time) uint64 {
	for i := range y.commits {
		if y.commits[i].author == a && y.commits[i].time.After(since) {
			return y.commits[i].had
		}
	}
	return have
}

// below reports whether a peer with version lacks what our logs do not have any
// more.
func (d *Dataset) below(version summary) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for a, l := range d.logs {
		if l.cut > 0 && version[d.hash(a)] < l.cut && !d.isForked(a) {
			return true
		}
	}
	return false
}

// newStateServe pins the whole state for a peer.
func (d *Dataset) newStateServe(channel, credit uint64) (*serve, error) {
	source, err := d.newState(false)
	if err != nil {
		return nil, err
	}
	return &serve{d: d, channel: channel, credit: int64(min(credit, maxCredit)), state: source, moved: d.r.now()}, nil
}

func (s *serve) close() {
	if s.state != nil {
		s.state.close()
	}
}

// frame returns the next frame to send, and what it costs of the credit; last
// means that nothing follows.
func (s *serve) frame() (f []byte, cost int, last bool, err error) {
	ch := uvarint(s.channel)
	switch {
	case s.state == nil:
		e, err := s.next()
		if err != nil || e == nil {
			return frame(frameDone, ch), 0, true, err
		}
		return frame(frameEntry, ch, e.raw), len(e.raw), false, nil
	case !s.begun:
		s.begun = true
		return frame(frameState, ch, s.state.manifest), 0, false, nil
	case s.state.ended:
		return frame(frameDone, ch), 0, true, nil
	}
	rows, err := s.state.chunk()
	switch {
	case err != nil:
		return nil, 0, true, err
	case rows == nil:
		s.state.ended = true
		return frame(frameSeal, ch, s.state.seal()), 0, false, nil
	}
	return frame(frameRows, ch, rows), len(rows), false, nil
}

// next returns the next entry, or nil at the end: of all cursors the one whose
// entry is the oldest.
func (s *serve) next() (*Entry, error) {
	for !s.sorted || len(s.cursors) > 0 && len(s.cursors[0].ahead) == 0 {
		if !s.sorted {
			if err := s.fillAll(); err != nil {
				return nil, err
			}
			continue
		}
		c := s.cursors[0]
		if err := c.fill(s.d, serveBuffer/len(s.cursors)); err != nil {
			return nil, err
		}
		if len(c.ahead) > 0 {
			heap.Fix(&s.cursors, 0)
		} else {
			heap.Pop(&s.cursors)
		}
	}
	if len(s.cursors) == 0 {
		return nil, nil
	}
	c := s.cursors[0]
	e := c.ahead[0]
	if c.ahead = c.ahead[1:]; len(c.ahead) > 0 {
		heap.Fix(&s.cursors, 0)
	}
	return e, nil
}

func (s *serve) fillAll() error {
	all := s.cursors
	s.cursors, s.sorted = nil, true
	for _, c := range all {
		if err := c.fill(s.d, serveBuffer/len(all)); err != nil {
			return err
		}
		if len(c.ahead) > 0 {
			s.cursors = append(s.cursors, c)
		}
	}
	heap.Init(&s.cursors)
	return nil
}

// cursors is a heap by the time of the next entry; one that has run out keeps its
// place until it is filled.
type cursors []*cursor

func (h cursors) Len() int           { return len(h) }
func (h cursors) Less(i, j int) bool { return h[i].time() < h[j].time() }
func (h cursors) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *cursors) Push(x any)        { *h = append(*h, x.(*cursor)) }
func (h *cursors) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// time is that of the next entry; 0, the earliest, if it must be read first.
func (c *cursor) time() crdt.HLC {
	if len(c.ahead) == 0 {
		return 0
	}
	return c.ahead[0].Time
}

func (c *cursor) fill(d *Dataset, budget int) error {
	if c.next > c.last {
		return nil
	}
	id := c.author.Bytes()
	err := d.r.store.Scan(datastore.EntryKey(d.id, id[:], c.next), datastore.EntryKey(d.id, id[:], c.last+1),
		func(_, v []byte) bool {
			e, _, err := splitEntry(append([]byte(nil), v...), false)
			if err == nil && e.First > c.next {
				return false // the log was cut meanwhile; the next want gets the state
			}
			if err != nil {
				// The peer gets the other authors' entries from us, and these
				// from somebody else.
				d.r.log.Error("damaged entry", "dataset", d.name, "author", c.author, "seq", c.next, "err", err)
				return false
			}
			c.ahead = append(c.ahead, e)
			c.next = e.Last() + 1
			budget -= len(v)
			return budget > 0
		})
	if len(c.ahead) == 0 {
		c.next = c.last + 1 // a hole: what is behind it is of no use
	}
	return err
}
