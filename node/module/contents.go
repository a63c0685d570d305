package module

import (
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"unicode"

	"github.com/zeebo/blake3"
)

// contents are the files of a module by path, without its signatures. A binary
// by itself has the path "".
type contents map[string][]byte

// hashDomain keeps the hash of a module apart from any other hash.
const hashDomain = "numax 2026-11 module contents"

// hash is the same for a folder and for the bundle made of it:
//
//	BLAKE3 derive-key(domain, rows by path)
//	row := uvarint len ‖ path ‖ BLAKE3(bytes)
func (c contents) hash() (sum [32]byte) {
	h := blake3.NewDeriveKey(hashDomain)
	var row []byte
	for _, p := range c.paths() {
		file := blake3.Sum256(c[p])
		row = append(append(binary.AppendUvarint(row[:0], uint64(len(p))), p...), file[:]...)
		_, _ = h.Write(row) // a hash takes all
	}
	h.Sum(sum[:0])
	return sum
}

func (c contents) paths() []string { return slices.Sorted(maps.Keys(c)) }

// gatherer reads the files of a module within the limits of a package.
type gatherer struct {
	files contents
	size  int
	taken map[string]string // folded path of each file and folder → as it is written; a folder with / at its end
}

func newGatherer() *gatherer { return &gatherer{files: contents{}, taken: map[string]string{}} }

// add reads a file to its end.
func (g *gatherer) add(p string, r io.Reader) error {
	switch {
	case !validPath(p):
		return fmt.Errorf("%s: want a relative path of at most %d bytes, without .. and \\ : * ? \" < > |", quoted(p), MaxPath)
	case len(g.files) == MaxFiles:
		return fmt.Errorf("over %d files", MaxFiles)
	}
	if err := g.take(p); err != nil {
		return err
	}
	b, err := io.ReadAll(io.LimitReader(r, int64(MaxContents-g.size+1)))
	if err != nil {
		return fmt.Errorf("%s: %w", quoted(p), err)
	}
	if g.size += len(b); g.size > MaxContents {
		return fmt.Errorf("over %d MiB of files", MaxContents>>20)
	}
	g.files[p] = b
	return nil
}

// take sees to it that every path is there once, also where file systems ignore
// case, and that no file is a folder of another.
func (g *gatherer) take(p string) error {
	for name := p; name != "."; name = path.Dir(name) {
		as := name
		if name != p {
			as += "/"
		}
		key := strings.ToLower(name)
		if other, ok := g.taken[key]; ok && (other != as || name == p) {
			return fmt.Errorf("%s and %s: the same path on some systems: rename one", quoted(p), quoted(other))
		}
		g.taken[key] = as
	}
	return nil
}

// validPath takes what is a path inside a module on every system.
func validPath(p string) bool {
	return fs.ValidPath(p) && p != "." && len(p) <= MaxPath && strings.IndexFunc(p, func(r rune) bool {
		return unicode.IsControl(r) || strings.ContainsRune(`\:*?"<>|`, r)
	}) < 0
}

// isReserved reports whether a path is taken by what describes a module.
func isReserved(p string) bool {
	return strings.EqualFold(p, ManifestName) || strings.EqualFold(p, SignaturesName)
}

// below reports whether a path is a folder, or in it.
func below(folder, p string) bool { return p == folder || strings.HasPrefix(p, folder+"/") }
