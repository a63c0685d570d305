// Package replica keeps one node's copy of its datasets: entries in, news out.
//
// A Replica owns the author that this node writes as and the one queue through
// which every write of the node reaches the disk. A Dataset is a named set of
// CRDT objects that is replicated as one unit. Edits enter by one door,
// Dataset.learn, whether a guest made them here or a peer sent them; what was
// news is persisted, then announced, then told to watchers:
//
//	Update ─┐                         ┌─► watchers
//	        ├─► learn ─► group commit ┤
//	Learn ──┘    │         (fsync)    └─► Mesh.Publish (own entries)
//	             └─ a gap ─► pull over the peer's sync stream
//
// The package never opens a connection, never reads the wall clock by itself
// and knows nothing of guests: the network is the Mesh it is given, time the
// Now function.
package replica
