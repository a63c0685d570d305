package replica

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/zeebo/blake3"

	"github.com/numax-mesh/numax/crdt"
)

// An entry is a batch of one author's ops: the unit of signing, gossip,
// storage and resumption.
//
//	entry  := uvarint len(header) ‖ header ‖ signature 64 ‖ body
//	header := version 1 ‖ network 32 ‖ dataset 16 ‖ author 40
//	          ‖ uvarint firstSeq ‖ uvarint count ‖ prev 32 ‖ hlc 8
//	          ‖ uvarint n ‖ n × (author 40 ‖ uvarint seq)      deps
//	          ‖ keyLen 1 ‖ key id                              0 or 16 bytes
//	          ‖ codec 1 ‖ uvarint len(body) ‖ BLAKE3(body) 32
//
// Integers of fixed size are big-endian; uvarints are minimal. The id of an
// entry is BLAKE3(header), the signature is Ed25519 over the header, and prev
// is the id of the author's previous entry in the dataset (zeros for the
// first): one hash-linked log per author, that anyone can forward and nobody
// can forge or reorder. The body is kept as it came.
const (
	entryVersion  = 1
	signatureSize = ed25519.SignatureSize

	// MaxEntry is the largest entry, encoded, and the largest body, decoded.
	MaxEntry = 2 << 20
	// MaxInline is the largest entry that travels in a gossip message; of a
	// larger one the header is announced and the rest is pulled.
	MaxInline = 16 << 10
	// MaxEntryOps is the largest count of an entry.
	MaxEntryOps = crdt.MaxWidth
	// MaxDeps is the largest number of authors an entry may depend on, and so
	// of a dataset's authors: entries of more are ignored.
	MaxDeps = 1 << 14

	maxHeader = 256 + MaxDeps*50

	// maxOp is the largest op: it fits an entry with the largest header.
	maxOp = MaxEntry - maxHeader - 4096
)

// Codecs of a body.
const (
	codecPlain = 0
	codecZstd  = 1
)

// ErrMalformed marks bytes that no honest node sends. Whoever sent them can be
// blamed without knowing any history.
var ErrMalformed = errors.New("malformed entry")

// errForeign marks an entry of another network or dataset: not for us, nobody's
// fault.
var errForeign = errors.New("entry of another network or dataset")

// Header is the signed part of an entry.
type Header struct {
	Network  NetworkID
	Dataset  DatasetID
	Author   crdt.Author
	First    uint64 // seq of the first op
	Count    uint64 // seqs taken
	Prev     EntryID
	Time     crdt.HLC
	Deps     crdt.Version
	KeyID    []byte
	Codec    byte
	BodyLen  uint64
	BodyHash [32]byte
}

// Last is the seq of the entry's last op.
func (h *Header) Last() uint64 { return h.First + h.Count - 1 }

// Entry is a decoded entry. Its byte slices alias the message it came in.
type Entry struct {
	Header
	ID  EntryID
	raw []byte // the whole encoding; without the body if headOnly
	// signed covers raw's header and signature; headOnly entries end there.
	bodyAt   int
	headOnly bool

	groups []crdt.Group // decoded body; nil until decode, and after shed
	held   *held        // what groups are charged to; nil if to nobody
	size   int64        // what is charged
}

// Bytes is the encoding, as stored and sent. The caller must not change it.
func (e *Entry) Bytes() []byte { return e.raw }

func (e *Entry) body() []byte { return e.raw[e.bodyAt:] }

func (h *Header) append(dst []byte) []byte {
	dst = append(dst, entryVersion)
	dst = append(dst, h.Network[:]...)
	dst = append(dst, h.Dataset[:]...)
	dst = h.Author.Append(dst)
	dst = binary.AppendUvarint(dst, h.First)
	dst = binary.AppendUvarint(dst, h.Count)
	dst = append(dst, h.Prev[:]...)
	dst = binary.BigEndian.AppendUint64(dst, uint64(h.Time))
	dst = h.Deps.Append(dst)
	dst = append(dst, byte(len(h.KeyID)))
	dst = append(dst, h.KeyID...)
	dst = append(dst, h.Codec)
	dst = binary.AppendUvarint(dst, h.BodyLen)
	return append(dst, h.BodyHash[:]...)
}

// sealEntry encodes, hashes and signs an entry over an already encoded body.
func sealEntry(key ed25519.PrivateKey, h Header, body []byte) (*Entry, error) {
	h.BodyLen = uint64(len(body))
	h.BodyHash = blake3.Sum256(body)
	header := h.append(nil)
	if len(h.Deps) > MaxDeps || len(header)+signatureSize+len(body)+4 > MaxEntry {
		return nil, fmt.Errorf("replica: seal entry: %d bytes and %d deps exceed the limits", len(body), len(h.Deps))
	}
	raw := make([]byte, 0, len(header)+signatureSize+len(body)+4)
	raw = binary.AppendUvarint(raw, uint64(len(header)))
	raw = append(raw, header...)
	raw = append(raw, ed25519.Sign(key, header)...)
	e := &Entry{Header: h, ID: blake3.Sum256(header), bodyAt: len(raw)}
	e.raw = append(raw, body...)
	return e, nil
}

// head is the entry without its body.
func (e *Entry) head() []byte { return e.raw[:e.bodyAt] }

// parseEntry decodes and checks everything that needs no history: structure,
// hashes and the signature. It keeps b.
func parseEntry(b []byte, headOnly bool) (*Entry, error) {
	e, header, err := splitEntry(b, headOnly)
	if err != nil {
		return nil, err
	}
	return e, e.verify(header)
}

