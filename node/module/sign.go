package module

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Signature is one key's word for the contents of a module:
//
//	text   := "nxsig1" ‖ base32(key 32 ‖ Ed25519 signature 64 ‖ checksum 4)
//	signed := domain ‖ hash of the package
//
// A file of signatures has one a line, and comments that begin with #.
type Signature struct {
	Key PublicKey
	Sig [ed25519.SignatureSize]byte
}

// Limits of a file of signatures.
const (
	MaxSignatures     = 16
	MaxSignaturesSize = 8 << 10 // bytes
)

// signDomain keeps a signature of a module from being one of anything else.
const signDomain = "numax 2026-11 module signature\n"

// ErrNotSigned is what Verify wraps.
var ErrNotSigned = errors.New("not signed by a key that is required")

func (s Signature) String() string {
	return encodeText(signaturePrefix, slices.Concat(s.Key[:], s.Sig[:]))
}

func parseSignature(text string) (s Signature, err error) {
	var b [ed25519.PublicKeySize + ed25519.SignatureSize]byte
	err = decodeText(signaturePrefix, text, b[:])
	copy(s.Sig[:], b[copy(s.Key[:], b[:]):])
	return s, err
}

func parseSignatures(text []byte) ([]Signature, error) {
	if len(text) > MaxSignaturesSize {
		return nil, fmt.Errorf("over %d bytes", MaxSignaturesSize)
	}
	var all []Signature
	for _, line := range textLines(text) {
		s, err := parseSignature(line)
		if err == nil && len(all) == MaxSignatures {
			err = fmt.Errorf("over %d signatures", MaxSignatures)
		}
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// addText adds the signatures of a file.
func (p *Package) addText(text []byte) error {
	all, err := parseSignatures(text)
	for _, s := range all {
		p.Add(s)
	}
	return err
}

// EncodeSignatures is the file of signatures.
func (p *Package) EncodeSignatures() ([]byte, error) {
	if len(p.Signatures) > MaxSignatures {
		return nil, fmt.Errorf("module: sign %s: over %d signatures", p.Path, MaxSignatures)
	}
	var b bytes.Buffer
	for _, s := range p.Signatures {
		fmt.Fprintln(&b, s)
	}
	return b.Bytes(), nil
}

// Sign makes a signature. It is not yet in the package: see Add.
func (p *Package) Sign(k PrivateKey) Signature {
	s := Signature{Key: k.Public()}
	copy(s.Sig[:], ed25519.Sign(k.key, p.signed()))
	return s
}

// Add puts a signature into the package, in place of those of the same key that
// do not fit.
func (p *Package) Add(s Signature) {
	p.Signatures = append(slices.DeleteFunc(slices.Clone(p.Signatures), func(old Signature) bool {
		return old == s || old.Key == s.Key && !p.fits(old)
	}), s)
}

// SignedBy are the keys whose signature fits the contents, each once.
func (p *Package) SignedBy() []PublicKey {
	var keys []PublicKey
	for _, s := range p.Signatures {
		if !slices.Contains(keys, s.Key) && p.fits(s) {
			keys = append(keys, s.Key)
		}
	}
	return keys
}

// Verify is nil if one of the keys signed the contents as they are. Otherwise it
// wraps ErrNotSigned and says who did.
func (p *Package) Verify(keys []PublicKey) error {
	by := p.SignedBy()
	if slices.ContainsFunc(by, func(k PublicKey) bool { return slices.Contains(keys, k) }) {
		return nil
	}
	why := "it is signed by nobody"
	switch {
	case len(by) > 0:
		names := make([]string, len(by))
		for i, k := range by {
			names[i] = k.String()
		}
		why = "it is signed by " + strings.Join(names, ", ")
	case len(p.Signatures) > 0:
		why = "it has been changed since it was signed"
	}
	return fmt.Errorf("module: verify %s: %w: %s", p.Path, ErrNotSigned, why)
}

func (p *Package) fits(s Signature) bool { return ed25519.Verify(s.Key[:], p.signed(), s.Sig[:]) }

func (p *Package) signed() []byte { return append([]byte(signDomain), p.Hash[:]...) }
