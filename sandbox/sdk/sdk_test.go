package sdk

import (
	"archive/zip"
	"bytes"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

var update = flag.Bool("update", false, "write go.zip")

// go.zip has the files of the Go SDK that a module needs, as they are.
func TestGoArchive(t *testing.T) {
	want := fstest.MapFS{}
	files, err := filepath.Glob("go/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if base := filepath.Base(name); strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") || base == "go.mod" {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			want[base] = &fstest.MapFile{Data: data, Mode: 0o644}
		}
	}
	if *update {
		var b bytes.Buffer
		w := zip.NewWriter(&b)
		if err := w.AddFS(want); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile("go.zip", b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := Source("go")
	if err != nil {
		t.Fatal(err)
	}
	entries, err := fs.ReadDir(got, ".")
	if err != nil || len(entries) != len(want) {
		t.Errorf("go.zip has %d files, want %d (%v): run go generate ./sandbox/sdk", len(entries), len(want), err)
	}
	for name, f := range want {
		if data, err := fs.ReadFile(got, name); err != nil || !bytes.Equal(data, f.Data) {
			t.Errorf("go.zip has another %s (%v): run go generate ./sandbox/sdk", name, err)
		}
	}
}

func TestSource(t *testing.T) {
	for language, file := range map[string]string{
		"go": "go.mod", "rust": "src/lib.rs", "assemblyscript": "index.ts", "c": "nx.h",
	} {
		src, err := Source(language)
		if err != nil {
			t.Fatal(err)
		}
		if data, err := fs.ReadFile(src, file); err != nil || len(data) == 0 {
			t.Errorf("%s: %d bytes of %s, %v", language, len(data), file, err)
		}
	}
	if _, err := Source("zig"); err == nil {
		t.Error("there is an SDK for zig")
	}
}
