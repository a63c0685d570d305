// Package datastoretest holds the conformance suite of datastore and a disk
// that fails on demand. It is for tests only, and never touches files outside
// the test's temporary directories.
package datastoretest
