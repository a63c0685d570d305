package replica

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// Times of the repair schedule.
const (
	gapWait   = 50 * time.Millisecond  // for gossip to deliver what a gap lacks
	gapRetry  = 200 * time.Millisecond // before another peer is asked
	gapTries  = 4                      // after which the beacons take over
	maxGaps   = 1024                   // gaps waited for; more are left to the beacons
	dialEvery = time.Second
	dialMin   = time.Second
	dialMax   = 30 * time.Second
	blameTime = 30 * time.Second // no stream with a peer that sent malformed bytes
)

// gap is a hole in the log that gossip showed.
type gap struct {
	d     *Dataset
	from  string // who is asked first
	tries int
	due   time.Time
}

// dial is the state of opening a stream to a peer.
type dial struct {
	running bool
	wait    time.Duration
	next    time.Time
	blamed  time.Time // no stream in either direction until then
}

// gap notes a hole that from's message showed.
func (r *Replica) gap(d *Dataset, from string, wait time.Duration) {
	select {
	case r.gaps <- gap{d: d, from: from, due: r.now().Add(wait)}:
	default:
	}
}

// PeersChanged tells the replica to look at Mesh.Peers now.
func (r *Replica) PeersChanged() { signal(r.kick) }

// repair keeps a session with every peer and closes gaps, until ctx ends.
func (r *Replica) repair(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	tick := time.NewTicker(dialEvery)
	defer tick.Stop()
	var gaps []gap
	gapTimer := time.NewTimer(time.Hour)
	defer gapTimer.Stop()
	for {
		r.dialPeers(ctx, &wg)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			r.eachSession((*session).checkStall)
			r.eachSession((*session).askProofs)
		case <-r.kick:
		case g := <-r.gaps:
			gaps = append(gaps, g)
		case <-gapTimer.C:
		}
		gaps = r.closeGaps(gaps)
		gapTimer.Reset(gapWait)
		if len(gaps) == 0 {
			gapTimer.Stop()
		}
	}
}

// closeGaps pulls for the gaps that are due and returns those to look at
// again.
func (r *Replica) closeGaps(gaps []gap) []gap {
	now := r.now()
	open := gaps[:0]
	asked := make(map[*Dataset]bool)
	for _, g := range gaps {
		switch {
		case now.Before(g.due):
			open = append(open, g)
			continue
		case asked[g.d] || g.tries >= gapTries || !g.d.hasGap() && g.tries > 0:
			continue
		}
		asked[g.d] = true
		if s := r.sessionFor(g.from, g.tries); s != nil {
			s.want(g.d)
		}
		g.tries++
		g.due = now.Add(gapRetry)
		open = append(open, g)
	}
	return open
}

func (d *Dataset) hasGap() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.parked.ahead) > 0
}

// sessionFor is the session with peer the first time, then with any.
func (r *Replica) sessionFor(peer string, try int) *session {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.sessions[peer]; s != nil && try == 0 {
		return s
	}
	all := make([]*session, 0, len(r.sessions))
	for _, s := range r.sessions {
		all = append(all, s)
	}
	if len(all) == 0 {
		return nil
	}
	return all[rand.IntN(len(all))]
}

// dialPeers opens a stream to every peer that has none. Of two peers the one
// with the smaller name opens it.
func (r *Replica) dialPeers(ctx context.Context, wg *sync.WaitGroup) {
	peers := r.mesh.Peers()
	self := r.mesh.Self()
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	present := make(map[string]bool, len(peers))
	for _, p := range peers {
		present[p] = true
		if self >= p || r.sessions[p] != nil {
			continue
		}
		d := r.dials[p]
		if d == nil {
			d = &dial{wait: dialMin}
			r.dials[p] = d
		}
		if d.running || now.Before(d.next) {
			continue
		}
		d.running = true
		wg.Go(func() { r.converse(ctx, p) })
	}
	for p, d := range r.dials {
		if !present[p] && !d.running && now.After(d.blamed) {
			delete(r.dials, p) // it starts afresh when it comes back
		}
	}
}

// converse opens a stream to a peer and talks until it ends.
func (r *Replica) converse(ctx context.Context, peer string) {
	stream, err := r.mesh.Open(ctx, peer)
	greeted := false
	if err == nil {
		greeted, err = r.talk(ctx, peer, stream)
	}
	gone := !slices.Contains(r.mesh.Peers(), peer)
	r.mu.Lock()
	defer r.mu.Unlock()
	d := r.dials[peer]
	if d == nil {
		return
	}
	d.running = false
	if greeted {
		d.wait = dialMin // it works; what broke it was the network
	}
	if gone && r.now().After(d.blamed) {
		delete(r.dials, peer) // it starts afresh when it comes back
		return
	}
	wait := d.wait
	d.wait = min(2*d.wait, dialMax)
	if errors.Is(err, errProtocol) {
		wait = blameTime
	}
	d.next = r.now().Add(wait)
	if d.blamed.After(d.next) {
		d.next = d.blamed
	}
}

// Serve talks over a sync stream that a peer opened, until it or ctx ends. It
// closes the stream.
func (r *Replica) Serve(ctx context.Context, peer string, stream io.ReadWriteCloser) error {
	r.mu.Lock()
	d := r.dials[peer]
	blamed := d != nil && r.now().Before(d.blamed)
	r.mu.Unlock()
	if blamed {
		_ = stream.Close()
		return errors.New("replica: this peer sent malformed bytes lately")
	}
	_, err := r.talk(ctx, peer, stream)
	return err
}

// talk runs a session. greeted means that the peer speaks our protocol and is
// of our network.
func (r *Replica) talk(ctx context.Context, peer string, stream io.ReadWriteCloser) (greeted bool, err error) {
	defer stream.Close()
	s := newSession(r, peer, stream)
	r.mu.Lock()
	old := r.sessions[peer]
	r.sessions[peer] = s
	r.mu.Unlock()
	if old != nil {
		_ = old.stream.Close()
	}
	err = s.run(ctx)
	r.mu.Lock()
	if r.sessions[peer] == s {
		delete(r.sessions, peer)
	}
	if errors.Is(err, ErrMalformed) {
		d := r.dials[peer]
		if d == nil {
			d = &dial{wait: dialMin}
			r.dials[peer] = d
		}
		d.blamed = r.now().Add(blameTime)
		d.next = d.blamed
	}
	r.mu.Unlock()
	switch {
	case errors.Is(err, ErrMalformed):
		r.log.Warn("closed a sync stream: the peer sent malformed bytes", "peer", peer, "err", err)
	case err != nil && ctx.Err() == nil:
		r.log.Debug("sync stream ended", "peer", peer, "err", err)
	}
	return s.greeted.Load(), err
}

// versionMoved makes every session's beacon come soon.
func (r *Replica) versionMoved() { r.eachSession((*session).moved) }

// datasetsChanged tells every peer which datasets there are now.
func (r *Replica) datasetsChanged() { r.eachSession((*session).sendDatasets) }

func (r *Replica) eachSession(f func(*session)) {
	r.mu.Lock()
	all := make([]*session, 0, len(r.sessions))
	for _, s := range r.sessions {
		all = append(all, s)
	}
	r.mu.Unlock()
	for _, s := range all {
		f(s)
	}
}
