// Command kvcounter counts its runs in the module's private keys: kept on disk, and never sent to another node.
package main

import (
	"encoding/binary"

	nx "github.com/numax-mesh/numax/sandbox/sdk/go"
)

var runs = []byte("kvcounter/runs")

func main() {
	stored, ok, err := nx.Get(runs)
	if err != nil {
		nx.Abort("read the count: " + err.Error())
	}
	n := uint64(1)
	if ok && len(stored) == 8 {
		n += binary.BigEndian.Uint64(stored)
	}
	if err := nx.Put(runs, binary.BigEndian.AppendUint64(nil, n)); err != nil {
		nx.Abort("write the count: " + err.Error())
	}
	if err := nx.Commit(); err != nil {
		nx.Abort("make sure of it: " + err.Error())
	}
	nx.Logf("run %d on this node", n)
}
