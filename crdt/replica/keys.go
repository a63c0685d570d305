package replica

import (
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
)

// Keyring has the keys of a closed network's bodies. The AEADs take nonces of 24
// random bytes (XChaCha20-Poly1305). The methods are called often, and must be
// fast.
type Keyring interface {
	// Current is the key for new entries; nil if this node has none.
	Current() (KeyID, cipher.AEAD)
	// Find returns nil if this node does not have the key.
	Find(KeyID) cipher.AEAD
}

// KeyID names a key of bodies.
type KeyID [keyIDSize]byte

const (
	keyIDSize = 16
	nonceSize = 24
)

// sealBody encrypts a packed body:
//
//	sealed := nonce 24 ‖ ciphertext ‖ tag 16
//
// The additional data ties it to its place: network ‖ dataset ‖ author ‖
// firstSeq 8.
func (h *Header) sealBody(k *sealKey, body []byte) []byte {
	if k == nil {
		return body
	}
	h.KeyID = k.id[:]
	sealed := make([]byte, nonceSize, nonceSize+len(body)+k.aead.Overhead())
	_, _ = rand.Read(sealed) // never fails
	return k.aead.Seal(sealed, sealed, body, h.place())
}

// sealKey is a key to seal with.
type sealKey struct {
	id   KeyID
	aead cipher.AEAD
}

// sealKey is the current key; nil in an open network. If it was taken away since
// an op was accepted, that goes under the one that there was: the log has no
// holes.
func (r *Replica) sealKey() (*sealKey, error) {
	if r.keys == nil {
		return nil, nil
	}
	if id, aead := r.keys.Current(); aead != nil {
		return &sealKey{id, aead}, nil
	}
	if last := r.sealed.Load(); last != nil {
		return last, nil
	}
	return nil, ErrNoKey // nothing was accepted, then
}

// haveKey notes the current key, if there is one.
func (r *Replica) haveKey() bool {
	if r.keys == nil {
		return true
	}
	id, aead := r.keys.Current()
	if aead == nil {
		return false
	}
	if last := r.sealed.Load(); last == nil || last.id != id {
		r.sealed.Store(&sealKey{id, aead})
	}
	return true
}

func (h *Header) place() []byte {
	b := append(h.Network[:], h.Dataset[:]...)
	return binary.BigEndian.AppendUint64(h.Author.Append(b), h.First)
}

// ErrNoKey means that this node is a member but was not given the key to what
// members write: it may only relay, or no administrator has been in reach since
// it joined.
var ErrNoKey = errors.New("replica: this node has no key to the network's data: it needs a connection to an administrator, or may only relay")

// errPlainBody marks an entry of a closed network whose body is not encrypted: no
// member makes one.
var errPlainBody = fmt.Errorf("%w: a body that is not encrypted", ErrMalformed)

// errSealedBody marks an entry of an open network whose body is encrypted.
var errSealedBody = fmt.Errorf("%w: a body that is encrypted, in an open network", ErrMalformed)

// errUnreadable marks a body that its key does not open. Those without the key
// cannot know, so whoever passes it on is not to blame.
var errUnreadable = errors.New("the body is not under the key that it names")

// openBody returns the packed body; locked if it is under a key that is not in
// keys.
func (e *Entry) openBody(keys Keyring) (body []byte, locked bool, err error) {
	if len(e.KeyID) == 0 {
		return e.body(), false, nil
	}
	if keys == nil {
		return nil, true, nil
	}
	key := keys.Find(KeyID(e.KeyID))
	if key == nil {
		return nil, true, nil
	}
	sealed := e.body()
	if len(sealed) < nonceSize {
		return nil, false, errUnreadable
	}
	body, err = key.Open(nil, sealed[:nonceSize], sealed[nonceSize:], e.place())
	if err != nil {
		err = fmt.Errorf("%w: %w", errUnreadable, err)
	}
	return body, false, err
}
