// Package replica keeps one node's copy of its datasets: entries in, news out.
//
// A Replica owns the author that this node writes as and the one queue through
// which every write of the node reaches the disk. A Dataset is a named set of
// CRDT objects that is replicated as one unit. Local edits enter by
// Dataset.Update, everything that peers send by Dataset.learn; what is ours is
// announced when it is on disk:
//
//	Update ──┐             ┌─► watchers
//	         ├─► objects ──┴─► group commit (fsync) ──► Mesh.Publish (own entries)
//	Receive ─┘     │
//	             a gap ─► pull over the peer's sync stream
//
// Where to look:
//
//	what is signed          entry, pack, ids
//	ops on their way in     local, learn, decode, turns, parked, slots
//	the state               dataset, cache, watch, objects
//	the way to disk         queue, commit, kv
//	after a crash           check
//	talk with a peer        session, beacon, exchange, intake, serve, frame, summary
//	whom to ask, and when   repair, trickle
//	compaction              acks, care, upkeep, sweep, cut, control
//	whole states            state, heads, source, ask, join, compare, adopt; snapshots: file
//	authors with two logs   fork
//	closed networks         standing, keys, starts
//	families to come        kept
//
// The package never opens a connection, never reads the wall clock by itself
// and knows nothing of guests: the network is the Mesh it is given, time the
// Now function.
package replica
