// Package bus carries messages between modules, also across nodes.
package bus
