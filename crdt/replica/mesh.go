package replica

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// Mesh is what a replica needs of the network. Peers are named by opaque
// strings. Its methods are called concurrently and must not call back.
type Mesh interface {
	// Self is this node's own name among the peers.
	Self() string
	// Peers are the peers that can be reached just now.
	Peers() []string
	// Publish sends a gossip message to whoever follows the dataset. It may be
	// lost, and never blocks for long.
	Publish(dataset DatasetID, message []byte) error
	// Open opens a sync stream to a peer. Closing it ends both directions and
	// unblocks reads and writes.
	Open(ctx context.Context, peer string) (io.ReadWriteCloser, error)
}

const (
	inlineRate   = 1 << 20 // bytes of entries a second that gossip carries whole
	inlineBurst  = 2 << 20
	alwaysInline = 1 << 10 // a header is not much less
)

// bucket is a token bucket; rate is tokens a second. It is not safe for concurrent use.
type bucket struct {
	rate, burst int
	left        float64
	last        time.Time
}

func (b *bucket) take(now time.Time, n int) bool {
	gained := now.Sub(b.last).Seconds() * float64(b.rate)
	if b.last.IsZero() || gained < 0 {
		gained = float64(b.burst)
	}
	b.last = now
	b.left = min(b.left+gained, float64(b.burst))
	if b.left < float64(n) {
		return false
	}
	b.left -= float64(n)
	return true
}

type noMesh struct{}

func (noMesh) Self() string                    { return "" }
func (noMesh) Peers() []string                 { return nil }
func (noMesh) Publish(DatasetID, []byte) error { return nil }
func (noMesh) Open(context.Context, string) (io.ReadWriteCloser, error) {
	return nil, errors.New("no network")
}

// A gossip message is one byte that says what follows:
//
//	0 ‖ entry                                        up to MaxInline
//	1 ‖ uvarint len(header) ‖ header ‖ signature     of a larger entry
const (
	gossipEntry  = 0
	gossipHeader = 1
)

// Gossip sends each byte several times over, so under pressure only headers
// travel, and every peer pulls the rest once.
func (r *Replica) publish(d *Dataset, e *Entry) {
	kind, b := byte(gossipEntry), e.raw
	if len(b) > MaxInline || len(b) > alwaysInline && !r.inline.take(r.now(), len(b)) {
		kind, b = gossipHeader, e.head()
	}
	message := append([]byte{kind}, b...)
	if err := r.mesh.Publish(d.id, message); err != nil {
		r.log.Debug("gossip", "dataset", d.name, "err", err) // repair will carry it
		return
	}
	r.stats.GossipOut.Add(uint64(len(message)))
}

// splitGossip reads a message, but for the signature: that is over header.
func splitGossip(message []byte) (e *Entry, header []byte, err error) {
	if len(message) == 0 || message[0] > gossipHeader {
		return nil, nil, fmt.Errorf("%w: unknown kind of gossip", ErrMalformed)
	}
	return splitEntry(message[1:], message[0] == gossipHeader)
}
