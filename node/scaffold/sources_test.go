package scaffold

import (
	"maps"
	"os"
	"path/filepath"
	"testing"
)

// What changes with each edit of a source, and with nothing that a build makes.
func TestSources(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) {
		t.Helper()
		if err := write(filepath.Join(dir, filepath.FromSlash(name)), []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	look := func() Snapshot {
		t.Helper()
		s, err := Sources(dir)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	put("main.go", "package main")
	put("web/index.html", "hi")
	before := look()
	if len(before) != 2 {
		t.Fatalf("got %v, want main.go and web/index.html", before)
	}
	for _, made := range []string{"x.wasm", "x.wasm.part", "target/release/x.o", "node_modules/a/b.js", ".git/HEAD", ".main.go.swp"} {
		put(made, "x")
	}
	if after := look(); !maps.Equal(before, after) {
		t.Errorf("a build changed %v to %v", before, after)
	}
	for _, edit := range []func(){
		func() { put("main.go", "package main // edited") },
		func() { put("web/new/page.css", "") },
		func() { _ = os.Remove(filepath.Join(dir, "web", "index.html")) },
	} {
		edit()
		after := look()
		if maps.Equal(before, after) {
			t.Errorf("an edit changed nothing: %v", after)
		}
		before = after
	}
	if _, err := Sources(filepath.Join(dir, "none")); err == nil {
		t.Error("a folder that is not there: got no error")
	}
}
