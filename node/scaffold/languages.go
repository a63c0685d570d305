package scaffold

import (
	"context"
	"maps"
	"slices"
)

// language is how modules in it are told and built.
type language struct {
	markers []string // files or patterns of files that only modules in this language have
	main    string   // the file a module's author begins with
	needs   string   // the tools, and where they come from

	// compile builds the module in dir into the file wasm, an absolute path.
	compile func(ctx context.Context, b *build) error
}

var languages = map[string]*language{
	"go": {
		markers: []string{"go.mod", "*.go"}, // several modules may share a go.mod above them
		main:    "main.go",
		needs:   "Go 1.24 or later, from go.dev/dl",
		compile: compileGo,
	},
	"rust": {
		markers: []string{"Cargo.toml"},
		main:    "src/lib.rs",
		needs: "cargo and a Rust 1.63 or later with the standard library for wasm32-unknown-unknown: " +
			"rustup target add wasm32-unknown-unknown, or on Debian apt-get install cargo libstd-rust-dev-wasm32 lld",
		compile: compileRust,
	},
	"assemblyscript": {
		markers: []string{"asconfig.json"},
		main:    mainTS,
		needs:   "Node.js 20 or later and asc: npm install in the module's folder, or once npm install --global assemblyscript",
		compile: compileAssemblyScript,
	},
	"c": {
		markers: []string{"*.c"},
		main:    "main.c",
		needs:   "clang 14 or later with the target wasm32, and wasm-ld: on Debian apt-get install clang lld, on macOS brew install llvm lld",
		compile: compileC,
	},
}

// Languages are the names of all languages, sorted.
func Languages() []string { return slices.Sorted(maps.Keys(languages)) }
