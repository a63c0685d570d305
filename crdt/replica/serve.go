package replica

import (
	"bytes"
	"container/heap"
	"time"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/datastore"
)

// A serve keeps at most serveBuffer bytes of entries that it has read ahead, over all
// authors; all serves of the node together keep maxAhead. When there is no room, a
// serve reads an entry once for its time and a second time to send it.
const (
	serveBuffer = 1 << 20
	maxAhead    = 16 << 20
)

// serve streams the entries that a peer's version lacks. The authors' logs are
// merged by their clocks, so that entries come about after what they depend on
// and the peer can apply them as they come.
type serve struct {
	d       *Dataset
	channel uint64
	credit  int64 // bytes that may be sent; an entry may overdraw it once
	cursors cursors
	sorted  bool  // cursors is a heap, and each knows the time of its next entry
	held    int64 // bytes of entries that were read ahead
	skips   bool  // entries in flight are left out
	busy    bool  // a frame is being made; guarded by session.mu

	state *stateSource // instead of cursors: the whole state
	begun bool         // its manifest was sent
	moved time.Time    // when a frame of it was last made
}

// cursor reads one author's log.
type cursor struct {
	author crdt.Author
	next   uint64 // seq to read from
	last   uint64 // seq of the end
	ahead  []aheadEntry
	peeked bool // at is the time of the entry at next, which is not in ahead
	at     crdt.HLC
}

// aheadEntry is an entry that was read ahead.
type aheadEntry struct {
	raw []byte
	at  crdt.HLC
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

// close ends a serve of which no frame is being made.
func (s *serve) close() {
	if s.state != nil {
		s.state.close()
	}
	s.d.r.ahead.Add(-s.held)
	s.held = 0
}

// hold takes n bytes of what may be read ahead; false if there is no room.
func (s *serve) hold(n int) bool {
	if s.held+int64(n) > serveBuffer {
		return false
	}
	if s.d.r.ahead.Add(int64(n)) > maxAhead {
		s.d.r.ahead.Add(int64(-n))
		return false
	}
	s.held += int64(n)
	return true
}

// frame returns the next frame to send, and what it costs of the credit; last
// means that nothing follows.
func (s *serve) frame() (f []byte, cost int, last bool, err error) {
	ch := uvarint(s.channel)
	switch {
	case s.state == nil:
		raw, err := s.next()
		if err != nil || raw == nil {
			return frame(frameDone, ch), 0, true, err
		}
		return frame(frameEntry, ch, raw), len(raw), false, nil
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
func (s *serve) next() ([]byte, error) {
	if !s.sorted {
		if err := s.sort(); err != nil {
			return nil, err
		}
	}
	for len(s.cursors) > 0 {
		c := s.cursors[0]
		if len(c.ahead) > 0 {
			e := c.ahead[0]
			c.ahead = c.ahead[1:]
			s.fixFirst()
			s.giveBack(len(e.raw))
			return e.raw, nil
		}
		due, err := s.read(c, serveBuffer/len(s.cursors), c.peeked)
		if err != nil {
			return nil, err
		}
		s.fixFirst()
		if due != nil {
			return due, nil
		}
	}
	return nil, nil
}

// cursors is a heap by the time of the next entry. A cursor that does not know that
// time yet comes first.
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
		return c.at
	}
	return c.ahead[0].at
}

// sort finds the first entry of each cursor.
func (s *serve) sort() error {
	all := s.cursors
	s.cursors, s.sorted = nil, true
	for _, c := range all {
		if _, err := s.read(c, serveBuffer/len(all), false); err != nil {
			return err
		}
		if !c.ended() {
			s.cursors = append(s.cursors, c)
		}
	}
	heap.Init(&s.cursors)
	return nil
}

// fixFirst gives the first cursor its place, now that it has gone on.
func (s *serve) fixFirst() {
	if s.cursors[0].ended() {
		heap.Pop(&s.cursors)
	} else {
		heap.Fix(&s.cursors, 0)
	}
}

func (s *serve) giveBack(n int) {
	s.held -= int64(n)
	s.d.r.ahead.Add(int64(-n))
}

func (c *cursor) ended() bool { return len(c.ahead) == 0 && !c.peeked && c.next > c.last }

// read goes on with a cursor that has nothing ahead: it reads up to budget bytes,
// or an entry, as far as there is room, and otherwise the time of the next entry.
// If that entry is due, read returns it, whether there is room or not.
func (s *serve) read(c *cursor, budget int, isDue bool) (due []byte, err error) {
	c.peeked, c.at = false, 0
	if c.next > c.last {
		return nil, nil
	}
	d, found := s.d, false
	id := c.author.Bytes()
	err = d.r.store.Scan(datastore.EntryKey(d.id, id[:], c.next), datastore.EntryKey(d.id, id[:], c.last+1),
		func(_, v []byte) bool {
			e, _, err := splitEntry(v, false)
			if err == nil && e.First > c.next {
				return false // the log was cut meanwhile; the next want gets the state
			}
			if err != nil {
				// The peer gets the other authors' entries from us, and these
				// from somebody else.
				d.r.log.Error("damaged entry", "dataset", d.name, "author", c.author, "seq", c.next, "err", err)
				return false
			}
			first := !found
			found = true
			switch {
			case first && isDue:
				due = bytes.Clone(v)
			case !first && budget < len(v) || !s.hold(len(v)):
				c.peeked, c.at = true, e.Time
				return false
			default:
				c.ahead = append(c.ahead, aheadEntry{bytes.Clone(v), e.Time})
			}
			c.next = e.Last() + 1
			budget -= len(v)
			return true
		})
	if !found {
		c.next = c.last + 1 // a hole: what is behind it is of no use
	}
	return due, err
}
