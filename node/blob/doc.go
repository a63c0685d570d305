// Package blob keeps blobs for modules, bytes that are named by their BLAKE3 hash, and fetches from other nodes those
// that this one has not. It never decides which module may have one: that is asked before.
//
//	Session.Write, Finish ─► temporary file ─► blob + mark of its module      (store.go, writer.go)
//	Session.Fetch ─► here? ─ no ─► a peer, a second later another beside it ─► verified ─► blob + mark (fetch.go, race.go)
//	                                          │
//	                                          └─ stream ─► Serve of that node  (serve.go)
//	Session.Size, ReadAt ─► blob
//
// A blob stays as long as a module here has a mark on it: the one that made it, and those that read it. A node fetches
// what its own modules ask for, and nothing else. A peer, or a module, that holds on to all that it may have going on
// takes nothing from others: slots.go.
package blob
