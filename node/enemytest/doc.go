// Package enemytest besieges a mesh of three real nodes with a hostile peer, and checks that the
// honest ones do not notice. It has tests only, and its network is loopback.
//
//	honest a ── b ── c      each writes under keys of its own, reads all, asks its status
//	       ╲   │   ╱
//	         enemy          gossip of entries and of messages, sync, rpc, blob and member streams;
//	                        an identity of a second or two, then the next
//
// What the enemy says comes from a seed, and is one of
//
//	valid         entries of many authors with ops of every family, states with their seal, frames
//	nearly valid  the same with one field changed, and signed again where that makes it worse
//	absurd        random bytes, half frames, silent streams, floods, proofs against nobody
//
// The laws: nobody but its writer changes what an honest node wrote, and all three show it, also
// after a restart; a local write is on disk within 2 s and usually as soon as ever; status answers
// within 2 s; the heap stays under a bound and does not grow; nodes stop within 10 s, and leave no
// goroutine behind.
//
// The seed repeats what the enemy draws, not when it is heard. A seed that fails says how to run it
// again.
package enemytest
