package crdt

// The last-writer-wins cell, which registers and maps are made of.
//
// Cell: | stamp 8 BE | author 40 | seq varint | flag | value … |
// flag: 0 value, 1 tombstone (no value follows)

import (
	"bytes"
	"encoding/binary"
)

// lwwCell is a value or a tombstone, with the stamp and dot of who wrote it.
type lwwCell struct {
	time  HLC
	dot   Dot
	tomb  bool
	dirty bool
	value []byte
}

// compare orders writes: by stamp, author, number. Equal dots are equal writes
// unless an author forked; then a tombstone wins, then the larger value, so
// that the order is total whatever comes.
func (c *lwwCell) compare(d *lwwCell) int {
	if r := compareUint(c.time, d.time); r != 0 {
		return r
	}
	if r := c.dot.Compare(d.dot); r != 0 {
		return r
	}
	switch {
	case c.tomb && !d.tomb:
		return 1
	case d.tomb && !c.tomb:
		return -1
	}
	return bytes.Compare(c.value, d.value)
}

// join takes w if it wins over c, copying its value.
func (c *lwwCell) join(w *lwwCell) bool {
	if !c.dot.IsZero() && c.compare(w) >= 0 {
		return false
	}
	c.time, c.dot, c.tomb = w.time, w.dot, w.tomb
	c.value = append(c.value[:0:0], w.value...)
	return true
}

// next returns the stamp a local write needs to win here. At the maximum it
// stays there: the author then decides, as at any tie.
func (c *lwwCell) next(now HLC) HLC {
	if c != nil && !c.dot.IsZero() {
		now = max(now, c.time+1)
	}
	return min(now, MaxStamp)
}

func (c *lwwCell) append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(c.time))
	dst = appendUint(c.dot.Author.Append(dst), c.dot.Seq)
	if c.tomb {
		return append(dst, 1)
	}
	return append(append(dst, 0), c.value...)
}

// readLWWCell reads a cell that takes the rest of r. Its value aliases r.
func readLWWCell(r *reader) lwwCell {
	var c lwwCell
	if b := r.take(8); b != nil {
		c.time = HLC(binary.BigEndian.Uint64(b))
	}
	c.dot = Dot{r.author(), r.seq()}
	switch r.byte() {
	case 0:
		c.value = r.take(len(r.b))
	case 1:
		c.tomb = true
	default:
		r.fail("bad flag")
	}
	if c.time > MaxStamp {
		r.fail("stamp above the maximum")
	}
	if len(c.value) > MaxValue {
		r.fail("value too long")
	}
	return c
}

// opCell returns the cell an op writes; it aliases the op.
func opCell(author Author, op *Op) lwwCell {
	c := lwwCell{time: op.Time, dot: Dot{author, op.Seq}, tomb: op.Kind == Remove, value: op.Value}
	if c.tomb {
		c.value = nil
	}
	return c
}
