package member

import (
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/zeebo/blake3"
	"golang.org/x/crypto/chacha20poly1305"
	"golang.org/x/crypto/curve25519"
	"golang.org/x/crypto/nacl/box"
)

// NetworkKey is a symmetric key for entry bodies.
type NetworkKey [32]byte

// KeyID names a NetworkKey by its hash.
type KeyID [16]byte

func (id KeyID) String() string { return hex.EncodeToString(id[:]) }

// ID is the key's name.
func (k NetworkKey) ID() (id KeyID) {
	blake3.DeriveKey(domainKeyID, k[:], id[:])
	return id
}

// errSealed says that a sealed key is not what its record says it is.
var errSealed = errors.New("a sealed key does not open")

// sealing is a device's X25519 pair, derived from its identity: there is no
// second secret to keep.
type sealing struct{ public, private [32]byte }

func newSealing(key ed25519.PrivateKey) (s sealing, err error) {
	blake3.DeriveKey(domainSealing, key.Seed(), s.private[:])
	pub, err := curve25519.X25519(s.private[:], curve25519.Basepoint)
	if err != nil {
		return s, fmt.Errorf("member: derive sealing key: %w", err)
	}
	return sealing{[32]byte(pub), s.private}, nil
}

// SealingKey is the public half of a device's sealing key.
func SealingKey(key ed25519.PrivateKey) ([32]byte, error) {
	s, err := newSealing(key)
	return s.public, err
}

func (k NetworkKey) sealTo(m Member) (Seal, error) {
	b, err := box.SealAnonymous(nil, k[:], &m.Sealing, rand.Reader)
	if err != nil {
		return Seal{}, fmt.Errorf("seal the network key to %v: %w", m.Key, err)
	}
	return Seal{m.Key, [sealedSize]byte(b)}, nil
}

func (s *sealing) open(seal *Seal, id KeyID) (k NetworkKey, err error) {
	b, ok := box.OpenAnonymous(nil, seal.Sealed[:], &s.public, &s.private)
	if !ok || len(b) != len(k) {
		return k, errSealed
	}
	return named(NetworkKey(b), id)
}

func (k NetworkKey) cipher() cipher.AEAD {
	aead, err := chacha20poly1305.NewX(k[:])
	if err != nil {
		panic(err) // the key has its size
	}
	return aead
}

// wrap encrypts an older key by k.
func (k NetworkKey) wrap(old NetworkKey, epoch uint32) OldKey {
	o := OldKey{Key: old.ID(), Epoch: epoch}
	nonce := o.Box[:chacha20poly1305.NonceSizeX]
	_, _ = rand.Read(nonce) // never fails
	k.cipher().Seal(nonce, nonce, old[:], o.Key[:])
	return o
}

func (k NetworkKey) unwrap(o *OldKey) (old NetworkKey, err error) {
	b, err := k.cipher().Open(nil, o.Box[:chacha20poly1305.NonceSizeX], o.Box[chacha20poly1305.NonceSizeX:], o.Key[:])
	if err != nil || len(b) != len(old) {
		return old, errSealed
	}
	return named(NetworkKey(b), o.Key)
}

func named(k NetworkKey, id KeyID) (NetworkKey, error) {
	if k.ID() != id {
		return NetworkKey{}, errSealed
	}
	return k, nil
}
