package module

import (
	"bytes"
	"reflect"
	"testing"
)

// What Parse takes, Encode writes such that Parse takes it again, as it was.
func FuzzParse(f *testing.F) {
	f.Add([]byte(minimal))
	f.Add([]byte(minimal + "[limits]\ncpu = '25%'\n[[grants.data]]\ndataset = 'd'\nread = ['rga']\n[[triggers]]\nchange = {dataset = 'd'}\n[[triggers]]\nevery = '1s'"))
	f.Add([]byte(minimal + "[grants]\nhosts = ['*.example.org:8080', '[::1]:80']\nsubscribe = ['a.*']\nenv = ['NX_A']\n[[triggers]]\nmessage = 'a.b'"))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := Parse(text)
		if err != nil {
			return
		}
		again, err := m.Encode()
		if err != nil {
			t.Fatalf("Encode: %v", err)
		}
		got, err := Parse(again)
		if err != nil || !reflect.DeepEqual(got, m) {
			t.Fatalf("got %+v, %v\nwant %+v\nfrom\n%s", got, err, m, again)
		}
		_, _ = m.Grants.Describe(), m.Limits.String()
	})
}

// What Decode takes, Bundle writes, with the same hash and signatures.
func FuzzDecode(f *testing.F) {
	whole := zipOf(f, 0o644, ManifestName, minimal+"files = 'f'\n", "thermo.wasm", wasmHead, "f/x", "1")
	f.Add(whole)
	f.Add(whole[:len(whole)-10])
	f.Add(zipOf(f, 0o644, ManifestName, minimal, "thermo.wasm", wasmHead, SignaturesName, Signature{}.String()))
	f.Add(zipOf(f, 0o644, "../x", "1"))
	f.Add([]byte(wasmHead))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := Decode(b)
		if err != nil {
			return
		}
		_ = p.SignedBy()
		if p.Manifest == nil {
			return
		}
		again, err := p.Bundle()
		if err != nil {
			t.Fatalf("Bundle: %v", err)
		}
		q, err := Decode(again)
		if err != nil || q.Hash != p.Hash || !reflect.DeepEqual(q.Signatures, p.Signatures) {
			t.Fatalf("got %+v, %v\nwant %+v", q, err, p)
		}
	})
}

// What a binary says of itself has no more bytes than the binary.
func FuzzReadBinary(f *testing.F) {
	f.Add([]byte(wasmHead))
	f.Add(everything())
	f.Add(everything()[:40])
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := ReadBinary(b)
		if err != nil {
			return
		}
		n := 0
		for _, i := range got.Imports {
			n += len(i.Module) + len(i.Name)
		}
		for _, name := range got.Exports {
			n += len(name)
		}
		if n > len(b) || !bytes.HasPrefix(b, corePreamble) {
			t.Fatalf("%d bytes of names in %d", n, len(b))
		}
		_ = new(Grants).Needs(got)
	})
}
