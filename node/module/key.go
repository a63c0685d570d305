package module

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// PublicKey is who may answer for modules.
type PublicKey [ed25519.PublicKeySize]byte

func (k PublicKey) String() string { return encodeText(publicPrefix, k[:]) }

// MarshalText is String.
func (k PublicKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// ParsePublicKey reads what String writes.
func ParsePublicKey(text string) (k PublicKey, err error) {
	if err := decodeText(publicPrefix, strings.TrimSpace(text), k[:]); err != nil {
		return k, fmt.Errorf("module: read public key: %w", err)
	}
	return k, nil
}

// PrivateKey signs modules. Printing it does not show it.
type PrivateKey struct{ key ed25519.PrivateKey }

// GenerateKey makes a new one.
func GenerateKey() (PrivateKey, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	return PrivateKey{key}, err
}

// Public is the key that others know it by.
func (k PrivateKey) Public() (p PublicKey) {
	copy(p[:], k.key[ed25519.SeedSize:])
	return p
}

func (k PrivateKey) String() string   { return "private key of " + k.Public().String() }
func (k PrivateKey) GoString() string { return k.String() }

const maxKeyFile = 4096

// Write makes the file, which its owner alone may read. A file that is there
// stays as it is, and that is an error.
//
//	# public key: nxpub1…
//	nxsec1…
func (k PrivateKey) Write(file string) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		if errors.Is(err, fs.ErrExist) {
			err = errors.New("it is there already: choose another name")
		}
		return fmt.Errorf("module: write key %s: %w", file, withoutPath(err, file))
	}
	_, err = fmt.Fprintf(f, "# public key: %v\n%s\n", k.Public(), encodeText(privatePrefix, k.key.Seed()))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("module: write key %s: %w", file, errors.Join(err, os.Remove(file)))
	}
	return nil
}

// ReadKey reads what Write wrote.
func ReadKey(file string) (PrivateKey, error) {
	b, err := readFile(file, maxKeyFile)
	var seed [ed25519.SeedSize]byte
	if err == nil {
		lines := textLines(b)
		if len(lines) != 1 {
			err = fmt.Errorf("want one line that begins with %s: make one with numax-node module keygen", privatePrefix)
		} else {
			err = decodeText(privatePrefix, lines[0], seed[:])
		}
	}
	if err != nil {
		return PrivateKey{}, fmt.Errorf("module: read key %s: %w", file, withoutPath(err, file))
	}
	return PrivateKey{ed25519.NewKeyFromSeed(seed[:])}, nil
}

// textLines are the lines that are not empty and no comments.
func textLines(b []byte) []string {
	var lines []string
	for line := range bytes.Lines(b) {
		if s := string(bytes.TrimSpace(line)); s != "" && s[0] != '#' {
			lines = append(lines, s)
		}
	}
	return slices.Clip(lines)
}
