// Package bench measures a node as its users see it: real guests, real
// LevelDB with fsync, real sockets on loopback. It reports what it saw and
// judges nothing.
//
// A scenario answers with figures: numbers that have a name and a unit. Three
// times are measured apart and never mixed:
//
//	guest call   one host call, seen from the sandbox: applied in memory
//	durable      until commit returned: on this node's disk
//	visible      until a watcher on another node was told: on its disk, too
//
// Beside them stands what the same machine can do at most, measured in the
// same run: see limits.go.
package bench
