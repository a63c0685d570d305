// Package member decides who belongs to a closed network: certificates, the
// roster that follows from them, invites, sealed keys, and the stream on which
// two devices show each other what they have.
//
// A closed network is its Genesis and a set of signed Records. Everything else
// follows from the set: same records, same Roster, in whatever order they came.
//
//	token ──► Request ──► an admin's Book ──► grant ─┐
//	                                                 ▼
//	   revocation, invite, keys ──────────► set of records ──evaluate──► Roster
//	                                          │      ▲                     │
//	                                        file   Session              Check, Standing, Ring
//
// Where to look:
//
//	what is signed           genesis, record, body, wire
//	who is who               evaluate, roster, standing
//	keys of entry bodies     seal, ring
//	what an admin does       act, join
//	how it is kept           book, file
//	how it spreads           session, handshake, reconcile, chain, frame
//	how one gets in          token, request
//
// The package never opens a connection or a port, never reads the wall clock by
// itself, and knows nothing of entries: the caller gives it a stream whose other
// end is authenticated, a clock and a file name.
//
// What a clock decides: whether a grant has expired, which counts when a peer
// connects. It never decides which entries or records stand: that must be the
// same on every device, and clocks are not.
package member
