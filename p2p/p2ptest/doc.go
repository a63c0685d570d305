// Package p2ptest holds nodes to what they promise of real networks: it builds
// LANs, routers and cables of Linux network namespaces and runs the command in
// them. It has tests alone, which need root and NUMAX_NET_TESTS=1:
//
//	make test-net
package p2ptest
