package p2p

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestIdentityIsMadeOnce(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "identity.pem")
	made, err := LoadIdentity(file)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o600 && runtime.GOOS != "windows" {
		t.Errorf("mode of a new identity: got %04o, want 0600", got)
	}
	// It is made under another name and renamed; that one must be gone.
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
		t.Errorf("directory after making an identity: got %v, %v, want the identity alone", files, err)
	}
	loaded, err := LoadIdentity(file)
	if err != nil {
		t.Fatal(err)
	}
	if !made.Equal(loaded) {
		t.Error("the loaded key is not the made one")
	}
	id, err := PeerID(made)
	if err != nil || !strings.HasPrefix(id, "12D3KooW") {
		t.Errorf("PeerID: got %q, %v, want an Ed25519 peer ID", id, err)
	}
}

// Whatever stands in the file is refused and left as it is: a new key would
// make another node of this one.
func TestIdentityRefused(t *testing.T) {
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(other)
	if err != nil {
		t.Fatal(err)
	}
	good := filepath.Join(t.TempDir(), "good")
	if _, err := LoadIdentity(good); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	block := func(typ string, b []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: typ, Bytes: b}) }
	for _, c := range []struct {
		name string
		data []byte
		mode os.FileMode
		want string
	}{
		{"empty", nil, 0o600, "not a PEM private key"},
		{"not PEM", []byte("hello"), 0o600, "not a PEM private key"},
		{"cut", whole[:len(whole)/2], 0o600, "not a PEM private key"},
		{"a certificate", block("CERTIFICATE", der), 0o600, "not a PEM private key"},
		{"damaged", block(pemType, []byte("junk")), 0o600, "asn1"},
		{"ECDSA", block(pemType, der), 0o600, "not an Ed25519 key"},
		{"group can read", whole, 0o640, "chmod 600"},
		{"others can read", whole, 0o604, "chmod 600"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.mode != 0o600 && runtime.GOOS == "windows" {
				t.Skip("no modes here")
			}
			file := filepath.Join(t.TempDir(), "identity.pem")
			if err := os.WriteFile(file, c.data, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(file, c.mode); err != nil {
				t.Fatal(err)
			}
			_, err := LoadIdentity(file)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), file) {
				t.Errorf("got error %v, want one with %q and the file's name", err, c.want)
			}
			if after, err := os.ReadFile(file); err != nil || !bytes.Equal(after, c.data) {
				t.Errorf("the file changed to %q, %v", after, err)
			}
		})
	}
	if _, err := LoadIdentity(filepath.Join(t.TempDir(), "none", "identity.pem")); err == nil {
		t.Error("an identity in a directory that is not there: got no error")
	}
}