// verify checks the signature over the header.
func (e *Entry) verify(header []byte) error {
	pub := e.Author.Bytes()
	if !ed25519.Verify(pub[:ed25519.PublicKeySize], header, e.raw[e.bodyAt-signatureSize:e.bodyAt]) {
		return fmt.Errorf("%w: bad signature", ErrMalformed)
	}
	return nil
}

// splitEntry is parseEntry without the signature: for bytes from our own disk,
// which were checked before they were written.
func splitEntry(b []byte, headOnly bool) (*Entry, []byte, error) {
	if len(b) > MaxEntry {
		return nil, nil, fmt.Errorf("%w: %d bytes, at most %d", ErrMalformed, len(b), MaxEntry)
	}
	n, w := binary.Uvarint(b)
	if w <= 0 || w > 1 && b[w-1] == 0 || n > maxHeader || uint64(len(b)-w) < n+signatureSize {
		return nil, nil, fmt.Errorf("%w: truncated", ErrMalformed)
	}
	header := b[w : w+int(n)]
	e := &Entry{raw: b, bodyAt: w + int(n) + signatureSize, headOnly: headOnly}
	if err := e.decode(header); err != nil {
		return nil, nil, err
	}
	switch {
	case headOnly && len(e.body()) != 0:
		return nil, nil, fmt.Errorf("%w: an announcement with a body", ErrMalformed)
	case headOnly:
	case uint64(len(e.body())) != e.BodyLen || blake3.Sum256(e.body()) != e.BodyHash:
		return nil, nil, fmt.Errorf("%w: the body is not the one signed", ErrMalformed)
	}
	e.ID = blake3.Sum256(header)
	return e, header, nil
}

// storedHeader reads the header of an entry from our own disk, and nothing else.
func storedHeader(b []byte) (h Header, err error) {
	n, w := binary.Uvarint(b)
	if w <= 0 || n > uint64(len(b)-w) {
		return h, fmt.Errorf("%w: truncated", ErrMalformed)
	}
	return h, h.decode(b[w : w+int(n)])
}

// storedID is the id of an entry from our own disk.
func storedID(b []byte) (EntryID, error) {
	n, w := binary.Uvarint(b)
	if w <= 0 || n > uint64(len(b)-w) {
		return EntryID{}, fmt.Errorf("%w: truncated", ErrMalformed)
	}
	return blake3.Sum256(b[w : w+int(n)]), nil
}

func (h *Header) decode(b []byte) error {
	r := reader{b: b}
	if v := r.byte(); v != entryVersion {
		return fmt.Errorf("%w: version %d", ErrMalformed, v)
	}
	copy(h.Network[:], r.bytes(len(h.Network)))
	copy(h.Dataset[:], r.bytes(len(h.Dataset)))
	h.Author = r.author()
	h.First = r.uvarint()
	h.Count = r.uvarint()
	copy(h.Prev[:], r.bytes(len(h.Prev)))
	if t := r.bytes(8); t != nil {
		h.Time = crdt.HLC(binary.BigEndian.Uint64(t))
	}
	h.Deps = r.version(MaxDeps)
	h.KeyID = r.bytes(int(r.byte()))
	h.Codec = r.byte()
	h.BodyLen = r.uvarint()
	copy(h.BodyHash[:], r.bytes(len(h.BodyHash)))
	switch {
	case r.err != nil:
		return fmt.Errorf("%w: header: %w", ErrMalformed, r.err)
	case len(r.b) != 0:
		return fmt.Errorf("%w: %d bytes behind the header", ErrMalformed, len(r.b))
	case len(h.KeyID) != 0 && len(h.KeyID) != keyIDSize:
		return fmt.Errorf("%w: key id of %d bytes", ErrMalformed, len(h.KeyID))
	case h.First == 0 || h.Count == 0 || h.Count > MaxEntryOps || h.First+h.Count < h.First:
		return fmt.Errorf("%w: ops %d+%d", ErrMalformed, h.First, h.Count)
	case (h.First == 1) != (h.Prev == EntryID{}):
		return fmt.Errorf("%w: only an author's first entry has no predecessor", ErrMalformed)
	case h.BodyLen > MaxEntry:
		return fmt.Errorf("%w: body of %d bytes", ErrMalformed, h.BodyLen)
	}
	return nil
}

// decodeBody makes e.groups available, unless the body is under a key that is
// not in keys. A body that does not decode is the author's own doing: the entry
// is malformed. Under a key not everybody can see that, so there the entry has no
// ops.
func (e *Entry) decodeBody(keys Keyring) error {
	if e.groups != nil {
		return nil
	}
	body, locked, err := e.openBody(keys)
	if locked {
		return nil
	}
	var plain []byte
	if err == nil {
		plain, err = unpackBody(e.Codec, body)
	}
	if err == nil {
		e.groups, err = crdt.DecodeBody(plain, e.Author, e.First, e.Count, e.Time)
	}
	if err != nil && len(e.KeyID) > 0 {
		e.groups = []crdt.Group{}
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w: body: %w", ErrMalformed, err)
	}
	return nil
}

// objects are those that the entry changes, in the order of its groups.
func (e *Entry) objects() []Object {
	var ids []Object
	for i := range e.groups {
		if g := &e.groups[i]; g.Ops != nil {
			ids = append(ids, Object{g.Family, string(g.Key)})
		}
	}
	return ids
}

// isControl reports whether the entry is about the dataset alone.
func (e *Entry) isControl() bool {
	for i := range e.groups {
		if e.groups[i].Family != familyControl {
			return false
		}
	}
	return true
}
