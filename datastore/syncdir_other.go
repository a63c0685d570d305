//go:build !unix

package datastore

// syncDir: elsewhere a directory cannot be synced, and need not be.
func syncDir(string) error { return nil }
