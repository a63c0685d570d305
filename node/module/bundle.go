package module

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
)

// A bundle is a zip file: module.toml first, then the other files by path, then
// module.sig. Times and modes are left out, so the same build of numax-node makes
// the same bytes of the same files. What identifies a module is its hash, which
// is that of the files and not of the zip.

// Bundle is the package as one file. A binary by itself cannot be one: it has no
// manifest.
func (p *Package) Bundle() ([]byte, error) {
	if p.Manifest == nil {
		return nil, fmt.Errorf("module: pack %s: it has no %s", p.Path, ManifestName)
	}
	signatures, err := p.EncodeSignatures()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	put := func(name string, data []byte) {
		var f io.Writer
		if err == nil {
			f, err = w.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate})
		}
		if err == nil {
			_, err = f.Write(data)
		}
	}
	put(ManifestName, p.contents[ManifestName])
	for _, name := range p.contents.paths() {
		if name != ManifestName {
			put(name, p.contents[name])
		}
	}
	if len(signatures) > 0 {
		put(SignaturesName, signatures)
	}
	if err == nil {
		err = w.Close()
	}
	if err == nil && b.Len() > MaxBundle {
		err = fmt.Errorf("%d bytes: a bundle has at most %d MiB", b.Len(), MaxBundle>>20)
	}
	if err != nil {
		return nil, fmt.Errorf("module: pack %s: %w", p.Path, err)
	}
	return b.Bytes(), nil
}

// decodeBundle takes only what Bundle makes and other zip programs can make, too:
// regular files with plain paths, each once.
func decodeBundle(b []byte) (*Package, error) {
	if len(b) > MaxBundle {
		return nil, fmt.Errorf("%d bytes: a bundle has at most %d MiB", len(b), MaxBundle>>20)
	}
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, fmt.Errorf("the bundle is cut off or damaged: copy it again (%w)", err)
	}
	g := newGatherer()
	for _, f := range z.File {
		if !f.Mode().IsRegular() {
			return nil, fmt.Errorf("%s: no regular file: make bundles with numax-node module pack", quoted(f.Name))
		}
		r, err := f.Open()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", quoted(f.Name), err)
		}
		if err := g.add(f.Name, r); err != nil {
			return nil, err
		}
	}
	signatures := g.files[SignaturesName]
	delete(g.files, SignaturesName)
	return newPackage(g.files, signatures)
}
