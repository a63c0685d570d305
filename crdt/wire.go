package crdt

// Primitives of all encodings here: LEB128 varints, byte strings, authors.
//
//	varint  7 bits a byte, low bits first, in as few bytes as the value needs
//	zigzag  a signed value as a varint: 0, -1, 1, -2 … → 0, 1, 2, 3 …
//	bytes   length varint, then that many bytes

import (
	"encoding/binary"
	"errors"
)

func appendUint(dst []byte, v uint64) []byte { return binary.AppendUvarint(dst, v) }

func appendInt(dst []byte, v int64) []byte { return binary.AppendVarint(dst, v) }

func appendBytes(dst, b []byte) []byte { return append(appendUint(dst, uint64(len(b))), b...) }

// zigzag returns a difference as the number that stands for it.
func zigzag(d uint64) uint64 { return d<<1 ^ uint64(int64(d)>>63) }

func unzigzag(u uint64) uint64 { return u>>1 ^ -(u & 1) }

// bitList is flags, from the low bits of the first byte on.
type bitList struct {
	b []byte
	n int // bits added, or taken
}

func (x *bitList) add(bit bool) {
	if x.n%8 == 0 {
		x.b = append(x.b, 0)
	}
	if bit {
		x.b[x.n/8] |= 1 << (x.n % 8)
	}
	x.n++
}

// take returns the next bit; false, for ever, behind the end.
func (x *bitList) take() bool {
	i, bit := x.n/8, x.n%8
	x.n++
	return i < len(x.b) && x.b[i]>>bit&1 == 1
}

// empty reports whether exactly all bits were taken, but for zeros that fill
// the last byte.
func (x *bitList) empty() bool {
	return (x.n+7)/8 == len(x.b) && (x.n%8 == 0 || x.b[x.n/8]>>(x.n%8) == 0)
}

// reader takes values off the front of b. After the first failure err is set
// and every read returns zero, so that callers check once, at the end of a
// loop that the input's length bounds.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(what string) {
	if r.err == nil {
		r.err = errors.New(what)
	}
	r.b = nil
}

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail("truncated number")
		return 0
	}
	if n > 1 && r.b[n-1] == 0 {
		r.fail("number longer than it needs")
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) int() int64 {
	u := r.uint()
	return int64(u>>1) ^ -int64(u&1)
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.fail("truncated")
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

// upTo reads a number that may not exceed limit.
func (r *reader) upTo(limit uint64) uint64 {
	v := r.uint()
	if v > limit {
		r.fail("number above its limit")
		return 0
	}
	return v
}

// count reads how many items follow, each at least size bytes long: so no
// count justifies more memory than a multiple of what was sent.
func (r *reader) count(size int) int { return int(r.upTo(uint64(len(r.b) / size))) }

// take returns the next n bytes, which alias the input.
func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.fail("truncated")
		return nil
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

// uints reads n numbers.
func (r *reader) uints(n uint64) []uint64 {
	if n > uint64(len(r.b)) {
		r.fail("truncated")
		return nil
	}
	list := make([]uint64, n)
	for i := range list {
		list[i] = r.uint()
	}
	return list
}

func (r *reader) bytes(limit int) []byte { return r.take(int(r.upTo(uint64(limit)))) }

// seq reads the number of an operation or element.
func (r *reader) seq() uint64 {
	v := r.upTo(MaxSeq)
	if v == 0 {
		r.fail("sequence number 0")
	}
	return v
}

// author reads an author, who is not nobody.
func (r *reader) author() Author {
	b := r.take(AuthorSize)
	if b == nil {
		return Author{}
	}
	a := MakeAuthor([AuthorSize]byte(b))
	if a.IsZero() {
		r.fail("author of zeros")
	}
	return a
}

// end fails unless everything was read.
func (r *reader) end() error {
	if r.err == nil && len(r.b) > 0 {
		r.fail("bytes after the end")
	}
	return r.err
}
