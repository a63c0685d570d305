// Package crdt holds the replicated data types of Numax: their state, their
// operations, their joins and their encodings.
//
// Six families share one interface, Object. Every operation is a join: applied
// twice, or beside a state that already has it, it changes nothing. Operations
// of one dataset are numbered per author; the version vector of what a dataset
// applied (Version) is the causal context of all its objects.
//
// The package is pure. It never reads a clock, starts a goroutine, does I/O or
// draws a random number, and it imports only the standard library, so that it
// also builds for js/wasm. An Object is not safe for concurrent use.
package crdt
