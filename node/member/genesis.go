package member

import (
	"crypto/ed25519"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/zeebo/blake3"
)

// Domain separation for the hashes of this package.
const (
	domainNetwork = "numax 2026-11 closed network"
	domainProof   = "numax 2026-11 member proof"
	domainSealing = "numax 2026-11 device sealing key"
	domainKeyID   = "numax 2026-11 network key id"
	domainInvite  = "numax 2026-11 invite"
	domainRequest = "numax 2026-11 join request\n"
	domainRecord  = "numax 2026-11 member record\n"
	domainSet     = "numax 2026-11 member set"
)

// NetworkID names a closed network: a hash of its genesis. Every record and
// every entry covers it, so that those of one network mean nothing in another.
type NetworkID [32]byte

func (n NetworkID) String() string { return hex.EncodeToString(n[:8]) }

// Genesis is what a network begins with.
//
//	genesis := version 1 ‖ founder 32 ‖ nonce 16 ‖ uvarint created, ms ‖ nameLen 1 ‖ name
//
// It needs no signature: the network id commits to the founder's key, and the
// founder's first record, which is signed, to the network id. The nonce makes
// it unguessable: only who was given a token, or is a member, knows the genesis,
// and devices prove it to each other before they say anything else.
type Genesis struct {
	Name    string // printable, at most MaxName bytes
	Founder Key
	Nonce   [16]byte
	Created uint64 // ms since 1970, by the founder's clock
}

const genesisVersion = 1

func (g *Genesis) append(dst []byte) []byte {
	dst = append(dst, genesisVersion)
	dst = append(dst, g.Founder[:]...)
	dst = append(dst, g.Nonce[:]...)
	dst = binary.AppendUvarint(dst, g.Created)
	return appendName(dst, g.Name)
}

func (r *reader) genesis() (g Genesis) {
	if v := r.byte(); v != genesisVersion {
		r.fail("genesis of version %d", v)
	}
	r.fixed(g.Founder[:])
	r.fixed(g.Nonce[:])
	if g.Created = r.uvarint(); g.Created > maxTime {
		r.fail("time %d", g.Created)
	}
	g.Name = r.name()
	return g
}

// Network is the id of the network that begins with g.
func (g *Genesis) Network() (id NetworkID) {
	blake3.DeriveKey(domainNetwork, g.append(nil), id[:])
	return id
}

// proofKey is the key of the proof that one knows the genesis.
func (g *Genesis) proofKey() (k [32]byte) {
	blake3.DeriveKey(domainProof, g.append(nil), k[:])
	return k
}

func publicKey(key ed25519.PrivateKey) Key { return Key(key.Public().(ed25519.PublicKey)) }

func millis(t time.Time) uint64 { return uint64(min(max(t.UnixMilli(), 0), maxTime)) }

func fromMillis(ms uint64) time.Time { return time.UnixMilli(int64(ms)).UTC() }

// date is a time as errors say it.
func date(ms uint64) string { return fmt.Sprint(fromMillis(ms).Format("2006-01-02 15:04 UTC")) }
