package replica

import (
	"encoding/binary"
	"errors"

	"github.com/numax-mesh/numax/crdt"
)

var errTruncated = errors.New("truncated")

// reader takes foreign bytes apart. After the first error it returns zero
// values, so that a decoder checks err once.
type reader struct {
	b   []byte
	err error
}

func (r *reader) bytes(n int) []byte {
	if r.err != nil || n < 0 || n > len(r.b) {
		r.fail(errTruncated)
		return nil
	}
	p := r.b[:n:n]
	r.b = r.b[n:]
	return p
}

func (r *reader) byte() byte {
	if p := r.bytes(1); p != nil {
		return p[0]
	}
	return 0
}

func (r *reader) uvarint() uint64 {
	if r.err != nil {
		return 0
	}
	v, n := binary.Uvarint(r.b)
	if n <= 0 || n > 1 && r.b[n-1] == 0 {
		r.fail(errTruncated)
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) author() crdt.Author {
	p := r.bytes(crdt.AuthorSize)
	if p == nil {
		return crdt.Author{}
	}
	a, err := crdt.AuthorFromBytes(p)
	if err != nil {
		r.fail(err)
	}
	return a
}

// version reads a version vector of at most limit authors, in its one encoding.
func (r *reader) version(limit int) crdt.Version {
	if r.err != nil {
		return nil
	}
	if n, w := binary.Uvarint(r.b); w <= 0 || n > uint64(limit) {
		r.fail(errTruncated)
		return nil
	}
	v, rest, err := crdt.DecodeVersion(r.b)
	if err != nil {
		r.fail(err)
		return nil
	}
	r.b = rest
	return v
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}
