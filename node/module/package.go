package module

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// Package is a module with all that belongs to it. It holds its contents in
// memory, so that what was hashed is what runs. Nothing in it may be changed.
type Package struct {
	Path       string    // as given to Open
	Manifest   *Manifest // nil: a .wasm by itself, to be run by hand
	Wasm       []byte
	Files      fs.FS // empty when the manifest names none; its files are io.Seekers
	Hash       [32]byte
	Signatures []Signature // as found, and not yet checked: see Verify

	contents contents
}

// Names of files.
const (
	SignaturesName = "module.sig" // in a folder or bundle
	SignaturesExt  = ".sig"       // beside a bundle or binary
	BundleExt      = ".nxm"
)

// Limits of a package.
const (
	MaxBundle   = 64 << 20 // bytes of a bundle
	MaxContents = 64 << 20 // bytes of all files in it
	MaxFiles    = 4096
	MaxPath     = 255 // bytes
)

var (
	wasmMagic   = []byte("\x00asm")
	bundleMagic = []byte("PK\x03\x04")
)

// Open reads a bundle, a folder with module.toml, or a .wasm by itself, and the
// signatures in or beside it. What is not as it should be is an error; who signed
// it is for Verify.
func Open(path string) (*Package, error) {
	p, err := open(path)
	if err != nil {
		return nil, fmt.Errorf("module: open %s: %w", path, withoutPath(err, path))
	}
	p.Path = path
	return p, nil
}

// withoutPath leaves out what a message has said already: the path, and which
// system call failed.
func withoutPath(err error, path string) error {
	var at *fs.PathError
	switch {
	case !errors.As(err, &at):
		return err
	case at.Path == path:
		return at.Err
	}
	return fmt.Errorf("%s: %w", at.Path, at.Err)
}

func open(path string) (*Package, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return readFolder(path)
	}
	b, err := readFile(path, MaxBundle)
	if err != nil {
		return nil, err
	}
	p, err := Decode(b)
	if err != nil {
		return nil, err
	}
	beside, err := readFile(path+SignaturesExt, MaxSignaturesSize)
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err == nil {
		err = p.addText(beside)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path+SignaturesExt, err)
	}
	return p, nil
}

// Decode reads the bytes of a bundle, or of a WebAssembly binary by itself. It may
// keep b.
func Decode(b []byte) (*Package, error) {
	switch {
	case bytes.HasPrefix(b, bundleMagic):
		return decodeBundle(b)
	case bytes.HasPrefix(b, wasmMagic):
		c := contents{"": b}
		return &Package{Wasm: b, Files: newFiles(nil, ""), Hash: c.hash(), contents: c}, nil
	}
	return nil, fmt.Errorf(`neither a bundle (%s) nor a WebAssembly binary, which begins with \0asm`, BundleExt)
}

// newPackage makes a package of files and the text of its signatures, nil if
// there are none.
func newPackage(c contents, signatures []byte) (*Package, error) {
	text, ok := c[ManifestName]
	if !ok {
		return nil, fmt.Errorf("no %s in it", ManifestName)
	}
	m, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ManifestName, err)
	}
	p := &Package{Manifest: m, Wasm: c[m.Wasm], Hash: c.hash(), contents: c}
	if _, ok := c[m.Wasm]; !ok {
		return nil, fmt.Errorf("no %s in it, and %s names it: build the module first", m.Wasm, ManifestName)
	}
	if !bytes.HasPrefix(p.Wasm, wasmMagic) {
		return nil, fmt.Errorf(`%s: not a WebAssembly binary: it does not begin with \0asm`, m.Wasm)
	}
	for _, name := range c.paths() {
		if name != ManifestName && name != m.Wasm && (m.Files == "" || !below(m.Files, name)) {
			return nil, fmt.Errorf("%s: in the bundle, but %s does not name it", quoted(name), ManifestName)
		}
	}
	p.Files = newFiles(c, m.Files)
	if err := p.addText(signatures); err != nil {
		return nil, fmt.Errorf("%s: %w", SignaturesName, err)
	}
	return p, nil
}

// Grants are what the module asks for, nil if it has no manifest.
func (p *Package) Grants() *Grants {
	if p.Manifest == nil {
		return nil
	}
	return &p.Manifest.Grants
}

// Size is how many bytes all files of the module have.
func (p *Package) Size() int64 {
	n := 0
	for _, b := range p.contents {
		n += len(b)
	}
	return int64(n)
}

// readFile reads a regular file of at most so many bytes.
func readFile(path string, most int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(b)) > most {
		err = fmt.Errorf("over %d bytes", most)
	}
	return b, err
}
