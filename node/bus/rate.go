package bus

import "time"

// Rates, in messages and bytes a second; a burst is what they allow in a moment.
var (
	// ownRate is what this node may put into gossip: a quarter of what p2p reads from a peer.
	ownRate = rate{messages: 2000, bytes: 512 << 10, burstMessages: 2000, burstBytes: 1 << 20}
	// authorRate is what is taken of one author, who says no more than ownRate, but may come in lumps.
	authorRate = rate{messages: 4000, bytes: 1 << 20, burstMessages: 8000, burstBytes: 4 << 20}
	// peerRate is what is looked at of one peer, by gossip and by streams, whoever said it.
	peerRate = rate{messages: 8000, bytes: 4 << 20, burstMessages: 16000, burstBytes: 8 << 20}
	// againRate is what is sent to one node once more: it may be that nobody there ever wants it.
	againRate = rate{messages: 128, bytes: 256 << 10, burstMessages: 512, burstBytes: 2 << 20}
	// answersRate is what answers may take of ownRate that go by gossip, and askerRate what those to one node may.
	answersRate = rate{messages: 1000, bytes: 256 << 10, burstMessages: 1000, burstBytes: 512 << 10}
	askerRate   = rate{messages: 128, bytes: 64 << 10, burstMessages: 256, burstBytes: 256 << 10}
)

// maxPeers is how many peers' shares are remembered; beyond, who was silent longest begins anew.
const maxPeers = 1024

type rate struct{ messages, bytes, burstMessages, burstBytes float64 }

// budget is a pair of token buckets.
type budget struct {
	rate
	leftMessages, leftBytes float64
	last                    time.Time
}

func newBudget(r rate, now time.Time) budget {
	return budget{rate: r, leftMessages: r.burstMessages, leftBytes: r.burstBytes, last: now}
}

func (b *budget) gain(now time.Time) {
	passed := max(now.Sub(b.last).Seconds(), 0)
	b.last = now
	b.leftMessages = min(b.leftMessages+passed*b.messages, b.burstMessages)
	b.leftBytes = min(b.leftBytes+passed*b.bytes, b.burstBytes)
}

// allow takes one message of n bytes, if there is room.
func (b *budget) allow(n int, now time.Time) bool {
	b.gain(now)
	if b.leftMessages < 1 || b.leftBytes < float64(n) {
		return false
	}
	b.leftMessages--
	b.leftBytes -= float64(n)
	return true
}

// wait takes one message of n bytes, and says how long to wait before the next.
func (b *budget) wait(n int, now time.Time) time.Duration {
	b.gain(now)
	b.leftMessages--
	b.leftBytes -= float64(n)
	debt := max(-b.leftMessages/b.messages, -b.leftBytes/b.bytes, 0)
	return time.Duration(debt * float64(time.Second))
}
