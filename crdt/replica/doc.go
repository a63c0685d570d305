// Package replica keeps one node's copy of its datasets: entries in, news out.
//
// A Replica owns the author that this node writes as and the one queue through
// which every write of the node reaches the disk. A Dataset is a named set of
// CRDT objects that is replicated as one unit. Edits enter by one door,
// Dataset.learn, whether a guest made them here or a peer sent them; what was
// news is persisted, then announced, then told to watchers:
//
//	Update ──┐             ┌─► watchers
//	         ├─► objects ──┴─► group commit (fsync) ──► Mesh.Publish (own entries)
//	Receive ─┘     │
//	             a gap ─► pull over the peer's sync stream
//
// Where to look:
//
//	entry, pack, ids          what is signed       queue, commit, kv    the way to disk
//	learn, parked, local      ops in               session, beacon,     talk with a peer
//	dataset, cache, watch     the state              exchange, intake,
//	check                     after a crash          serve, frame
//	acks, care, upkeep,       compaction           repair, trickle      whom to ask, and when
//	  sweep, cut, control                          fork                 authors with two logs
//	state, source, join,      whole states         file                 snapshots
//	  adopt, ask
//
// The package never opens a connection, never reads the wall clock by itself
// and knows nothing of guests: the network is the Mesh it is given, time the
// Now function.
package replica
