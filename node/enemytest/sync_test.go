package enemytest

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/numax-mesh/numax/crdt"
)

// Sync streams, as crdt/replica/frame.go draws them.
const (
	frameHello    = 1
	frameDatasets = 2
	frameRoot     = 3
	frameDigests  = 4
	frameWant     = 5
	frameEntry    = 6
	frameDone     = 7
	frameCredit   = 8
	frameHeads    = 9
	frameHead     = 10
	frameProof    = 11
	frameAsk      = 12
	frameState    = 13
	frameRows     = 14
	frameSeal     = 15
	frameStop     = 16
	frameStarts   = 17
	frameCompare  = 18
	frameCompared = 19

	maxFrame = 2<<20 + 16
)

func frame(kind byte, parts ...[]byte) []byte {
	p := bytes.Join(parts, nil)
	return append(append(binary.AppendUvarint(nil, uint64(len(p)+1)), kind), p...)
}

func uvarint(v uint64) []byte { return binary.AppendUvarint(nil, v) }

func readFrame(r *bufio.Reader) (kind byte, payload []byte, err error) {
	n, err := binary.ReadUvarint(r)
	if err != nil {
		return 0, nil, err
	}
	if n == 0 || n > maxFrame {
		return 0, nil, fmt.Errorf("frame of %d bytes", n)
	}
	b := make([]byte, n)
	_, err = io.ReadFull(r, b)
	return b[0], b[1:], err
}

// conversation is one sync stream with an honest node.
type conversation struct {
	l  *life
	s  *scribe
	id []byte // of the dataset
	w  io.Writer
	// polite is one who sends nothing malformed, and so is not cut off: its lies go deeper.
	polite bool

	mu    sync.Mutex // guards wants, and writes to w
	wants []uint64   // channels of what the other wants, the last ones
}

// sync talks: it answers what the other wants, truly or not, and says what it likes.
func (l *life) sync(rng *rand.Rand, x *honest, stream io.ReadWriteCloser) {
	s := l.scribe(rng)
	c := &conversation{l: l, s: s, id: s.dataset[:], w: stream, polite: rng.IntN(3) > 0}
	if c.polite || rng.IntN(20) > 0 {
		if c.send("hello", frame(frameHello, []byte{1}, l.network[:])) != nil {
			return
		}
	}
	if (c.polite || rng.IntN(10) > 0) && c.send("datasets", frame(frameDatasets, c.id)) != nil {
		return
	}
	if rng.IntN(8) > 0 { // else it never reads
		ears := l.rng("ears", x.name, rng.Uint64())
		l.wg.Go(func() { c.listen(ears, bufio.NewReader(stream)) })
	}
	for every(l.ctx, time.Duration(rng.IntN(8))*time.Millisecond) {
		name, b := c.next()
		n := 1
		if rng.IntN(150) == 0 {
			n = 200
			name += ", flooded"
		}
		for range n {
			if c.send(name, b) != nil {
				return
			}
		}
	}
}

func (c *conversation) send(name string, b []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := c.w.Write(b)
	if err == nil {
		c.l.lore.said("sync " + name)
	}
	return err
}

// listen reads, keeps what it can use and answers wants.
func (c *conversation) listen(rng *rand.Rand, r *bufio.Reader) {
	s := c.l.scribe(rng)
	for {
		kind, p, err := readFrame(r)
		if err != nil {
			return
		}
		channel, n := binary.Uvarint(p)
		switch kind {
		case frameEntry:
			if n > 0 {
				c.l.lore.hear(p[n:])
			}
		case frameWant, frameAsk:
			c.mu.Lock()
			c.wants = append(c.wants[max(0, len(c.wants)-8):], channel)
			c.mu.Unlock()
			if c.answer(s, kind, channel) != nil {
				return
			}
		case frameCompare:
			if len(p) == 16+32 && c.send("compared", frame(frameCompared, p, randomBytes(rng, 32))) != nil {
				return
			}
		}
	}
}

// answer is what one gets who wants entries, or a whole state.
func (c *conversation) answer(s *scribe, kind byte, channel uint64) error {
	ch := uvarint(channel)
	how := s.rng.IntN(5)
	if kind == frameAsk {
		how = 3
	}
	if how == 3 && c.polite && !s.closed {
		how = 1 // its state would have it cut off
	}
	switch how {
	case 0:
		return nil
	case 1:
		return c.send("done, with nothing", frame(frameDone, ch))
	case 2, 4:
		for _, e := range s.lore.sample(s.rng, 30) {
			if err := c.send("entry wanted", frame(frameEntry, ch, e.raw)); err != nil {
				return err
			}
		}
		return c.send("done", frame(frameDone, ch))
	default:
		for _, f := range s.state(ch, c.polite) {
			if err := c.send("state wanted", f); err != nil {
				return err
			}
		}
		return c.send("done", frame(frameDone, ch))
	}
}

