package replica

import (
	"sync/atomic"
	"time"
)

// Stats counts what a replica did since it was opened.
type Stats struct {
	OpsLocal, OpsRemote         atomic.Uint64 // ops in entries of ours; ops applied of others
	EntriesLocal, EntriesRemote atomic.Uint64
	EntryBytes                  atomic.Uint64 // encoded size of our own entries
	Commits                     atomic.Uint64 // fsynced batches
	Rejected                    atomic.Uint64 // malformed or forged, blamed on the sender
	Ignored                     atomic.Uint64 // of another network or dataset
	Refused                     atomic.Uint64 // of authors that there is no room for
	Forks                       atomic.Uint64 // entries that contradict a log
	Repairs                     atomic.Uint64 // exchanges begun
	StatesJoined                atomic.Uint64 // whole states taken over
	TombstonesDropped           atomic.Uint64
	EntriesRepaired             atomic.Uint64 // entries that came over a sync stream and were news
	GossipIn, GossipOut         atomic.Uint64 // bytes
	SyncIn, SyncOut             atomic.Uint64 // bytes
}

// Stats are live counters.
func (r *Replica) Stats() *Stats { return &r.stats }

// PeerState is how far a peer is, as it last told us.
type PeerState struct {
	Peer    string
	Behind  uint64            // ops of shared datasets that we have and it has not
	Lag     map[string]uint64 // the same, for each of them, by name
	Equal   time.Time         // when its state and ours were last seen equal; zero = never
	Settled bool              // it has said that it holds what we hold now
}

// Peers are the peers with an open sync stream.
func (r *Replica) Peers() []PeerState {
	var states []PeerState
	r.eachSession(func(s *session) { states = append(states, s.state()) })
	return states
}

// Settled reports whether every peer with an open sync stream has said that it
// holds what this node holds.
func (r *Replica) Settled() bool {
	settled := r.queue.empty()
	r.eachSession(func(s *session) { settled = settled && s.settled() })
	return settled
}
