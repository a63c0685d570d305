package p2p

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
)

const pemType = "PRIVATE KEY" // PKCS #8

// LoadIdentity reads a node's Ed25519 key from file, or makes one there with
// mode 0600. A key that others can read is refused.
func LoadIdentity(file string) (ed25519.PrivateKey, error) {
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return newIdentity(file)
	}
	if err != nil {
		return nil, fmt.Errorf("p2p: identity: %w", err)
	}
	if info, err := os.Stat(file); err == nil && runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("p2p: identity %s: others can read this private key (mode %04o): chmod 600 it", file, info.Mode().Perm())
	}
	block, _ := pem.Decode(b)
	if block == nil || block.Type != pemType {
		return nil, fmt.Errorf("p2p: identity %s: not a PEM private key: restore it from a backup, or move it away to become a new node", file)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("p2p: identity %s: %w", file, err)
	}
	ed, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("p2p: identity %s: not an Ed25519 key", file)
	}
	return ed, nil
}

func newIdentity(file string) (ed25519.PrivateKey, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("p2p: identity: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("p2p: identity: %w", err)
	}
	if err := writeFile(file, pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der})); err != nil {
		return nil, fmt.Errorf("p2p: identity: %w", err)
	}
	return key, nil
}

// PeerID is the name of the node with this key.
func PeerID(key ed25519.PrivateKey) (string, error) {
	return PublicPeerID(key.Public().(ed25519.PublicKey))
}

// PublicPeerID is the peer ID of an Ed25519 public key.
func PublicPeerID(key ed25519.PublicKey) (string, error) {
	pub, err := crypto.UnmarshalEd25519PublicKey(key)
	if err != nil {
		return "", fmt.Errorf("p2p: peer id: %w", err)
	}
	id, err := peer.IDFromPublicKey(pub)
	if err != nil {
		return "", fmt.Errorf("p2p: peer id: %w", err)
	}
	return id.String(), nil
}

// PeerKey is the Ed25519 public key in a peer ID.
func PeerKey(peerID string) (key [ed25519.PublicKeySize]byte, err error) {
	id, err := peer.Decode(peerID)
	if err != nil {
		return key, fmt.Errorf("p2p: peer id %q: %w", peerID, err)
	}
	pub, err := id.ExtractPublicKey()
	if err != nil {
		return key, fmt.Errorf("p2p: peer id %q: %w", peerID, err)
	}
	raw, err := pub.Raw()
	if err != nil || pub.Type() != crypto.Ed25519 || len(raw) != len(key) {
		return key, fmt.Errorf("p2p: peer id %q: not of an Ed25519 key", peerID)
	}
	return [ed25519.PublicKeySize]byte(raw), nil
}

// writeFile writes a private file so that it is there whole or not at all.
func writeFile(file string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+"-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}
