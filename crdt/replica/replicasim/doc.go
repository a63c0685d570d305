// Package replicasim runs whole meshes of replicas in virtual time, under
// faults drawn from a seed, and checks what must hold afterwards. It has tests
// only, and never opens a socket or touches a file.
//
// Each seed is one world: 3 to 9 replicas of 1 or 2 datasets in a
// testing/synctest bubble, over a simulated mesh and simulated disks.
//
//	         plan (seed) ─► links: loss, delay, reordering, duplicates, partitions,
//	                        one-way links, slow peers, streams cut in mid-frame
//	                     ─► nodes: crash with torn writes, stop, long absence, late start
//	                        with an empty disk, wrong and drifting clocks
//	                     ─► disks: failing writes, short writes, failing fsyncs
//	        shape (seed) ─► half of the worlds: logs kept for seconds, so that they are cut,
//	                        epochs closed, tombstones dropped, whole states joined
//	                     ─► a sixth: a disk is copied: a backup restored, or two live
//	                        nodes of one identity
//	                     ─► a fourth: an enemy is a peer of all (enemy_test.go)
//	workers (seed) ─► Update, Keys.Set, DeleteElement, Sync ─► journal ─┐
//	                                                                    ▼
//	    faults end ─► converge in bounded virtual time ─► laws, oracle ─► idle ─► restart ─► laws again
//	                                │
//	                                └ after a fork: Resync along a tree ─► equal states, all write on
//
// The laws: all replicas have equal versions and visible state, and equal logs
// as far as two hold the same part, without holes behind their cuts; the state
// is what an oracle, which never forgets, makes of the ops that survived;
// nothing that Sync acknowledged is missing; a crash keeps a prefix of what a
// node accepted, db_* writes included; whatever was announced is in the logs, or
// was until they were cut, and no seq has two entries; nobody is blamed; equal
// replicas are silent. Where a disk was copied, all know of the fork or the copy
// writes on as a new author, and of what others wrote nothing is lost.
//
// Beside the seeds there are worlds of one purpose: fifty nodes and a partition
// (fifty_test.go), hours of churn in which nothing may grow (soak_test.go), and
// peers that replay, flood, stall, forge and sign two logs (dishonest_test.go).
//
// # What replays
//
// The plan, the workload and the fate of the n-th message of each link come
// from the seed, and time is virtual. The order in which goroutines run between
// two instants of that time is Go's to choose, as are map iteration and select,
// and replica ids are drawn by the replica itself: a seed repeats the scenario,
// not the interleaving. A failure that needs a rare interleaving may take
// several runs to come back; TIMES does that.
//
//	make sim SEED=17            one seed, with its plan
//	make sim SEED=17 TIMES=50   again and again
//	make sim SEEDS=100000       more; heap and goroutines every 50 seeds
//	make soak HOURS=24          what grows
//
// # What is known not to hold
//
// A replica waits with forgetting a removal from a map until all authors it
// knows have signed that they applied it. An author that nobody has heard of may
// have written the same field before it heard of the removal, with an older
// stamp: where the removal is forgotten the field comes back, where it is not it
// stays away, until a resync. So in worlds that forget, nodes write to maps only
// when somebody has heard of them. make sim STRANGERS=1 lets them write at any
// time; one or two seeds of a hundred then fail.
//
// A fork behind the cuts of all who could compare the two logs cannot be proven.
//
// # What is not simulated
//
// Lying or corrupting disks (a synced byte stays), reordered metadata
// operations of a file system, the moment in which goleveldb's new manifest is
// current and not yet synced, wall clocks that are set while a replica runs
// (they are at a restart), the time that computing takes (a flood costs memory
// and bandwidth here, but no CPU time), full hosts with libp2p, snapshot files.
package replicasim
