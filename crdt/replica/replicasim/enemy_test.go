package replicasim

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/crdt/replica"
)

// A part of the worlds has an enemy among its peers, for as long as the others work.
// It is connected to all of them, whatever faults their own links have, and says from
// the seed: its own entries, of several authors, of which one signs two logs, in any
// order; what it received, as it was or changed somewhere; wrong wants, heads, proofs
// and credits; states made up of what it heard, but for worlds that cut, where such a
// word counts (doc.go). The laws hold for all but the enemy's own authors and keys.

const (
	enemyShare   = 4 // of so many worlds, one has an enemy
	enemyAuthors = 4 // the last of which signs two logs
	enemyEntries = 12
	enemyPace    = 150 * time.Millisecond
	enemyKept    = 300 // messages that it remembers
	enemyKey     = "the enemy's"
)

// enemyName is who the n-th of its authors is.
func enemyName(n int) string { return fmt.Sprint(evilName, " ", n) }

// drawEnemy decides whether this world has one.
func (w *world) drawEnemy() {
	if rng := w.rng("a hostile peer"); rng.IntN(enemyShare) == 0 {
		w.enemy, w.report.enemies = true, 1
	}
}

// enemy is the peer evilName.
type enemy struct {
	w    *world
	ctx  context.Context
	id   replica.DatasetID // of the first dataset, which it speaks of
	own  [][]byte          // gossip messages of its authors
	mu   sync.Mutex        // guards told
	told [][]byte          // messages and frames that it received, the last ones
}

// besiege attacks until ctx ends.
func (w *world) besiege(ctx context.Context) {
	e := &enemy{w: w, ctx: ctx, id: replica.NewDatasetID(w.network, w.datasets[0])}
	e.own = e.write()
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, x := range w.nodes {
		wg.Go(func() { e.gossip(x, w.rng("enemy gossip "+x.name)) })
		wg.Go(func() { e.talk(x, w.rng("enemy talk "+x.name)) })
	}
}

// checkHeard holds the enemy to having been one.
func (w *world) checkHeard() {
	if w.enemy && (w.taken.Load() == 0 || w.refused.Load() == 0) {
		w.failf("of the enemy's gossip %d messages were taken and %d refused, want some of both", w.taken.Load(), w.refused.Load())
	}
}

// write makes the logs of the enemy's authors, in a world of their own.
func (e *enemy) write() [][]byte {
	w := bareWorld(e.w.seed)
	w.datasets, w.public = e.w.datasets[:1], make([]public, 1)
	var names []string
	for n := range enemyAuthors {
		names = append(names, enemyName(n))
	}
	twin := "twin of " + names[enemyAuthors-1]
	w.net = newNetwork(w, append(names, twin))
	for _, l := range w.net.links {
		l.down++
	}
	write := func(x *node, n int) {
		i := x.current()
		for k := range n {
			for f := crdt.GCounter; f <= crdt.Sequence; f++ {
				_, _ = i.sets[0].Update(i.ctx, f, enemyKey, func(o crdt.Object, now replica.Now) (crdt.Op, bool) {
					return e.op(o, now, k), true
				})
			}
			_ = i.replica.Sync(i.ctx)
		}
	}
	for n, name := range names {
		x := newNode(w, name, name)
		x.suspect, x.now = true, time.Now
		x.start()
		write(x, enemyEntries)
		if n == enemyAuthors-1 {
			y := newNode(w, twin, name)
			y.suspect, y.now = true, time.Now
			y.disk = x.backup()
			y.start()
			write(x, enemyEntries)
			write(y, enemyEntries)
			y.stop()
		}
		x.stop()
	}
	return w.net.announced
}

// op is the k-th that an author makes of an object.
func (*enemy) op(o crdt.Object, now replica.Now, k int) crdt.Op {
	value := fmt.Appendf(nil, "%d of %v", k, now.Author)
	switch o := o.(type) {
	case *crdt.GCounterState:
		return o.Inc(now.Author, 1)
	case *crdt.SetState:
		return o.Add(value)
	case *crdt.SequenceState:
		return o.InsertAt(0, [][]byte{value, value})
	}
	op := crdt.Op{Kind: crdt.Set, Time: now.Time, Value: value}
	switch o.Family() {
	case crdt.PNCounter:
		op = crdt.Op{Kind: crdt.Inc, P: uint64(k + 1)}
	case crdt.LWWMap:
		op.Field = []byte("field")
	}
	return op
}

// hear remembers something that it received.
func (e *enemy) hear(b []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.told) == enemyKept {
		e.told = e.told[1:]
	}
	e.told = append(e.told, slices.Clone(b))
}

// message is gossip that somebody said: the enemy, an honest node, or on a stream.
func (e *enemy) message(rng *rand.Rand) []byte {
	if rng.IntN(2) == 0 && len(e.own) > 0 {
		return e.own[rng.IntN(len(e.own))]
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.told) > 0 && rng.IntN(3) == 0 {
		return e.told[rng.IntN(len(e.told))]
	}
	e.w.net.mu.Lock()
	defer e.w.net.mu.Unlock()
	if all := e.w.net.announced; len(all) > 0 {
		return all[rng.IntN(len(all))]
	}
	return []byte{0}
}

// changed is b with something of it another, missing or too much.
func changed(rng *rand.Rand, b []byte) []byte {
	c := slices.Clone(b)
	if len(c) == 0 {
		return []byte{byte(rng.Uint32())}
	}
	at := rng.IntN(len(c))
	switch rng.IntN(4) {
	case 0:
		return c[:at]
	case 1:
		return append(c, c[at:]...)
	case 2:
		for i := at; i < min(len(c), at+9); i++ {
			c[i] = 0xff
		}
	default:
		c[at] ^= 1 << rng.IntN(8)
	}
	return c
}

