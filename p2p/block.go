package p2p

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"
)

// maxBlocked bounds the peers that are blocked; more are refused.
const maxBlocked = 1024

// errBlocked is why a peer is not connected to.
var errBlocked = errors.New("it is blocked: unblock it first")

// blocked are the peers to have no connection with.
type blocked struct {
	mu  sync.Mutex // guards ids
	ids map[peer.ID]bool
}

func parseBlocked(list []string) (*blocked, error) {
	b := &blocked{ids: make(map[peer.ID]bool)}
	for _, s := range list {
		id, err := parsePeerID(s)
		if err == nil {
			err = b.add(id)
		}
		if err != nil {
			return nil, err
		}
	}
	return b, nil
}

func (b *blocked) add(id peer.ID) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.ids[id] && len(b.ids) >= maxBlocked {
		return fmt.Errorf("p2p: block %s: %d peers are blocked, which is the limit: unblock some", id, maxBlocked)
	}
	b.ids[id] = true
	return nil
}

func (b *blocked) has(id peer.ID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ids[id]
}

// Block closes the connections to a peer and lets none be opened, in either
// direction, until Unblock.
func (h *Host) Block(peerID string) error {
	id, err := parsePeerID(peerID)
	if err != nil {
		return err
	}
	if id == h.host.ID() {
		return fmt.Errorf("p2p: block %s: this is the node itself", peerID)
	}
	if err := h.blocked.add(id); err != nil {
		return err
	}
	return h.host.Network().ClosePeer(id)
}

// Unblock undoes Block. A known peer is dialled again.
func (h *Host) Unblock(peerID string) error {
	id, err := parsePeerID(peerID)
	if err != nil {
		return err
	}
	h.blocked.mu.Lock()
	delete(h.blocked.ids, id)
	h.blocked.mu.Unlock()
	h.known.soon(id)
	return nil
}

// Blocked are the blocked peers, in order.
func (h *Host) Blocked() []string {
	h.blocked.mu.Lock()
	defer h.blocked.mu.Unlock()
	ids := []string{}
	for id := range h.blocked.ids {
		ids = append(ids, id.String())
	}
	slices.Sort(ids)
	return ids
}

// CheckPeerID reports what is wrong with a peer id.
func CheckPeerID(s string) error {
	_, err := parsePeerID(s)
	return err
}

func parsePeerID(s string) (peer.ID, error) {
	id, err := peer.Decode(s)
	if err != nil {
		return "", fmt.Errorf("peer id %q: %w: want one such as 12D3KooW…, as a node prints it", s, err)
	}
	return id, nil
}
