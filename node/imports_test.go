package node_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const modulePath = "github.com/numax-mesh/numax"

// Families of third-party packages.
var (
	libp2p   = []string{"github.com/libp2p/...", "github.com/multiformats/..."}
	metrics  = []string{"github.com/prometheus/client_golang/..."}
	leveldb  = []string{"github.com/ipfs/go-ds-leveldb", "github.com/syndtr/goleveldb/...", keyNames}
	settings = []string{
		"github.com/spf13/...", "github.com/knadh/koanf/...", "github.com/pelletier/go-toml/...",
		"github.com/go-viper/mapstructure/v2",
	} // koanf's decoder
	terminal = []string{"golang.org/x/term", "golang.org/x/sys/..."}
)

const (
	keyNames   = "github.com/ipfs/go-datastore/..." // its Key type and ErrNotFound
	hashes     = "github.com/zeebo/blake3"
	ciphers    = "golang.org/x/crypto/..." // sealed keys
	contentIDs = "github.com/ipfs/go-cid"  // what a DHT is asked for
	zstd       = "github.com/klauspost/compress/zstd"
	wazero     = "github.com/tetratelabs/wazero/..."
	laws       = "pgregory.net/rapid"
)

// room is a row of the import table in ARCHITECTURE.md. "/..." at the end of a
// name means everything below it too.
type room struct {
	name  string
	ours  []string // rooms it may import
	third []string // modules of others
	never []string // packages of the standard library it must do without
}

// rooms from the bottom up: each may import only what is above it here.
var rooms = []room{
	{name: "crdt", never: effects},
	{name: "datastore", third: leveldb},
	{name: "crdt/replica", ours: list("crdt", "datastore"), third: list(hashes, zstd), never: network},
	{name: "p2p", third: slices.Concat(libp2p, metrics, list(keyNames, hashes, contentIDs))},
	{name: "sandbox/meter", never: effects},
	{name: "sandbox", ours: list("sandbox/..."), third: list(wazero, hashes)},
	{name: "sandbox/sdk/..."},
	{name: "node/api"},
	{name: "node/door"},
	{name: "node/scaffold", ours: list("node/module", "sandbox/sdk"), never: list("net", "net/http")},
	{name: "node/member", third: list(hashes, ciphers), never: list("net", "net/http")},
	{name: "node/bus", ours: list("datastore", "sandbox"), never: list("net", "net/http")},
	{name: "node/blob", ours: list("sandbox"), third: list(hashes), never: list("net", "net/http")},
	{name: "node/module", third: list(hashes, "github.com/pelletier/go-toml/..."), never: list("net", "net/http", "sync", "context")},
	{name: "node/guest", ours: list("crdt", "crdt/replica", "sandbox", "node/module"), never: list("net", "net/http")},
	{name: "node/supervisor", ours: list("crdt", "crdt/replica", "sandbox", "node/api", "node/blob", "node/bus", "node/door", "node/guest", "node/module"), third: list(hashes)},
	{name: "node", ours: bottom("node/..."), third: slices.Concat(metrics, list(hashes))},
	// Its guests are written with the assembler of sandboxtest.
	{name: "node/bench/...", ours: bottom("node/...", "sandbox/sandboxtest"), third: slices.Concat(metrics, list(hashes))},
	{name: "cmd/numax-node", ours: list("node", "node/..."), third: slices.Concat(settings, terminal, list("rsc.io/qr"))},
	{name: "examples/...", ours: list("sandbox/sdk/...")},
}

var (
	// crdt is pure, so that it also runs in a browser and under any clock.
	effects = list("crypto/rand", "io/fs", "log", "log/slog", "math/rand", "math/rand/v2", "net", "net/http",
		"os", "os/exec", "runtime", "sync", "sync/atomic", "syscall", "time", "unsafe", "context")
	// replica is given its network.
	network = list("net", "net/http", "os")
)

func list(names ...string) []string { return names }

// bottom are the rooms that node puts together.
func bottom(more ...string) []string {
	return append(list("crdt", "crdt/replica", "datastore", "p2p", "sandbox"), more...)
}

// TestImports holds every package, also of the nested modules and for every
// platform, against the table. Test files may import more: conformance suites,
// fakes and libraries for testing, and whatever a fake needs.
func TestImports(t *testing.T) {
	for dir, imports := range readImports(t) {
		for imp, file := range imports {
			if err := checkImport(dir, imp); err != nil {
				t.Errorf("%s imports %s: %v", file, imp, err)
			}
		}
	}
}

