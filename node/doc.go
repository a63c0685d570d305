// Package node puts the rooms together: the datastore, the replica, the p2p
// host and the sandbox, with the API that the command talks to.
//
// Where to look:
//
//	a node from Open to Run   node, config, store, mesh
//	what commands ask         data, roster, snapshot, export, swarm, doctor, lists
//	guests                    run, guest
//	closed networks           closed, membership, join; package member
//
// It wires and adapts. What an op means is crdt's, how it gets elsewhere is
// replica's and p2p's, what a guest may do is sandbox's.
package node
