// Package node puts the rooms together: the datastore, the replica, the p2p
// host and the sandbox, with the API that the command talks to.
//
// It wires and adapts. What an op means is crdt's, how it gets elsewhere is
// replica's and p2p's, what a guest may do is sandbox's.
package node
