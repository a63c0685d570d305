package module

import (
	"archive/zip"
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"pgregory.net/rapid"
)

const wasmHead = "\x00asm\x01\x00\x00\x00"

// tree writes files into a new folder.
func tree(t testing.TB, all map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range all {
		file := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// thermo is a whole module, with files beside it that do not belong to it.
func thermo() map[string]string {
	return map[string]string{
		ManifestName: minimal + "files = 'static'\n", "thermo.wasm": wasmHead, "main.go": "package main",
		"static/index.html": "<h1>", "static/a/b.js": "1", "static/a-b.css": "2",
	}
}

func mustOpen(t testing.TB, path string) *Package {
	t.Helper()
	p, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func mustBundle(t testing.TB, p *Package) []byte {
	t.Helper()
	b, err := p.Bundle()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A folder and its bundle are one module; bundling again gives the same bytes.
func TestFolderAndBundle(t *testing.T) {
	dir := mustOpen(t, tree(t, thermo()))
	b := mustBundle(t, dir)
	file := filepath.Join(t.TempDir(), "x"+BundleExt)
	if err := os.WriteFile(file, b, 0o644); err != nil {
		t.Fatal(err)
	}
	p := mustOpen(t, file)
	if p.Hash != dir.Hash || p.Size() != dir.Size() || p.Manifest.Name != "thermo" || string(p.Wasm) != wasmHead {
		t.Errorf("bundle %x of %d bytes, folder %x of %d", p.Hash, p.Size(), dir.Hash, dir.Size())
	}
	if !bytes.Equal(mustBundle(t, p), b) {
		t.Error("the bundle of a bundle has other bytes")
	}
	if err := fstest.TestFS(p.Files, "index.html", "a/b.js", "a-b.css"); err != nil {
		t.Error(err)
	}
	if _, err := fs.Stat(p.Files, "main.go"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("main.go: %v, want that it does not exist", err)
	}
}

func TestLoneBinary(t *testing.T) {
	dir := tree(t, map[string]string{"a.wasm": wasmHead, "b.wasm": wasmHead})
	a, b := mustOpen(t, filepath.Join(dir, "a.wasm")), mustOpen(t, filepath.Join(dir, "b.wasm"))
	if a.Manifest != nil || a.Grants() != nil || a.Hash != b.Hash {
		t.Errorf("got %+v, want no manifest and the hash %x", a, b.Hash)
	}
	if err := fstest.TestFS(a.Files); err != nil {
		t.Error(err)
	}
	if _, err := a.Bundle(); err == nil {
		t.Error("bundled without a manifest")
	}
}

// Every byte and every path counts, and nothing can stand for something else.
func TestHashIsOfContents(t *testing.T) {
	draw := rapid.MapOfN(rapid.StringMatching(`[a-b/]{1,4}`), rapid.SliceOfN(rapid.Byte(), 0, 3), 0, 4)
	rapid.Check(t, func(t *rapid.T) {
		a, b := contents(draw.Draw(t, "a")), contents(draw.Draw(t, "b"))
		same := len(a) == len(b)
		for p, x := range a {
			y, ok := b[p]
			same = same && ok && bytes.Equal(x, y)
		}
		if got := a.hash() == b.hash(); got != same {
			t.Fatalf("same hash: %t, same contents: %t", got, same)
		}
	})
}

func TestWrongFolders(t *testing.T) {
	for _, x := range []struct {
		change func(map[string]string)
		want   string
	}{
		{func(f map[string]string) { delete(f, ManifestName) }, "no module.toml in the folder"},
		{func(f map[string]string) { delete(f, "thermo.wasm") }, "no thermo.wasm in it, and module.toml names it: build the module first"},
		{func(f map[string]string) { f["thermo.wasm"] = "text" }, "not a WebAssembly binary"},
		{func(f map[string]string) { f[ManifestName] = minimal + "files = 'none'" }, "none: no such file"},
		{func(f map[string]string) { f["static/A-B.css"] = "3" }, "the same path on some systems"},
		{func(f map[string]string) { f["static/a:b"] = "3" }, "want a relative path"},
		{func(f map[string]string) { f[SignaturesName] = "nxsig1000" }, "module.sig: the text is cut off or mistyped"},
		{func(f map[string]string) { f[SignaturesName] = strings.Repeat("#", MaxSignaturesSize+1) }, "over 8192 bytes"},
	} {
		all := thermo()
		x.change(all)
		if _, err := Open(tree(t, all)); err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("got error %v, want %q", err, x.want)
		}
	}
}

// What a folder has outside itself does not get in.
func TestLinksAreRefused(t *testing.T) {
	for _, name := range []string{"static/link", "thermo.wasm", ManifestName, SignaturesName} {
		dir := tree(t, thermo())
		other := filepath.Join(tree(t, map[string]string{"secret": "x"}), "secret")
		_ = os.Remove(filepath.Join(dir, name))
		if err := os.Symlink(other, filepath.Join(dir, name)); err != nil {
			t.Skip("no symbolic links here:", err)
		}
		if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "a link, or no regular file") {
			t.Errorf("%s: got error %v", name, err)
		}
	}
}

// zipOf makes a bundle by hand: names and texts by turns.
func zipOf(t testing.TB, mode fs.FileMode, namesAndTexts ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := 0; i < len(namesAndTexts); i += 2 {
		h := &zip.FileHeader{Name: namesAndTexts[i], Method: zip.Deflate}
		h.SetMode(mode)
		f, err := w.CreateHeader(h)
		if err == nil {
			_, err = f.Write([]byte(namesAndTexts[i+1]))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestWrongBundles(t *testing.T) {
	manifest := minimal + "files = 'f'\n"
	whole := zipOf(t, 0o644, ManifestName, manifest, "thermo.wasm", wasmHead, "f/x", "1")
	if _, err := Decode(whole); err != nil {
		t.Fatal(err)
	}
	with := func(more ...string) []byte {
		return zipOf(t, 0o644, append([]string{ManifestName, manifest, "thermo.wasm", wasmHead}, more...)...)
	}
	tooMany := make([]string, 0, 2*MaxFiles)
	for i := range MaxFiles {
		tooMany = append(tooMany, "f/"+string(rune(0x4e00+i)), "")
	}
	for _, x := range []struct {
		b    []byte
		want string
	}{
		{nil, "neither a bundle"},
		{[]byte("hello"), "neither a bundle"},
		{whole[:len(whole)-9], "cut off or damaged"},
		{with("../x", "1"), "want a relative path"},
		{with("/x", "1"), "want a relative path"},
		{with("f/../../x", "1"), "want a relative path"},
		{with(`f\x`, "1"), "want a relative path"},
		{with("f/\xff", "1"), "want a relative path"},
		{with("f/"+strings.Repeat("x", MaxPath), "1"), "want a relative path"},
		{with("f/x", "1", "f/x", "2"), "the same path"},
		{with("f/x", "1", "f/X", "2"), "the same path"},
		{with("f/x", "1", "f/x/y", "2"), "the same path"},
		{with("f/x/y", "1", "f/x", "2"), "the same path"},
		{with("f/x/y", "1", "f/X/z", "2"), "the same path"},
		{with("f/", ""), "no regular file"},
		{with("x", "1"), "module.toml does not name it"},
		{zipOf(t, fs.ModeSymlink|0o777, ManifestName, manifest), "no regular file"},
		{zipOf(t, 0o644, "thermo.wasm", wasmHead), "no module.toml in it"},
		{zipOf(t, 0o644, ManifestName, manifest), "no thermo.wasm in it"},
		{with(tooMany...), "over 4096 files"},
	} {
		if _, err := Decode(x.b); err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("got error %v, want %q", err, x.want)
		}
	}
}

// What is over the limit is not read on.
func TestMaxContents(t *testing.T) {
	g := newGatherer()
	g.size = MaxContents - 2
	if err := g.add("a", strings.NewReader("12")); err != nil {
		t.Error(err)
	}
	r := strings.NewReader("3456789")
	if err := g.add("b", r); err == nil || r.Len() != 6 {
		t.Errorf("got %v, and %d bytes unread, want an error and 6", err, r.Len())
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	dir := tree(t, map[string]string{"a.wasm": wasmHead, "a.wasm.sig": "nonsense", "text": "text"})
	for name, want := range map[string]string{
		"none":   "none: no such file or directory",
		"text":   "neither a bundle",
		"a.wasm": "a.wasm.sig: want a text that begins with nxsig1",
	} {
		_, err := Open(filepath.Join(dir, name))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "module: open ") {
			t.Errorf("%s: got error %v, want %q", name, err, want)
		}
	}
}
