package blob

import "context"

// How many blobs are fetched and sent at once. Every slot belongs to somebody: a module or a peer that holds on to all
// of its own keeps no other from theirs. What finds none waits, within the time of its call. A stream holds one chunk of
// memory.
const (
	maxFetches       = 64 // on this node; each asks up to maxBeside peers
	maxModuleFetches = 4  // of one module
	maxPeerAsked     = 8  // streams to one peer, of all modules
	maxPeerModule    = 2  // of them, for one module

	maxServing    = 64 // answers under way; more wait for askTime
	maxPeerServed = 8  // of them, to one peer
	// maxPeerStreams is how many streams a peer may have here; its last ones may not have ended here yet. Beyond, a
	// stream is closed at once.
	maxPeerStreams = 2 * maxPeerAsked
)

// slots counts who holds what. Exchange.mu guards it.
type slots struct {
	all  int
	held map[string]int
}

func (s *slots) take(who string, most, mostAll int) bool {
	if s.all >= mostAll || s.held[who] >= most {
		return false
	}
	if s.held == nil {
		s.held = make(map[string]int)
	}
	s.all++
	s.held[who]++
	return true
}

func (s *slots) give(who string) {
	s.all--
	if s.held[who]--; s.held[who] == 0 {
		delete(s.held, who)
	}
}

// await waits until try, which is called with mu held, says yes.
func (x *Exchange) await(ctx context.Context, try func() bool) error {
	for {
		x.mu.Lock()
		ok, freed := try(), x.freed
		x.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-freed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// free gives something back, and wakes those who wait for a slot.
func (x *Exchange) free(give func()) {
	x.mu.Lock()
	defer x.mu.Unlock()
	give()
	close(x.freed)
	x.freed = make(chan struct{})
}

// release is closed when a slot is given back.
func (x *Exchange) release() <-chan struct{} {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.freed
}

// call takes a slot to ask a peer for a module, if there is one; hangUp gives it back.
func (x *Exchange) call(peer, owner string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.askedFor.take(peer+"\x00"+owner, maxPeerModule, maxFetches*maxBeside) {
		return false
	}
	if !x.asked.take(peer, maxPeerAsked, maxFetches*maxBeside) {
		x.askedFor.give(peer + "\x00" + owner)
		return false
	}
	return true
}

func (x *Exchange) hangUp(peer, owner string) {
	x.free(func() {
		x.asked.give(peer)
		x.askedFor.give(peer + "\x00" + owner)
	})
}
