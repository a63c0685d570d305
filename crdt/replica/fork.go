package replica

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"time"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/datastore"
)

// proof shows that an author forked its log: two headers it signed, of which an
// honest author signs at most one.
//
//	proof := header of one ‖ header of the other;  header := uvarint len ‖ header ‖ signature 64
//
// Whoever has the author's log and a proof takes nothing more from the author,
// leaves it out of digests and exchanges, and hands the proof to those who still
// count it. Who does not have the log needs no proof, unless entries of others wait
// for what the author wrote, which nobody hands on any more: then it asks (askProofs).
// So all who have the same logs come to have the same proofs. What of
// the two logs a replica had applied by then stays in its state; Resync makes two
// states equal again.
type proof struct {
	network NetworkID
	dataset DatasetID
	author  crdt.Author
	seq     uint64 // where the two part, or before
	raw     []byte
}

var errNoProof = errors.New("two headers that do not contradict each other")

// contradict reports whether no honest author signs both.
//
//	a:   [first ───── last]          overlap, and are not the same
//	b:          [first ───── last]
//
//	a:   [first ───── last]          b follows a, and says it follows another
//	b:                     [first …
func contradict(a, b *Entry) bool {
	if a.Author != b.Author || a.Network != b.Network || a.Dataset != b.Dataset || a.ID == b.ID {
		return false
	}
	if a.First > b.First {
		a, b = b, a
	}
	return b.First <= a.Last() || b.First == a.Last()+1 && b.Prev != a.ID
}

func newProof(a, b *Entry) *proof {
	if a.First > b.First || a.First == b.First && string(a.ID[:]) > string(b.ID[:]) {
		a, b = b, a
	}
	return &proof{network: a.Network, dataset: a.Dataset, author: a.Author, seq: b.First, raw: append(append([]byte(nil), a.head()...), b.head()...)}
}

// decodeProof checks a proof in full: nobody can be accused without having
// signed. It returns nil, with no signature verified, where the proof is not news.
func decodeProof(b []byte, news func(*Entry) bool) (*proof, error) {
	a, head, rest, err := cutHead(b)
	if err != nil {
		return nil, err
	}
	c, other, rest, err := cutHead(rest)
	if err == nil && (len(rest) > 0 || !contradict(a, c)) {
		err = fmt.Errorf("%w: %w", ErrMalformed, errNoProof)
	}
	if err != nil || !news(a) {
		return nil, err
	}
	if err := errors.Join(a.verify(head), c.verify(other)); err != nil {
		return nil, err
	}
	return newProof(a, c), nil
}

// cutHead reads a signed header off the front of b. The signature is not verified.
func cutHead(b []byte) (e *Entry, header, rest []byte, err error) {
	n, w := binary.Uvarint(b)
	if w <= 0 || n > maxHeader || uint64(len(b)-w) < n+signatureSize {
		return nil, nil, nil, fmt.Errorf("%w: truncated", ErrMalformed)
	}
	end := w + int(n) + signatureSize
	e, header, err = splitEntry(b[:end:end], true)
	return e, header, b[end:], err
}

// freeze acts on a proof. d.mu is held and Replica.cut shared. It reports
// whether the proof was news.
func (d *Dataset) freeze(p *proof) bool {
	h := d.hash(p.author)
	if d.forked[h] || !d.concerns(p.author) {
		return false
	}
	d.forked[h] = true
	d.extra = append(d.extra, row{datastore.FactKey(d.id, factForked, h[:]), p.raw})
	d.parked.dropAhead(p.author)
	d.parked.advanced(p.author, math.MaxUint64)
	d.digestValid = false
	d.r.stats.Forks.Add(1)
	if p.author == d.self {
		d.r.log.Error("this node's own log was continued twice: the data directory was copied or restored, "+
			"and both are in use; writing on as a new replica", "dataset", d.name, "seq", p.seq)
		d.r.queueRotation()
	} else {
		d.r.log.Error("an author signed two logs; nothing more is taken from it. The state of peers may differ: "+
			"make it equal with numax-node dataset resync", "dataset", d.name, "author", p.author, "seq", p.seq)
	}
	d.r.queue.push(len(p.raw), 0)
	return true
}

