// Package replicasim runs whole meshes of replicas in virtual time, under
// faults drawn from a seed, and checks what must hold afterwards. It has tests
// only, and never opens a socket or touches a file.
//
// Each seed is one world: 3 to 6 replicas of 1 or 2 datasets in a
// testing/synctest bubble, over a simulated mesh and simulated disks.
//
//	         plan (seed) ─► links: loss, delay, reordering, duplicates, partitions,
//	                        one-way links, slow peers, streams cut in mid-frame
//	                     ─► nodes: crash with torn writes, stop, wrong and drifting clocks
//	                     ─► disks: failing writes, short writes, failing fsyncs
//	workers (seed) ─► Update, Keys.Set, DeleteElement, Sync ─► journal ─┐
//	                                                                    ▼
//	    faults end ─► converge in bounded virtual time ─► laws, oracle ─► idle ─► restart ─► laws again
//
// The laws: all replicas have equal versions, logs and visible state; the state
// is what an oracle makes of the ops that survived; nothing that Sync
// acknowledged is missing; a crash keeps a prefix of what a node accepted,
// db_* writes included; whatever was announced is in every log, so that no seq
// has two entries; nobody is blamed; equal replicas are silent.
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
//	make sim SEEDS=100000       a soak; heap and goroutines every 50 seeds
//
// # What is not simulated
//
// Lying or corrupting disks (a synced byte stays), reordered metadata
// operations of a file system, the moment in which goleveldb's new manifest is
// current and not yet synced, wall clocks that are set while a replica runs
// (they are at a restart), dishonest peers, full hosts with libp2p, compaction
// and snapshots.
package replicasim
