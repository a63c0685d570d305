// Package sdk holds the sources of the guest SDKs, one for each language, so that a program can hand them to a new
// module. It never runs or builds them.
package sdk

import (
	"archive/zip"
	"bytes"
	"embed"
	"fmt"
	"io/fs"
)

// The Go SDK is a module of its own, and go:embed does not look into other modules: so its sources travel in an
// archive, which a test holds against them.
//
//go:generate go test -run TestGoArchive -update .
//go:embed go.zip
var goArchive []byte

//go:embed rust/Cargo.toml rust/src assemblyscript/*.ts c/nx.h
var others embed.FS

// Source is what a module in a language needs: "go", "rust", "assemblyscript" or "c".
func Source(language string) (fs.FS, error) {
	if language == "go" {
		return zip.NewReader(bytes.NewReader(goArchive), int64(len(goArchive)))
	}
	if _, err := fs.Stat(others, language); err != nil {
		return nil, fmt.Errorf("sdk: find the SDK for %s: %w", language, err)
	}
	return fs.Sub(others, language)
}
