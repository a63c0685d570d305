package member

// Taking foreign bytes apart, and the identifiers in them.

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"unicode"
	"unicode/utf8"
)

// ErrMalformed marks bytes that no honest device makes.
var ErrMalformed = errors.New("malformed")

// Key is an Ed25519 public key: the name of a device or of an invite.
type Key [32]byte

func (k Key) String() string { return hex.EncodeToString(k[:8]) }

// ID names a record: the first half of its BLAKE3 hash.
type ID [16]byte

func (id ID) String() string { return hex.EncodeToString(id[:]) }

// MaxName is the longest name of a network or device, in bytes.
const MaxName = 64

// maxTime is the largest time that is read, in milliseconds since 1970: it fits
// every type that times are counted in.
const maxTime = 1<<48 - 1

// CheckName says why a network or a device cannot be called so.
func CheckName(name string) error {
	switch {
	case name == "":
		return errors.New("a name is empty")
	case len(name) > MaxName:
		return fmt.Errorf("a name of %d bytes, at most %d", len(name), MaxName)
	case !utf8.ValidString(name):
		return errors.New("a name is not UTF-8")
	}
	for _, r := range name {
		if !unicode.IsPrint(r) { // it is shown on terminals
			return fmt.Errorf("a name with the unprintable character %U", r)
		}
	}
	return nil
}

// reader takes bytes apart. After the first error it returns zero values, so
// that a decoder checks once, in end.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %w", ErrMalformed, fmt.Errorf(format, args...))
	}
	r.b = nil
}

func (r *reader) bytes(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.fail("cut off")
		return nil
	}
	p := r.b[:n:n]
	r.b = r.b[n:]
	return p
}

// fixed fills dst.
func (r *reader) fixed(dst []byte) { copy(dst, r.bytes(len(dst))) }

func (r *reader) byte() byte {
	var b [1]byte
	r.fixed(b[:])
	return b[0]
}

func (r *reader) uint32() uint32 {
	var b [4]byte
	r.fixed(b[:])
	return binary.BigEndian.Uint32(b[:])
}

func (r *reader) uint64() uint64 {
	var b [8]byte
	r.fixed(b[:])
	return binary.BigEndian.Uint64(b[:])
}

func (r *reader) time() uint64 {
	t := r.uint64()
	if t > maxTime {
		r.fail("time %d", t)
	}
	return t
}

// uvarint reads a minimal uvarint.
func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || n > 1 && r.b[n-1] == 0 {
		r.fail("number")
		return 0
	}
	r.b = r.b[n:]
	return v
}

// count reads how many items of a size follow; no more than are there.
func (r *reader) count(size int) int {
	n := r.uvarint()
	if n > uint64(len(r.b)/size) {
		r.fail("%d items, cut off", n)
		return 0
	}
	return int(n)
}

func (r *reader) name() string {
	s := string(r.bytes(int(r.byte())))
	if r.err == nil {
		if err := CheckName(s); err != nil {
			r.fail("%w", err)
		}
	}
	return s
}

// list reads items of a size; each must be greater than the one before, so that
// a list has one spelling.
func (r *reader) list(size int, item func(*reader)) {
	var last []byte
	for range r.count(size) {
		b := r.bytes(size)
		if last != nil && bytes.Compare(last, b) >= 0 {
			r.fail("a list out of order")
			return
		}
		last = b
		item(&reader{b: b})
	}
}

// end is the verdict: the first error, or that something is left over.
func (r *reader) end() error {
	if len(r.b) != 0 {
		r.fail("%d bytes too many", len(r.b))
	}
	return r.err
}

func appendName(dst []byte, name string) []byte {
	return append(append(dst, byte(len(name))), name...)
}
