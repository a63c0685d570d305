//go:build linux || darwin

package sandbox

import "syscall"

// reserve returns zeroed memory that costs nothing until it is touched.
func reserve(size uint64) ([]byte, error) {
	if size > uint64(^uint(0)>>1) {
		return nil, syscall.ENOMEM
	}
	return syscall.Mmap(-1, 0, int(size), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
}

func unreserve(b []byte) { _ = syscall.Munmap(b) } // fails only for what was not reserved
