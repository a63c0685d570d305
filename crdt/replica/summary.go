package replica

import (
	"bytes"
	"encoding/binary"
	"errors"
	"maps"
	"slices"
)

// summary is a version vector as peers tell it to each other: authors by their
// hash, which is less than half of the author.
//
//	uvarint n ‖ n × ( author hash 16 ‖ uvarint seq )   ascending by hash
type summary map[authorHash]uint64

func (s summary) append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	for _, h := range slices.SortedFunc(maps.Keys(s), compareHashes) {
		dst = append(dst, h[:]...)
		dst = binary.AppendUvarint(dst, s[h])
	}
	return dst
}

func compareHashes(a, b authorHash) int { return bytes.Compare(a[:], b[:]) }

// dominates reports whether s has everything that o has.
func (s summary) dominates(o summary) bool {
	for h, seq := range o {
		if s[h] < seq {
			return false
		}
	}
	return true
}

var errOrder = errors.New("authors out of order")

// summary reads a summary of at most limit authors, in its one encoding.
func (r *reader) summary(limit int) summary {
	n := r.uvarint()
	if n > uint64(limit) || n > uint64(len(r.b)) {
		r.fail(errTruncated)
	}
	if r.err != nil {
		return nil
	}
	s := make(summary, n)
	var last authorHash
	for i := range n {
		var h authorHash
		copy(h[:], r.bytes(len(h)))
		seq := r.uvarint()
		if i > 0 && compareHashes(last, h) >= 0 {
			r.fail(errOrder)
		}
		if r.err != nil {
			return nil
		}
		s[h], last = seq, h
	}
	return s
}
