package node

import (
	"github.com/numax-mesh/numax/crdt/replica"
	"github.com/numax-mesh/numax/node/blob"
	"github.com/numax-mesh/numax/node/bus"
)

// Bus is what modules talk by.
func (n *Node) Bus() *bus.Bus { return n.bus }

// Blobs are those of the node's modules.
func (n *Node) Blobs() *blob.Exchange { return n.blobs }

// NetworkID is the id of the node's network.
func (n *Node) NetworkID() replica.NetworkID { return n.state.network }
