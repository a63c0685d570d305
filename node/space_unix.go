//go:build linux || darwin || freebsd

package node

import (
	"os"
	"path/filepath"
	"syscall"
)

// freeSpace is what is left for dir, or for where it will be.
func freeSpace(dir string) (bytes uint64, ok bool) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return 0, false
	}
	for abs != filepath.Dir(abs) {
		if _, err := os.Stat(abs); err == nil {
			break
		}
		abs = filepath.Dir(abs)
	}
	var s syscall.Statfs_t
	if syscall.Statfs(abs, &s) != nil {
		return 0, false
	}
	return uint64(s.Bavail) * uint64(s.Bsize), true
}