// accuse is for an entry that does not fit its author's log: it looks for the
// one it contradicts.
func (d *Dataset) accuse(e *Entry) {
	ours, err := d.entryAt(e.Author, e.First)
	if err == nil && ours == nil && e.First > 1 {
		ours, err = d.entryAt(e.Author, e.First-1)
	}
	if ours != nil && ours.ID == e.ID {
		return
	}
	if err != nil || ours == nil || !contradict(ours, e) {
		d.r.log.Warn("an entry does not continue its author's log", "dataset", d.name, "author", e.Author, "seq", e.First, "err", err)
		return
	}
	d.convict(newProof(ours, e))
}

// convict freezes an author and tells the peers.
func (d *Dataset) convict(p *proof) {
	d.r.cut.RLock()
	d.mu.Lock()
	news := d.freeze(p)
	d.mu.Unlock()
	d.r.cut.RUnlock()
	if news {
		// Who does not get it now gets it when versions are compared.
		d.r.eachSession(func(s *session) { s.offer(frame(frameProof, d.id[:], p.raw)) })
		d.applyReady(context.Background()) // what waited for entries that will never come
	}
}

// entryAt is the entry of our log that holds an author's op seq; nil if there
// is none.
func (d *Dataset) entryAt(a crdt.Author, seq uint64) (*Entry, error) {
	d.mu.Lock()
	for _, e := range d.learned { // not on disk yet
		if e.Author == a && e.First <= seq && seq <= e.Last() {
			d.mu.Unlock()
			return e, nil
		}
	}
	d.mu.Unlock()
	key := a.Bytes()
	var found *Entry
	var bad error
	err := d.r.store.Scan(datastore.EntryKey(d.id, key[:], seq), datastore.After(datastore.EntryPrefix(d.id, key[:])),
		func(_, v []byte) bool {
			found, _, bad = splitEntry(append([]byte(nil), v...), false)
			return false
		})
	if err == nil {
		err = bad
	}
	if found != nil && found.First > seq {
		found = nil
	}
	return found, err
}

// headsWait is how often a peer is told all heads.
const headsWait = 5 * time.Second

// compareHeads is called when a peer has the version that we have: if its log is
// not ours nevertheless, an author forked and both have another half.
func (s *session) compareHeads(d *Dataset, theirs summary) {
	if !maps.Equal(theirs, d.have()) {
		return
	}
	now := s.r.now()
	s.mu.Lock()
	due := s.unequal && now.Sub(s.compared) >= headsWait
	if due {
		s.compared = now
	}
	s.mu.Unlock()
	if !due {
		return
	}
	list := append([]byte(nil), d.id[:]...)
	d.mu.Lock()
	for a, l := range d.durable {
		if h := d.hash(a); l.have > 0 && !d.isForked(a) {
			list = append(append(list, h[:]...), l.head[:]...)
		}
	}
	d.mu.Unlock()
	s.send(frame(frameHeads, list))
}

// onHeads answers with our header of every log that ends in another entry, and with
// the proof against its author if it forked.
func (s *session) onHeads(ctx context.Context, p []byte) error {
	const size = authorHashSize + len(EntryID{})
	d, p, err := s.named(p)
	if err == nil {
		err = s.slow(ctx, d)
	}
	if err != nil || d == nil {
		return err
	}
	if len(p)%size != 0 || len(p)/size > MaxDeps {
		return fmt.Errorf("%w: heads frame of %d bytes", ErrMalformed, len(p))
	}
	for answers := 0; len(p) > 0 && answers < maxHeads; p = p[size:] {
		d.mu.Lock()
		a, known := d.hashes[authorHash(p[:authorHashSize])]
		l := d.durable[a]
		forked := known && d.isForked(a)
		d.mu.Unlock()
		if forked {
			raw, err := s.r.store.Get(datastore.FactKey(d.id, factForked, p[:authorHashSize]))
			if err == nil {
				answers++
				s.offer(frame(frameProof, d.id[:], raw))
				continue
			}
			if !errors.Is(err, datastore.ErrNotFound) { // else it is on its way there
				return err
			}
		}
		if !known || l.have == 0 || l.head == EntryID(p[authorHashSize:size]) {
			continue
		}
		e, err := d.entryAt(a, l.have)
		if err != nil {
			return err
		}
		if e != nil {
			answers++
			s.offer(frame(frameHead, d.id[:], e.head()))
		}
	}
	return nil
}

