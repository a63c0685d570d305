// Package module is what a module is outside the sandbox: its manifest, the
// file it travels in, its hash and who signed it.
//
//	thermo/                      thermo.nxm  the same as one file
//	  module.toml  Manifest ──►  Package{Manifest, Wasm, Files, Hash, Signatures}
//	  thermo.wasm                     │
//	  static/…                        └─► Verify(keys), Needs: what it calls against what it asks for
//	  module.sig
//
// MANIFEST.md is the page for those who write modules. Where to look:
//
//	what a module is and may   manifest, document, unknown, grants, hosts, families, limits, trigger, describe
//	what it travels in         package, folder, bundle, contents, files
//	who answers for it         key, sign
//	what is in the binary      wasm, needs
//
// A manifest asks; nothing is allowed that it does not list. This package reads
// bytes and answers questions. It never runs a module, never enforces what it
// answers, and uses neither network nor goroutines.
package module
