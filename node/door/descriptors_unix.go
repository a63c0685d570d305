//go:build unix

package door

import (
	"math"
	"syscall"
)

// descriptors is how many files and connections the process may have open.
func descriptors() int {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return 1024 // what most systems begin with
	}
	return int(min(uint64(limit.Cur), math.MaxInt32)) // of int64 on some systems
}
