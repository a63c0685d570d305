// Package api is the HTTP API by which the command, and other programs on the
// machine, talk to a running node: JSON over a socket in the data directory,
// and over TCP with a token.
//
// It declares what it needs of a node and never imports one.
package api
