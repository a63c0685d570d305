// Package crdttest checks that the families of package crdt keep the laws of
// replicated data types: that histories of many authors, delivered in any
// causal order, as operations or as states, end in one state everywhere.
//
// It is for tests only and never part of a node.
package crdttest
