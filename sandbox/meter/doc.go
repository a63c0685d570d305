// Package meter rewrites a core WebAssembly module so that it counts what it does and reports to its host every
// [Quantum] units, where the host can stop it. It never runs, compiles or loads a module, and keeps no state.
//
//	module ── Instrument ──► module + import numax.tick(i32) → i32
//	                                + global $left, mutable i32, starts at Quantum
//	                                + functions that check, and that do bulk operations in steps
//
// The places where a module is charged, and why no path avoids them, are in charge.go.
package meter
