//go:build !linux && !darwin && !freebsd

package node

func freeSpace(string) (bytes uint64, ok bool) { return 0, false }
