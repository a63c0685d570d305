package module

import "io/fs"

// Package is a module with all that belongs to it, as read by Open. It holds its
// contents in memory, so that what was hashed is what runs.
type Package struct {
	Path       string    // as given to Open
	Manifest   *Manifest // nil: a .wasm by itself, to be run by hand
	Wasm       []byte
	Files      fs.FS // empty when the manifest names none; its files can be sought in
	Hash       [32]byte
	Signatures []Signature // not yet looked at: see Verify

	contents contents
}

// Names of files.
const (
	SignaturesName = "module.sig" // signatures, in a folder or bundle
	BundleExt      = ".nxm"
	wasmExt        = ".wasm"
)

// Limits of a package.
const (
	MaxBundle   = 64 << 20  // bytes of a bundle
	MaxContents = 128 << 20 // bytes of everything in it
	MaxFiles    = 4096
	MaxPath     = 255
)

// Grants are what the module asks for, nil if it has no manifest.
func (p *Package) Grants() *Grants {
	if p.Manifest == nil {
		return nil
	}
	return &p.Manifest.Grants
}
