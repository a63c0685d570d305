package p2p

import (
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// How fast gossip is read from one peer, whatever it is: to verify a signature,
// or to see that a message is garbage, takes more than to send it, and GossipSub
// goes on reading from a peer whose messages it drops. Beyond, the peer's own
// queue fills, and what it drops is repaired. A node puts entries into gossip at
// half of it.
const (
	gossipRate   = 2 << 20 // bytes a second
	gossipBurst  = 1 << 20
	maxThrottled = 1024 // peers whose share is remembered; beyond, all begin anew
)

// throttle are the shares of peers.
type throttle struct {
	mu     sync.Mutex // guards shares
	shares map[peer.ID]*share
}

func newThrottle() *throttle { return &throttle{shares: make(map[peer.ID]*share)} }

// stream is s at the speed of its peer, over all streams of it.
func (t *throttle) stream(s network.Stream) network.Stream {
	t.mu.Lock()
	defer t.mu.Unlock()
	id := s.Conn().RemotePeer()
	x := t.shares[id]
	if x == nil {
		if len(t.shares) >= maxThrottled {
			clear(t.shares)
		}
		x = &share{left: gossipBurst, last: time.Now()}
		t.shares[id] = x
	}
	return slowed{s, x}
}

// share is a token bucket.
type share struct {
	mu   sync.Mutex // guards the fields below
	left int        // bytes; below zero: to wait for
	last time.Time
}

// take takes n bytes, and says how long to wait for them.
func (x *share) take(n int, now time.Time) time.Duration {
	x.mu.Lock()
	defer x.mu.Unlock()
	gained := now.Sub(x.last).Seconds() * gossipRate
	x.last = now
	x.left = int(min(float64(x.left)+max(gained, 0), gossipBurst)) - n
	if x.left >= 0 {
		return 0
	}
	return time.Duration(-x.left) * time.Second / gossipRate
}

// slowed is a stream that is read at the speed of a share.
type slowed struct {
	network.Stream
	share *share
}

// Read implements io.Reader.
func (s slowed) Read(b []byte) (int, error) {
	n, err := s.Stream.Read(b)
	if wait := s.share.take(n, time.Now()); wait > 0 {
		time.Sleep(wait) // a moment: no more was read than buffers hold
	}
	return n, err
}
