// Package datastore keeps a node's rows in one LevelDB: atomic, fsynced
// batches, ordered scans and pinned views over raw keys.
//
// It knows the key layout (keys.go) but never what a row means: CRDT state,
// signatures and replication belong to the rooms above.
//
// A directory belongs to one process at a time; a second one gets ErrLocked.
// The first row of every store is a magic record with the schema version, so
// that a store from a newer build, or a LevelDB of something else, is refused
// instead of misread. Damage that LevelDB notices is ErrDamaged: nothing is
// repaired, and so nothing is dropped, behind the user's back.
package datastore
