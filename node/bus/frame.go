package bus

import (
	"bytes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// Limits of a message.
const (
	MaxSubject = 128
	MaxPayload = 64 << 10
)

// Key is a node's Ed25519 public key.
type Key [ed25519.PublicKeySize]byte

// KeyID names a key of the network's ring; zero names none.
type KeyID [16]byte

// Keyring has the keys of a closed network. The AEADs take nonces of 24 random bytes (XChaCha20-Poly1305). The methods
// are called often, and must be fast.
type Keyring interface {
	// Current is the key to seal with; nil if this node has none.
	Current() (KeyID, cipher.AEAD)
	// Find returns nil if this node does not have the key.
	Find(KeyID) cipher.AEAD
}

// A frame is what a node says to all others, by gossip:
//
//	frame   := version 1 ‖ kind 1 ‖ from 32 ‖ stamp 8 ‖ [to 32 ‖ about 8] ‖ key id 16 ‖ body ‖ signature 64
//	           └────────────────────── head: additional data of the seal ──────────┘
//	body    := content                                        in an open network; the key id is 0
//	         | nonce 24 ‖ content, encrypted ‖ tag 16         in a closed one
//	content := len(subject) 1 ‖ subject ‖ payload
//
// Integers are big-endian. Only an answer has the part in brackets: who asked, and the stamp of the question; it has
// no subject. A node never uses a stamp twice, and its stamps grow: from and stamp name a message. The signature is
// that of from, over a domain, the network's id and all that stands before it.
type frame struct {
	kind  byte
	from  Key
	stamp uint64
	to    Key    // of an answer
	about uint64 // of an answer
	key   KeyID

	head, body, signature []byte // of the bytes it was read from
}

// Kinds of frames.
const (
	kindPublish = 1
	kindRequest = 2
	kindAnswer  = 3
)

const (
	frameVersion = 1
	nonceSize    = 24
	tagSize      = 16
	headSize     = 1 + 1 + len(Key{}) + 8 + len(KeyID{})
	answerSize   = len(Key{}) + 8
	maxContent   = 1 + MaxSubject + MaxPayload
	// MaxFrame is the longest frame.
	MaxFrame = headSize + answerSize + nonceSize + maxContent + tagSize + ed25519.SignatureSize

	frameDomain = "numax bus frame 1\x00"
)

// Errors of frames.
var (
	errMalformed = errors.New("bus: malformed")
	errNewer     = errors.New("bus: a frame of a later version")
	errUnsealed  = errors.New("bus: the seal does not open")

	// ErrNoKey means that this node is a member but was not given the network's key.
	ErrNoKey = errors.New("bus: this node has no key to what members say: it needs a connection to an administrator, or may only relay")
)

// parseFrame reads a frame, which aliases b. It does not look at signature and body.
func parseFrame(b []byte) (*frame, error) {
	if len(b) > 0 && b[0] != frameVersion {
		return nil, errNewer
	}
	if len(b) < headSize+ed25519.SignatureSize || len(b) > MaxFrame {
		return nil, fmt.Errorf("%w frame of %d bytes", errMalformed, len(b))
	}
	f := &frame{kind: b[1]}
	n := 2 + copy(f.from[:], b[2:])
	f.stamp = binary.BigEndian.Uint64(b[n:])
	n += 8
	switch f.kind {
	case kindPublish, kindRequest:
	case kindAnswer:
		if len(b) < headSize+answerSize+ed25519.SignatureSize {
			return nil, fmt.Errorf("%w answer of %d bytes", errMalformed, len(b))
		}
		n += copy(f.to[:], b[n:])
		f.about = binary.BigEndian.Uint64(b[n:])
		n += 8
	default:
		return nil, errNewer
	}
	n += copy(f.key[:], b[n:])
	end := len(b) - ed25519.SignatureSize
	f.head, f.body, f.signature = b[:n:n], b[n:end:end], b[end:]
	return f, nil
}

// write seals, signs and encodes a frame; key nil leaves the content readable.
func (f *frame) write(network [32]byte, sign ed25519.PrivateKey, seal cipher.AEAD, content []byte) []byte {
	b := make([]byte, 0, headSize+answerSize+nonceSize+len(content)+tagSize+ed25519.SignatureSize)
	b = append(b, frameVersion, f.kind)
	b = append(b, f.from[:]...)
	b = binary.BigEndian.AppendUint64(b, f.stamp)
	if f.kind == kindAnswer {
		b = append(b, f.to[:]...)
		b = binary.BigEndian.AppendUint64(b, f.about)
	}
	b = append(b, f.key[:]...)
	if seal == nil {
		b = append(b, content...)
	} else {
		head := bytes.Clone(b)
		nonce := make([]byte, nonceSize)
		_, _ = rand.Read(nonce) // never fails
		b = seal.Seal(append(b, nonce...), nonce, content, sealed(network, head))
	}
	return append(b, ed25519.Sign(sign, signed(network, b))...)
}

// signed is what a signature covers, and sealed what ties a sealed content to its frame.
func signed(network [32]byte, b []byte) []byte {
	return append(append([]byte(frameDomain), network[:]...), b...)
}

func sealed(network [32]byte, head []byte) []byte { return append(network[:], head...) }

func (f *frame) verify(network [32]byte) bool {
	covered := make([]byte, 0, len(frameDomain)+len(network)+len(f.head)+len(f.body))
	covered = append(append(covered, frameDomain...), network[:]...)
	covered = append(append(covered, f.head...), f.body...)
	return ed25519.Verify(f.from[:], covered, f.signature)
}

// open returns the content; seal is nil in an open network.
func (f *frame) open(network [32]byte, seal cipher.AEAD) ([]byte, error) {
	if seal == nil {
		return f.body, nil
	}
	if len(f.body) < nonceSize+tagSize {
		return nil, errUnsealed
	}
	content, err := seal.Open(nil, f.body[:nonceSize], f.body[nonceSize:], sealed(network, f.head))
	if err != nil {
		return nil, errUnsealed
	}
	return content, nil
}

func appendContent(b []byte, subject string, payload []byte) []byte {
	b = append(b, byte(len(subject)))
	return append(append(b, subject...), payload...)
}

// parseContent returns a payload that aliases b. An empty subject is that of an answer.
func parseContent(b []byte) (subject string, payload []byte, err error) {
	if len(b) == 0 || len(b) < 1+int(b[0]) {
		return "", nil, fmt.Errorf("%w message of %d bytes", errMalformed, len(b))
	}
	subject, payload = string(b[1:1+b[0]]), b[1+b[0]:]
	if subject != "" {
		err = checkSubject(subject)
	}
	if len(payload) > MaxPayload {
		err = fmt.Errorf("%w message: a payload of %d bytes", errMalformed, len(payload))
	}
	return subject, payload, err
}

func checkSubject(s string) error {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:-"
	if s == "" || len(s) > MaxSubject || strings.Trim(s, letters) != "" {
		return fmt.Errorf("bus: subject %.*q: want 1 to %d of A-Z a-z 0-9 _ . : -", MaxSubject, s, MaxSubject)
	}
	return nil
}

func checkMessage(subject string, payload []byte) error {
	if len(payload) > MaxPayload {
		return fmt.Errorf("bus: payload of %d bytes: at most %d", len(payload), MaxPayload)
	}
	return checkSubject(subject)
}
