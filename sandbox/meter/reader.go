package meter

import (
	"errors"
	"fmt"
)

var errMalformed = errors.New("malformed or truncated")

// reader takes a binary apart. After the first thing that does not fit, err is set and everything reads as zero.
type reader struct {
	data []byte
	at   int
	err  error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
		r.at = len(r.data)
	}
}

func (r *reader) more() bool { return r.err == nil && r.at < len(r.data) }

// finish makes bytes that are left over an error.
func (r *reader) finish() error {
	if r.more() {
		return errMalformed
	}
	return r.err
}

func (r *reader) byte() byte {
	if r.at >= len(r.data) {
		r.fail("%w", errMalformed)
		return 0
	}
	r.at++
	return r.data[r.at-1]
}

func (r *reader) bytes(n uint32) []byte {
	if uint64(n) > uint64(len(r.data)-r.at) {
		r.fail("%w", errMalformed)
		return nil
	}
	r.at += int(n)
	return r.data[r.at-int(n) : r.at]
}

func (r *reader) vec() []byte { return r.bytes(r.u32()) }

// u32 reads an unsigned LEB128 of at most 5 bytes.
func (r *reader) u32() uint32 {
	var v uint64
	for shift := 0; shift < 35; shift += 7 {
		b := r.byte()
		v |= uint64(b&0x7f) << shift
		if b < 0x80 {
			if v > 0xffffffff {
				break
			}
			return uint32(v)
		}
	}
	r.fail("%w", errMalformed)
	return 0
}

// index reads an index that must be below limit. Indices are checked although the compiler checks them again: one
// that is too large in the guest's module could point at what the pass adds.
func (r *reader) index(what string, limit uint32) uint32 {
	i := r.u32()
	if i >= limit && r.err == nil {
		r.fail("%s %d of %d does not exist", what, i, limit)
		return 0
	}
	return i
}

// skipLEB skips a LEB128 of at most max bytes.
func (r *reader) skipLEB(max int) {
	for range max {
		if r.byte() < 0x80 {
			return
		}
	}
	r.fail("%w", errMalformed)
}

// items calls one for each item of a vector, as long as there is no error.
func (r *reader) items(one func(i uint32)) uint32 {
	n := r.u32()
	for i := uint32(0); i < n && r.err == nil; i++ {
		one(i)
	}
	return n
}

func appendU32(b []byte, v uint32) []byte {
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

func appendI32(b []byte, v int32) []byte {
	for v < -0x40 || v >= 0x40 {
		b = append(b, byte(v&0x7f)|0x80)
		v >>= 7
	}
	return append(b, byte(v&0x7f))
}

func appendVec(b, v []byte) []byte { return append(appendU32(b, uint32(len(v))), v...) }
