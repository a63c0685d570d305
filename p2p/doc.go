// Package p2p puts a node on the network: a libp2p host, ways to find other
// nodes without configuration, gossip topics and direct streams.
//
// It never knows what a payload means: topics take a Validate function, streams
// a handler. Nor what makes a peer a member of a closed network: it asks
// Config.Admitted. Peers are named by their libp2p peer ID, as a string.
//
// A host whose listen addresses are all loopback sends nothing on any other
// interface: mDNS stays off, nothing else here multicasts, and a gate refuses
// to dial elsewhere (gate.go). The bootstrap peers that the user named are the
// exception.
package p2p
