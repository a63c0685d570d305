package module

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// readFolder reads the manifest, and then only what it names: sources and build
// files beside it do not belong to the module.
func readFolder(dir string) (*Package, error) {
	root, err := os.OpenRoot(dir) // nothing outside it can be opened
	if err != nil {
		return nil, err
	}
	defer root.Close()
	g := newGatherer()
	if err := g.addFrom(root, ManifestName); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("no %s in the folder", ManifestName)
		}
		return nil, err
	}
	m, err := parse(g.files[ManifestName])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ManifestName, err)
	}
	if err := g.addFrom(root, m.Wasm); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if m.Files != "" {
		err := fs.WalkDir(root.FS(), m.Files, func(p string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			return g.addFrom(root, p)
		})
		if err != nil {
			return nil, err
		}
	}
	signatures, err := readFrom(root, SignaturesName)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return newPackage(g.files, signatures)
}

func (g *gatherer) addFrom(root *os.Root, name string) error {
	f, err := openRegular(root, name)
	if err != nil {
		return err
	}
	defer f.Close()
	return g.add(name, f)
}

func readFrom(root *os.Root, name string) ([]byte, error) {
	f, err := openRegular(root, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, MaxSignaturesSize+1))
}

// openRegular looks before it opens: opening a pipe would wait for its writer.
func openRegular(root *os.Root, name string) (*os.File, error) {
	info, err := root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: a link, or no regular file: put the file itself there", name)
	}
	return root.Open(name)
}