// channel is one that the other knows, or not.
func (c *conversation) channel() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.wants) > 0 && c.s.rng.IntN(3) > 0 {
		return uvarint(c.wants[c.s.rng.IntN(len(c.wants))])
	}
	return uvarint(c.s.rng.Uint64() >> c.s.rng.IntN(64))
}

// next is what it says next, valid in form; of one who is not polite, one in four is changed.
func (c *conversation) next() (name string, b []byte) {
	if c.polite {
		return c.shaped(polite[c.s.rng.IntN(len(polite))])
	}
	name, b = c.shaped(c.s.rng.IntN(24))
	switch c.s.rng.IntN(16) {
	case 0, 1, 2:
		return name + ", mutated", mutate(c.s.rng, b)
	case 3:
		return "half a frame", b[:c.s.rng.IntN(len(b))]
	}
	return name, b
}

// polite are the kinds of shaped that nobody can be blamed for by their form.
var polite = []int{0, 2, 3, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 16, 18, 19, 20, 21}

func (c *conversation) shaped(kind int) (string, []byte) {
	s, rng := c.s, c.s.rng
	seq := func() []byte { return uvarint(rng.Uint64() >> rng.IntN(64)) }
	switch kind {
	case 0:
		return "roots", frame(frameRoot, randomBytes(rng, 16))
	case 1:
		var list []byte
		for range rng.IntN(50) {
			list = append(list, randomBytes(rng, 16)...)
		}
		if rng.IntN(2) == 0 {
			list = append(list, c.id...)
		}
		return "datasets", frame(frameDatasets, list)
	case 2:
		return "digests", frame(frameDigests, c.id, randomBytes(rng, 32), randomBytes(rng, 48*rng.IntN(20)))
	case 3, 4:
		return "want", frame(frameWant, seq(), c.id, seq(), s.summary(rng.IntN(60)).append(nil))
	case 5:
		return "want everything", frame(frameWant, seq(), c.id, uvarint(1<<20), uvarint(0))
	case 6, 7, 8:
		return "entry", frame(frameEntry, c.channel(), s.valid().raw)
	case 9:
		return "entry with a wrong field", frame(frameEntry, c.channel(), s.wrong().raw)
	case 10:
		return "done", frame(frameDone, c.channel())
	case 11:
		return "credit", frame(frameCredit, c.channel(), seq())
	case 12:
		return "stop", frame(frameStop, c.channel())
	case 13:
		var list []byte
		for _, e := range s.lore.sample(rng, rng.IntN(40)) {
			h := hashAuthor(e.Author)
			list = append(append(list, h[:]...), e.id[:]...)
		}
		return "heads", frame(frameHeads, c.id, list, randomBytes(rng, 48*rng.IntN(20)))
	case 14:
		return "head", frame(frameHead, c.id, s.valid().header())
	case 15:
		return "proof", frame(frameProof, c.id, c.proof())
	case 16:
		return "ask", frame(frameAsk, seq(), c.id, seq())
	case 17:
		return "state that nobody wants", bytes.Join(s.state(c.channel(), false), nil)
	case 18:
		var list []byte
		for _, e := range s.lore.sample(rng, rng.IntN(10)) {
			list = append(list, e.header()...)
		}
		return "starts", frame(frameStarts, c.id, list)
	case 19:
		return "compare", frame(frameCompare, c.id, randomBytes(rng, 32))
	case 20:
		return "compared", frame(frameCompared, c.id, randomBytes(rng, 64))
	case 21:
		return "of a later version", frame(byte(20+rng.IntN(230)), randomBytes(rng, rng.IntN(400)))
	case 22:
		if rng.IntN(10) > 0 {
			return "absurd", randomBytes(rng, 1+rng.IntN(400))
		}
		return "of two MiB", frame(byte(rng.IntN(25)), make([]byte, 2<<20))
	default:
		return "of a length that never comes", append(uvarint(rng.Uint64()>>(40+rng.IntN(24))|1), byte(rng.IntN(20)))
	}
}

// proof accuses somebody: an author of the enemy's that did it, or one that did not.
func (c *conversation) proof() []byte {
	s := c.s
	one, other := s.lore.entry(s.rng), s.lore.entry(s.rng)
	if a := s.author(); a.last != nil && s.rng.IntN(2) == 0 { // two that it signed
		h := a.last.Header
		h.Time ^= crdt.HLC(1 + s.rng.Uint64N(1000))
		one, other = a.last, seal(a.key, h, nil)
	}
	if one == nil || other == nil {
		return randomBytes(s.rng, 300)
	}
	return bytes.Join([][]byte{one.header(), other.header()}, nil)
}