// maxMissed bounds the authors that one askProofs names.
const maxMissed = 1024

// askProofs names the authors without a log here that entries wait for. If they
// forked, those who applied something of them before do not hand it on; without the
// proof everything that was written after it would wait for ever. Beyond maxMissed,
// others are named the next time.
func (s *session) askProofs() {
	now := s.r.now()
	s.mu.Lock()
	due := now.Sub(s.missed) >= headsWait
	if due {
		s.missed = now
	}
	s.mu.Unlock()
	if !due {
		return
	}
	for _, d := range s.shared() {
		var list []byte
		d.mu.Lock()
		for a := range d.parked.blocked {
			if d.logs[a].have == 0 && a != d.self && len(list) < maxMissed*(authorHashSize+len(EntryID{})) {
				h := hashAuthor(a)
				list = append(append(list, h[:]...), make([]byte, len(EntryID{}))...)
			}
		}
		d.mu.Unlock()
		if len(list) > 0 {
			s.offer(frame(frameHeads, d.id[:], list))
		}
	}
}

// concerns reports whether a proof against an author is of use: its log is here, or
// entries wait for it. There are no more proofs than there may be authors, and as
// many again that entries waited for. d.mu is held.
func (d *Dataset) concerns(a crdt.Author) bool {
	_, known := d.logs[a]
	return known || a == d.self || d.parked.blocked[a] != nil && len(d.forked) < 2*MaxDeps
}

// maxHeads is how many headers one heads frame is answered with.
const maxHeads = 16

func (s *session) onHead(p []byte) error {
	d, p, err := s.named(p)
	if err != nil || d == nil {
		return err
	}
	e, err := parseEntry(p, true)
	if err == nil {
		err = s.r.admit(d.id, e)
	}
	if err != nil {
		return fmt.Errorf("%w: head: %w", ErrMalformed, err)
	}
	d.mu.Lock()
	l := d.logs[e.Author]
	suspect := e.First <= l.have && e.Last() >= l.have && e.ID != l.head && !d.isForked(e.Author)
	d.mu.Unlock()
	if suspect {
		d.accuse(e)
	}
	return nil
}

func (s *session) onProof(p []byte) error {
	d, p, err := s.named(p)
	if err != nil || d == nil {
		return err
	}
	foreign := false
	x, err := decodeProof(p, func(e *Entry) bool {
		foreign = e.Dataset != d.id || e.Network != s.r.network
		d.mu.Lock()
		defer d.mu.Unlock()
		return !foreign && d.concerns(e.Author) && !d.isForked(e.Author)
	})
	if err == nil && foreign {
		err = fmt.Errorf("%w: proof of another dataset", ErrMalformed)
	}
	if err != nil || x == nil {
		return err
	}
	d.convict(x)
	return nil
}

// named reads the dataset that a frame begins with; nil if we have it not.
func (s *session) named(p []byte) (*Dataset, []byte, error) {
	r := reader{b: p}
	var id DatasetID
	copy(id[:], r.bytes(len(id)))
	if r.err != nil {
		return nil, nil, fmt.Errorf("%w: frame without a dataset", ErrMalformed)
	}
	return s.r.dataset(id), r.b, nil
}

// maxProofs is how many proofs one want is answered with.
const maxProofs = 16

// sendProofs tells a peer of authors in its version that forked.
func (s *session) sendProofs(d *Dataset, theirs summary) {
	var forked []authorHash
	d.mu.Lock()
	if len(d.forked) > 0 {
		for h := range theirs {
			if d.forked[h] {
				forked = append(forked, h)
			}
		}
	}
	d.mu.Unlock()
	for _, h := range forked[:min(len(forked), maxProofs)] { // the next want gets more
		raw, err := s.r.store.Get(datastore.FactKey(d.id, factForked, h[:]))
		if err == nil { // else it is not on disk yet
			s.offer(frame(frameProof, d.id[:], raw))
		}
	}
}

// isForked reports whether there is a proof against the author. d.mu is held.
func (d *Dataset) isForked(a crdt.Author) bool {
	return len(d.forked) > 0 && d.forked[d.hash(a)]
}
