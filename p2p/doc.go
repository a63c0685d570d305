// Package p2p puts a node on the network: a libp2p host, ways to find other
// nodes without configuration, gossip topics and direct streams.
//
// It never knows what a payload means: topics take a Validate function, streams
// a handler. Peers are named by their libp2p peer ID, as a string.
//
// A host whose listen addresses are all loopback sends nothing on any other
// interface: mDNS stays off, and nothing else here multicasts.
package p2p