// pause waits for a while; false means that the siege is over.
func (e *enemy) pause(rng *rand.Rand) bool {
	select {
	case <-time.After(time.Duration(rng.Int64N(int64(2 * enemyPace)))):
		return true
	case <-e.ctx.Done():
		return false
	}
}

// gossip sends messages to a node.
func (e *enemy) gossip(x *node, rng *rand.Rand) {
	for e.pause(rng) {
		m := e.message(rng)
		if rng.IntN(3) == 0 {
			m = changed(rng, m)
		}
		if i := x.current(); i != nil {
			select {
			case i.inbox <- gossip{evilName, e.id, m}:
			default:
			}
		}
	}
}

// open opens a sync stream to a node, if that is there.
func (e *enemy) open(x *node) io.ReadWriteCloser {
	n := e.w.net
	n.mu.Lock()
	defer n.mu.Unlock()
	i := n.running[x.name]
	if i == nil {
		return nil
	}
	there, back := newHalf(time.Millisecond, rateFull), newHalf(time.Millisecond, rateFull)
	i.serving.Go(func() { _ = i.replica.Serve(i.ctx, evilName, conn{there, back}) })
	return conn{back, there}
}

// talk holds one stream with a node after another. On some it is polite: it sends
// nothing malformed, and so is heard for longer.
func (e *enemy) talk(x *node, rng *rand.Rand) {
	for e.pause(rng) {
		c := e.open(x)
		if c == nil {
			continue
		}
		ctx, cancel := context.WithTimeout(e.ctx, time.Duration(rng.Int64N(int64(20*time.Second))))
		stop := context.AfterFunc(ctx, func() { _ = c.Close() })
		s := &siege{e: e, rng: rng, c: c, polite: rng.IntN(3) > 0}
		var ears sync.WaitGroup
		ears.Go(s.listen)
		_, err := c.Write(append(frame(1, []byte{1}, e.w.network[:]), frame(2, e.id[:])...))
		for err == nil && e.pause(rng) {
			f := s.next()
			if !s.polite && rng.IntN(4) == 0 {
				f = changed(rng, f)
			}
			_, err = c.Write(f)
		}
		_ = c.Close()
		ears.Wait()
		stop()
		cancel()
	}
}

// siege is one stream with a node.
type siege struct {
	e      *enemy
	rng    *rand.Rand // of who writes
	c      io.ReadWriteCloser
	polite bool

	mu    sync.Mutex // guards wants
	wants []uint64   // channels of the node's wants
}

// listen reads what the node says: what it wants is noted, the rest remembered.
func (s *siege) listen() {
	r := bufio.NewReader(s.c)
	for {
		n, err := binary.ReadUvarint(r)
		if err != nil || n == 0 || n > 3<<20 {
			return
		}
		b := make([]byte, n)
		if _, err := io.ReadFull(r, b); err != nil {
			return
		}
		channel, w := binary.Uvarint(b[1:])
		switch b[0] {
		case 5, 12: // want, ask
			s.mu.Lock()
			s.wants = append(s.wants, channel)
			s.mu.Unlock()
		case 6: // entry
			if w > 0 {
				s.e.hear(append([]byte{0}, b[1+w:]...))
			}
		}
	}
}

// want is the channel of something that the node wants, or any.
func (s *siege) want() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.wants) > 0 {
		return uvarint(s.wants[s.rng.IntN(len(s.wants))])
	}
	return uvarint(s.rng.Uint64N(9))
}

func (s *siege) random(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(s.rng.Uint32())
	}
	return b
}

// head is the signed header of an entry that somebody said.
func (s *siege) head() []byte {
	for range 10 {
		m := s.e.message(s.rng)
		if len(m) < 2 {
			continue
		}
		n, w := binary.Uvarint(m[1:])
		if end := uint64(1+w) + n + 64; w > 0 && n < 1<<16 && uint64(len(m)) >= end {
			return m[1:end]
		}
	}
	return nil
}

// next is a frame that it says of its own accord, or answers with.
func (s *siege) next() []byte {
	id := s.e.id[:]
	switch s.rng.IntN(13) {
	case 0:
		return frame(3, s.random(16))
	case 1:
		return frame(4, id, s.random(32))
	case 2: // a version of authors that nobody is
		h := s.random(16)
		return frame(5, uvarint(s.rng.Uint64()), id, uvarint(s.rng.Uint64()>>s.rng.IntN(60)), uvarint(1), h, uvarint(1+s.rng.Uint64()>>1))
	case 3:
		return frame(5, uvarint(s.rng.Uint64N(9)), id, uvarint(1<<20), uvarint(0))
	case 4, 5, 6:
		m := s.e.message(s.rng)
		if m[0] != 0 || len(m) < 2 {
			return frame(7, s.want())
		}
		return frame(6, s.want(), m[1:])
	case 7:
		return frame(7, s.want())
	case 8:
		return frame(8, s.want(), uvarint(s.rng.Uint64()>>s.rng.IntN(60)))
	case 9:
		return frame(9, id, s.random(48*s.rng.IntN(20)))
	case 10:
		return frame(18, id, s.random(32))
	case 11:
		return frame(19, id, s.random(64))
	default:
		if s.polite {
			return frame(16, s.want())
		}
		switch s.rng.IntN(4) {
		case 0:
			return frame(10, id, s.head())
		case 1:
			return frame(11, id, s.head(), s.head())
		case 2:
			return frame(17, id, s.head(), s.head())
		}
		if s.e.w.cuts() {
			return frame(12, s.want(), id, uvarint(1<<20))
		}
		return slices.Concat(frame(13, s.want(), s.random(200)), frame(14, s.want(), s.random(50)), frame(15, s.want(), s.random(97)))
	}
}
