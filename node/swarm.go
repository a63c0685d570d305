package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/numax-mesh/numax/node/api"
	"github.com/numax-mesh/numax/p2p"
)

var errNoNetwork = errors.New("this node has no network: it runs with --offline or --no-sync")

// Connect implements api.Swarm.
func (n *Node) Connect(ctx context.Context, addr string) error {
	if n.host == nil {
		return errNoNetwork
	}
	if _, err := p2p.ParsePeer(addr); err != nil {
		return fmt.Errorf("%w: %w", api.ErrUsage, err)
	}
	return n.host.Connect(ctx, addr)
}

// Disconnect implements api.Swarm.
func (n *Node) Disconnect(peer string) error {
	if err := n.canReach(peer); err != nil {
		return err
	}
	return n.host.Disconnect(peer)
}

// Ping implements api.Swarm.
func (n *Node) Ping(ctx context.Context, peer string) (api.Ping, error) {
	if err := n.canReach(peer); err != nil {
		return api.Ping{}, err
	}
	rtt, err := n.host.Ping(ctx, peer)
	return api.Ping{Peer: peer, RTT: float64(rtt.Microseconds()) / 1000}, err
}

func (n *Node) canReach(peer string) error {
	if err := p2p.CheckPeerID(peer); err != nil {
		return fmt.Errorf("%w: %w", api.ErrUsage, err)
	}
	if n.host == nil {
		return errNoNetwork
	}
	return nil
}

// Block implements api.Swarm.
func (n *Node) Block(peer string) error {
	if n.host != nil {
		if err := n.canReach(peer); err != nil {
			return err
		}
		if err := n.host.Block(peer); err != nil {
			return err
		}
	}
	return n.Lists.Block(peer)
}

// Unblock implements api.Swarm.
func (n *Node) Unblock(peer string) error {
	if err := n.Lists.Unblock(peer); err != nil || n.host == nil {
		return err
	}
	return n.host.Unblock(peer)
}

// AddBootstrap implements api.Swarm.
func (n *Node) AddBootstrap(addr string) error { return n.changeBootstrap(addr, true, n.bootstrapWith) }

// RemoveBootstrap implements api.Swarm.
func (n *Node) RemoveBootstrap(addr string) error {
	return n.changeBootstrap(addr, false, n.bootstrapWith)
}

// bootstrapWith has the host begin elsewhere, at once.
func (n *Node) bootstrapWith(values []string) error {
	if n.host == nil {
		return nil
	}
	return n.host.SetBootstrap(values)
}