// TestImportTable proves that the check can fail.
func TestImportTable(t *testing.T) {
	for _, x := range []struct {
		dir, imp string
		ok       bool
	}{
		{"crdt", "fmt", true},
		{"crdt", "time", false},
		{"crdt", modulePath + "/datastore", false},
		{"crdt/replica", modulePath + "/datastore", true},
		{"crdt/replica", modulePath + "/p2p", false},
		{"crdt/replica", "github.com/libp2p/go-libp2p/core/peer", false},
		{"crdt/crdttest", modulePath + "/crdt", true},
		{"crdt/crdttest", "pgregory.net/rapid", true},
		{"crdt/crdttest", modulePath + "/node", false},
		{"sandbox", modulePath + "/crdt", false},
		{"sandbox/meter", "github.com/tetratelabs/wazero", false},
		{"sandbox/sdk/go", "github.com/zeebo/blake3", false},
		{"sandbox/sdk/go", modulePath + "/sandbox", false},
		{"node", modulePath + "/p2p", true},
		{"node/api", modulePath + "/node", false},
		{"node/member", "golang.org/x/crypto/nacl/box", true},
		{"node/member", modulePath + "/p2p", false},
		{"node/module", "github.com/pelletier/go-toml/v2", true},
		{"node/module", modulePath + "/sandbox", false},
		{"node/module", "net", false},
		{"node/scaffold", modulePath + "/sandbox/sdk", true},
		{"node/scaffold", modulePath + "/sandbox", false},
		{"cmd/numax-node", modulePath + "/node/api", true},
		{"cmd/numax-node", modulePath + "/crdt", false},
		{"util", "fmt", false},
	} {
		if err := checkImport(x.dir, x.imp); (err == nil) != x.ok {
			t.Errorf("checkImport(%s, %s) = %v, want allowed: %t", x.dir, x.imp, err, x.ok)
		}
	}
}

// checkImport says why a package in dir may not import imp.
func checkImport(dir, imp string) error {
	r, ok := roomOf(dir)
	if !ok {
		return fmt.Errorf("package %s is in no room: give it a row of the table", dir)
	}
	own, isOwn := strings.CutPrefix(imp, modulePath+"/")
	first, _, _ := strings.Cut(imp, "/")
	switch {
	case isOwn && !matches(r.ours, own) && !within(r.name, own):
		return fmt.Errorf("%s may import of ours only %v", r.name, r.ours)
	case isOwn:
		return nil
	case strings.Contains(first, "."):
		if !matches(r.third, imp) {
			return fmt.Errorf("%s may import of others only %v", r.name, r.third)
		}
	case slices.Contains(r.never, imp):
		return fmt.Errorf("%s does without it", r.name)
	}
	return nil
}

// roomOf finds the row of a package. X/Xtest is X's conformance suite: it may
// import X, what X may, and the library for laws.
func roomOf(dir string) (room, bool) {
	if parent, base := path.Split(dir); base == path.Base(parent)+"test" {
		r, ok := roomOf(path.Clean(parent))
		return room{
			name: dir, ours: append(slices.Clone(r.ours), r.name),
			third: append(slices.Clone(r.third), laws),
		}, ok
	}
	for _, r := range rooms {
		if within(r.name, dir) {
			return r, true
		}
	}
	return room{}, false
}

func matches(names []string, imp string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return within(name, imp) })
}

func within(name, imp string) bool {
	prefix, below := strings.CutSuffix(name, "/...")
	return imp == prefix || below && strings.HasPrefix(imp, prefix+"/")
}

// readImports reads directory → import → a file that has it, for all Go files
// of the repository but tests.
func readImports(t *testing.T) map[string]map[string]string {
	t.Helper()
	const root = ".."
	if _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil {
		t.Fatalf("the root of the repository: %v", err)
	}
	all := make(map[string]map[string]string)
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && file != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata"):
			return fs.SkipDir
		case d.IsDir() && foreign(file):
			return fs.SkipDir
		case d.IsDir(), !strings.HasSuffix(file, ".go"), strings.HasSuffix(file, "_test.go"):
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		dir := path.Dir(rel)
		if all[dir] == nil {
			all[dir] = make(map[string]string)
		}
		return addImports(all[dir], rel, f.Imports)
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < len(rooms) {
		t.Fatalf("found %d packages under %s, want at least one per room", len(all), root)
	}
	return all
}

// foreign reports whether a folder is somebody else's module, such as one that
// was made here with numax-node new.
func foreign(dir string) bool {
	text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	return err == nil && !strings.HasPrefix(string(text), "module "+modulePath)
}

func addImports(to map[string]string, file string, specs []*ast.ImportSpec) error {
	for _, s := range specs {
		imp, err := strconv.Unquote(s.Path.Value)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		to[imp] = file
	}
	return nil
}
