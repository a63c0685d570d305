package crdt

// Who made an operation (Author) and which operation it is (Dot).

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"unique"
)

// AuthorSize is the length of an author's name in bytes:
//
//	0                               32        40
//	| Ed25519 public key            | replica id |
const AuthorSize = 40

// Author names the source of operations: a key and one replica that writes
// with it. Authors are interned, so that an Author is one pointer and compares
// with ==. The zero Author is nobody.
type Author struct {
	h unique.Handle[[AuthorSize]byte]
}

// MakeAuthor returns the author named by b; nobody if b is all zeros.
func MakeAuthor(b [AuthorSize]byte) Author {
	if b == ([AuthorSize]byte{}) {
		return Author{}
	}
	return Author{unique.Make(b)}
}

// AuthorFromBytes returns the author named by b, which must be AuthorSize long;
// nobody if it is all zeros.
func AuthorFromBytes(b []byte) (Author, error) {
	if len(b) != AuthorSize {
		return Author{}, fmt.Errorf("crdt: read author: %d bytes, want %d", len(b), AuthorSize)
	}
	return MakeAuthor([AuthorSize]byte(b)), nil
}

// IsZero reports whether a is nobody.
func (a Author) IsZero() bool { return a == Author{} }

// Bytes returns the name; all zeros for nobody.
func (a Author) Bytes() [AuthorSize]byte {
	if a.IsZero() {
		return [AuthorSize]byte{}
	}
	return a.h.Value()
}

// Append appends the AuthorSize bytes of the name to dst.
func (a Author) Append(dst []byte) []byte {
	b := a.Bytes()
	return append(dst, b[:]...)
}

// Compare orders authors by their bytes; nobody comes first.
func (a Author) Compare(b Author) int {
	if a == b {
		return 0
	}
	if a.IsZero() {
		return -1
	}
	if b.IsZero() {
		return 1
	}
	x, y := a.Bytes(), b.Bytes()
	return bytes.Compare(x[:], y[:])
}

// String returns a short form for people: the first bytes of the key and of
// the replica id in hex.
func (a Author) String() string {
	if a.IsZero() {
		return "-"
	}
	b := a.Bytes()
	return hex.EncodeToString(b[:4]) + "." + hex.EncodeToString(b[32:36])
}

// Dot names one operation, or one element of a sequence. Seq starts at 1; the
// zero Dot is none, which in a sequence means the start or the end.
type Dot struct {
	Author Author
	Seq    uint64
}

// IsZero reports whether d is none.
func (d Dot) IsZero() bool { return d == Dot{} }

// Compare orders dots by author, then by number.
func (d Dot) Compare(e Dot) int {
	if c := d.Author.Compare(e.Author); c != 0 {
		return c
	}
	return compareUint(d.Seq, e.Seq)
}

// String returns author:seq for people.
func (d Dot) String() string { return fmt.Sprintf("%v:%d", d.Author, d.Seq) }

// DotRun is Len consecutive dots of an author, from First.
type DotRun struct {
	Author     Author
	First, Len uint64
}

// Contains reports whether d is in the run.
func (r DotRun) Contains(d Dot) bool {
	return d.Author == r.Author && d.Seq >= r.First && d.Seq-r.First < r.Len
}

func (r DotRun) first() Dot { return Dot{r.Author, r.First} }

func (r DotRun) last() Dot { return Dot{r.Author, r.First + r.Len - 1} }

// valid reports whether the run names at least one dot and does not wrap.
func (r DotRun) valid() bool {
	return !r.Author.IsZero() && r.First > 0 && r.Len > 0 && r.First <= MaxSeq && r.Len <= MaxSeq-r.First+1
}

func compareUint[T ~uint64](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
