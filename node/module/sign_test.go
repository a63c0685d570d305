package module

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func mustKey(t testing.TB) PrivateKey {
	t.Helper()
	k, err := GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// A signature holds for the contents it was made of, in whatever they travel.
func TestVerify(t *testing.T) {
	alice, bob := mustKey(t), mustKey(t)
	p := mustOpen(t, tree(t, thermo()))
	if err := p.Verify([]PublicKey{alice.Public()}); !errors.Is(err, ErrNotSigned) || !strings.Contains(err.Error(), "by nobody") {
		t.Errorf("got %v, want that nobody signed it", err)
	}
	p.Add(p.Sign(alice))
	bundled, err := Decode(mustBundle(t, p))
	if err != nil {
		t.Fatal(err)
	}
	if err := bundled.Verify([]PublicKey{bob.Public(), alice.Public()}); err != nil {
		t.Error(err)
	}
	if err := bundled.Verify([]PublicKey{bob.Public()}); err == nil || !strings.Contains(err.Error(), alice.Public().String()) {
		t.Errorf("got %v, want the name of who signed it", err)
	}
	if err := bundled.Verify(nil); err == nil {
		t.Error("verified for no key")
	}

	all := thermo()
	all["static/index.html"] = "<h2>"
	changed := mustOpen(t, tree(t, all))
	changed.Signatures = p.Signatures
	if err := changed.Verify([]PublicKey{alice.Public()}); err == nil || !strings.Contains(err.Error(), "changed since") {
		t.Errorf("got %v, want that it was changed", err)
	}
	// Signing again takes the place of what no longer fits, and of nothing else.
	changed.Add(changed.Sign(bob))
	changed.Add(changed.Sign(alice))
	changed.Add(changed.Sign(alice))
	if len(changed.Signatures) != 2 || len(changed.SignedBy()) != 2 {
		t.Errorf("got signatures %v, want one of each", changed.Signatures)
	}
}

// A signature in the name of another is none.
func TestForgedSignature(t *testing.T) {
	alice, mallory := mustKey(t), mustKey(t)
	p := mustOpen(t, tree(t, thermo()))
	s := p.Sign(mallory)
	s.Key = alice.Public()
	p.Add(s)
	if err := p.Verify([]PublicKey{alice.Public()}); err == nil {
		t.Error("taken")
	}
	// Nor does it push out the right one.
	p.Add(p.Sign(alice))
	p.Add(s)
	if err := p.Verify([]PublicKey{alice.Public()}); err != nil {
		t.Error(err)
	}
}

func TestSignaturesBeside(t *testing.T) {
	file := filepath.Join(tree(t, map[string]string{"a.wasm": wasmHead}), "a.wasm")
	k := mustKey(t)
	p := mustOpen(t, file)
	p.Add(p.Sign(k))
	text, err := p.EncodeSignatures()
	if err == nil {
		err = os.WriteFile(file+SignaturesExt, append([]byte("# by me\n\n"), text...), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := mustOpen(t, file).Verify([]PublicKey{k.Public()}); err != nil {
		t.Error(err)
	}
}

func TestManySignatures(t *testing.T) {
	p := mustOpen(t, tree(t, thermo()))
	for range MaxSignatures {
		p.Add(p.Sign(mustKey(t)))
	}
	text, err := p.EncodeSignatures()
	if err != nil {
		t.Fatal(err)
	}
	if all, err := parseSignatures(text); err != nil || len(all) != MaxSignatures {
		t.Errorf("got %d signatures, %v", len(all), err)
	}
	p.Add(p.Sign(mustKey(t)))
	if _, err := p.EncodeSignatures(); err == nil {
		t.Error("one too many is written")
	}
	if _, err := parseSignatures(append(text, text...)); err == nil {
		t.Error("too many are read")
	}
}

func TestKeyFile(t *testing.T) {
	k, file := mustKey(t), filepath.Join(t.TempDir(), "key")
	if err := k.Write(file); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadKey(file); err != nil || got.Public() != k.Public() {
		t.Errorf("got %v, %v, want %v", got, err, k)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm()&0o077 != 0 && os.PathSeparator == '/' {
		t.Errorf("got mode %v, %v: others may read it", info.Mode(), err)
	}
	if err := k.Write(file); err == nil || !strings.Contains(err.Error(), "there already") {
		t.Errorf("written over: %v", err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	secret := textLines(text)[0]
	for _, shown := range []string{fmt.Sprint(k), fmt.Sprintf("%+v", k), fmt.Sprintf("%#v", k)} {
		if strings.Contains(shown, secret) || !strings.Contains(shown, "nxpub1") {
			t.Errorf("printed as %q", shown)
		}
	}
	for _, bad := range []string{"", "nxsec1", k.Public().String(), secret + "\n" + secret, secret[:len(secret)-1]} {
		if err := os.WriteFile(file, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadKey(file); err == nil {
			t.Errorf("read a key from %q", bad)
		}
	}
}

// A text has one body, and one wrong letter is noticed.
func TestTextOfKeys(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var k PublicKey
		copy(k[:], rapid.SliceOfN(rapid.Byte(), len(k), len(k)).Draw(t, "key"))
		text := k.String()
		if got, err := ParsePublicKey(" " + text + "\n"); err != nil || got != k {
			t.Fatalf("got %v, %v, want %v", got, err, k)
		}
		at := rapid.IntRange(0, len(text)-1).Draw(t, "at")
		letter := rapid.ByteRange('!', '~').Filter(func(b byte) bool { return b != text[at] }).Draw(t, "letter")
		wrong := text[:at] + string(letter) + text[at+1:]
		if _, err := ParsePublicKey(wrong); err == nil {
			t.Fatalf("%s is taken as %s", wrong, text)
		}
	})
}
