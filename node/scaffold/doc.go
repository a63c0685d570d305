// Package scaffold makes the folder of a new module, in one of four languages, and builds the module in such a folder
// with the language's own tools.
//
//	New("thermo", "rust")                        Build("thermo")
//	thermo/  module.toml, README.md    templates     cargo build …
//	         src/lib.rs, Cargo.toml    templates     thermo/thermo.wasm, beside module.toml
//	         sdk/                      the SDK
//
// A new folder has all its module needs but the compiler, so that a lone binary of numax-node is enough to begin.
// The package runs compilers, never a module, and it installs nothing.
package scaffold
