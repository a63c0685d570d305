package replica

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"

	"github.com/zeebo/blake3"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/datastore"
)

// Domain separation for the hashes of this package.
const (
	domainNetwork = "numax 2026-11 network name"
	domainDataset = "numax 2026-11 dataset name"
	domainDigest  = "numax 2026-11 dataset digest"
	domainRoot    = "numax 2026-11 root digest"
)

// NetworkID names a network. Every signature covers it, so that an entry of
// one network means nothing in another.
type NetworkID [32]byte

func (n NetworkID) String() string { return hex.EncodeToString(n[:8]) }

// OpenNetwork is the id of the open network called name.
func OpenNetwork(name string) NetworkID {
	var id NetworkID
	blake3.DeriveKey(domainNetwork, []byte(name), id[:])
	return id
}

// DatasetID names a dataset within all networks.
type DatasetID = datastore.DatasetID

// NewDatasetID derives a dataset's id; it does not reveal the name to those
// who do not guess it.
func NewDatasetID(network NetworkID, name string) DatasetID {
	var id DatasetID
	blake3.DeriveKey(domainDataset, append(network[:], name...), id[:])
	return id
}

// EntryID is BLAKE3 of an entry's header.
type EntryID [32]byte

func (id EntryID) String() string { return hex.EncodeToString(id[:8]) }

// An element id is what a guest holds of a sequence element:
// base64url(BLAKE3(author)[:16] ‖ seq, big-endian), 32 ASCII bytes.
const (
	authorHashSize = 16
	ElementIDSize  = 32
)

type authorHash [authorHashSize]byte

func hashAuthor(a crdt.Author) (h authorHash) {
	b := a.Bytes()
	sum := blake3.Sum256(b[:])
	copy(h[:], sum[:])
	return h
}

// FormatElementID is the element id of a sequence element.
func FormatElementID(d crdt.Dot) string {
	h := hashAuthor(d.Author)
	return base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint64(h[:], d.Seq))
}

func parseElementID(s string) (h authorHash, seq uint64, ok bool) {
	if len(s) != ElementIDSize {
		return h, 0, false
	}
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) != authorHashSize+8 {
		return h, 0, false
	}
	copy(h[:], b)
	seq = binary.BigEndian.Uint64(b[authorHashSize:])
	return h, seq, seq > 0
}
