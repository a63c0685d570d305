package crdt

// Version vectors: what a dataset has applied.

import (
	"fmt"
	"maps"
	"slices"
)

// Version maps each author to the highest number up to which all its
// operations were applied. A missing author counts as 0. A nil Version is
// empty and may be read.
type Version map[Author]uint64

// Covers reports whether d is among the operations of v.
func (v Version) Covers(d Dot) bool { return d.Seq <= v[d.Author] }

// Dominates reports whether v has everything w has.
func (v Version) Dominates(w Version) bool {
	for a, n := range w {
		if v[a] < n {
			return false
		}
	}
	return true
}

// Merge adds what w has to v, which must not be nil unless w is empty.
func (v Version) Merge(w Version) {
	for a, n := range w {
		if v[a] < n {
			v[a] = n
		}
	}
}

// Clone returns an independent copy, never nil.
func (v Version) Clone() Version {
	if v == nil {
		return Version{}
	}
	return maps.Clone(v)
}

// Append appends the encoding of v to dst. Authors are sorted and those at 0
// left out, so equal versions have equal bytes.
//
//	| count varint | count × ( author 40 | seq varint ) |
func (v Version) Append(dst []byte) []byte {
	authors := make([]Author, 0, len(v))
	for a, n := range v {
		if n > 0 {
			authors = append(authors, a)
		}
	}
	slices.SortFunc(authors, Author.Compare)
	dst = appendUint(dst, uint64(len(authors)))
	for _, a := range authors {
		dst = a.Append(dst)
		dst = appendUint(dst, v[a])
	}
	return dst
}

// DecodeVersion reads what Append wrote and returns the bytes after it. It
// accepts no other spelling of a version.
func DecodeVersion(b []byte) (Version, []byte, error) {
	r := reader{b: b}
	n := r.count(AuthorSize + 1)
	v := make(Version, n)
	var last Author
	for range n {
		a, seq := r.author(), r.seq()
		if r.err != nil {
			break
		}
		if a.Compare(last) <= 0 {
			r.fail("authors out of order")
			break
		}
		v[a], last = seq, a
	}
	if r.err != nil {
		return nil, nil, fmt.Errorf("crdt: decode version: %w", r.err)
	}
	return v, r.b, nil
}
