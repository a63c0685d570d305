//go:build unix

package node

import (
	"encoding/binary"
	"os"
	"syscall"
)

func inode(dir string) []byte {
	info, err := os.Stat(dir)
	if err != nil {
		return nil
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	return binary.BigEndian.AppendUint64(nil, uint64(s.Ino))
}
