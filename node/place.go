package node

import (
	"bytes"
	"os"

	"github.com/zeebo/blake3"
)

const domainPlace = "numax 2026-11 place of a store"

// machineFiles name a machine. The serial number of a board goes first: cards
// are cloned with the machine-id on them.
var machineFiles = []string{
	"/sys/firmware/devicetree/base/serial-number",
	"/etc/machine-id",
	"/var/lib/dbus/machine-id",
}

// place is a hash of the machine and, where there is such a thing, of the inode
// of the store's directory: another one when the card was cloned, the directory
// copied or a backup put back. It is the same after a move on one file system;
// after another move the replica is a new author, which costs nothing.
func place(dir string) []byte {
	h := blake3.NewDeriveKey(domainPlace)
	for _, f := range machineFiles {
		if b, err := os.ReadFile(f); err == nil && len(bytes.TrimSpace(b)) > 0 {
			_, _ = h.Write(b)
			break
		}
	}
	_, _ = h.Write(inode(dir))
	return h.Sum(nil)[:16]
}
