// Package bench measures a node as its users see it: real guests, real
// LevelDB with fsync, real sockets on loopback. It reports what it saw and
// judges nothing.
//
// Guest-call latency (one host call, seen from the sandbox) and convergence
// (until every node prints the same value) are measured apart.
package bench
