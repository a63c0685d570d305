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
//	what bounds it           bounds, merge
//	keys of entry bodies     seal, ring
//	what an admin does       act, join, clock
//	how it is kept           book, file
//	how it spreads           session, handshake, reconcile, chain, frame
//	how one gets in          token, request
//
// Laws, whoever says what in whatever order, with as many keys as they like:
//
//  1. The roster is a function of the set, and so is what is kept where a bound is reached:
//     devices that have heard of the same come to have the same (bounds.go). One exception:
//     what admins grant is refused when MaxRecords of it are there.
//  2. Who is no admin adds one record of fixed size for each grant that it was given: that it
//     leaves. So it cannot fill the set, and a revocation by an admin always fits.
//  3. Who left has said its last word. It does not say how far its logs stand: it could name
//     entries that do not exist yet. They stand as far as members that may write had applied them,
//     and vouch for it (crdt/replica), or as an admin says that revokes it too, which it can
//     at any time. The word of an admin that left is confirmed by another.
//  4. What a record costs a device that has no use for it is to read it: whether it has an effect
//     is known (takes) before its signature is checked and before anything is evaluated. What
//     a change costs its peer pays from a budget, and this device's own acts go before.
//  5. A handshake costs what it shows, at most maxChain records, however many there are. It
//     costs two hashes until the other has shown that it knows the network.
//  6. Whoever has the key of entry bodies and is no member any more, be it revoked, gone or
//     expired, does not get the next one, which an admin in reach makes.
//
// The package never opens a connection or a port, never reads the wall clock by
// itself, and knows nothing of entries: the caller gives it a stream whose other
// end is authenticated, a clock and a file name.
//
// What a clock decides: whether a grant has expired, which counts when a peer
// connects and when an admin hands out keys; and whether an invite has, which is
// judged by the later of the clock and what was signed (clock.go). It never decides which entries or records
// stand: that must be the same on every device, and clocks are not.
package member
