package blob

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"
)

const (
	// shunTime is how long a peer that broke off or was slow is asked after all others, and one that lied not at all.
	shunTime   = time.Minute
	maxShunned = 256 // beyond, who was shunned first is forgotten
)

// fetch gets a blob from a connected peer, with the mark of a module. The error is sandbox.ErrNotFound when all have
// been asked, or sandbox.ErrQuota if it did not fit.
func (x *Exchange) fetch(ctx context.Context, h Hash, s *Session) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	// Who waits for another's fetch of the blob holds no slot meanwhile.
	err := x.await(ctx, func() bool {
		if x.flights[h] || !x.fetches.take(s.owner, maxModuleFetches, maxFetches) {
			return false
		}
		x.flights[h] = true
		return true
	})
	if err != nil {
		return err
	}
	defer x.free(func() {
		delete(x.flights, h)
		x.fetches.give(s.owner)
	})
	if x.o.Store.Has(h) {
		return nil
	}
	r := &race{x: x, h: h, s: s, left: x.candidates()}
	return r.run(ctx)
}

// candidates are the peers in the order in which to ask: any, then those that are shunned, but for liars.
func (x *Exchange) candidates() (peers []string) {
	if x.o.Net == nil {
		return nil
	}
	all := slices.Clone(x.o.Net.Peers())
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	var late []string
	now := time.Now()
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, peer := range all {
		switch s := x.shunned[peer]; {
		case !now.Before(s.until):
			peers = append(peers, peer)
		case !s.liar:
			late = append(late, peer)
		}
	}
	return append(peers, late...)
}

// shun is of a peer that answered badly.
type shun struct {
	until time.Time
	liar  bool // sent what no honest node does, by accident or not
}

// blame notes what a peer did, and says so once while it is shunned.
func (x *Exchange) blame(peer string, h Hash, err error) {
	now := time.Now()
	liar := errors.Is(err, errWrong) || errors.Is(err, errOversize) || errors.Is(err, errMalformed)
	x.mu.Lock()
	before := x.shunned[peer]
	known := now.Before(before.until)
	if _, ok := x.shunned[peer]; !ok && len(x.shunned) >= maxShunned {
		x.forgetShun()
	}
	x.shunned[peer] = shun{now.Add(shunTime), liar || known && before.liar}
	x.mu.Unlock()
	switch {
	case liar:
		x.o.Log.Warn("a peer does not send what a blob is: if it goes on, numax-node swarm block it", "peer", peer, "blob", h, "err", err)
	case !known:
		x.o.Log.Info("a blob was not fetched from a peer", "peer", peer, "blob", h, "err", err)
	}
}

// forgetShun makes room for one more. mu is held.
func (x *Exchange) forgetShun() {
	var first string
	for peer, s := range x.shunned {
		if first == "" || s.until.Before(x.shunned[first].until) {
			first = peer
		}
	}
	delete(x.shunned, first)
}

// fetchFrom asks one peer, for a race.
func (x *Exchange) fetchFrom(ctx context.Context, a *attempt, r *race) error {
	opening, cancel := context.WithTimeout(ctx, askTime)
	stream, err := x.o.Net.Open(opening, a.peer)
	cancel()
	if err != nil {
		return errors.Join(errBroken, err)
	}
	l := newLine(ctx, stream)
	defer l.Close()
	if _, err := l.Write(r.h[:]); err != nil {
		return l.explain(errors.Join(errBroken, err))
	}
	w, err := x.o.Store.Create()
	if err != nil {
		return localError{err}
	}
	defer w.Discard()
	err = receive(l, r.h, w, func(size int64) error {
		a.size.Store(size)
		return r.reserve(size)
	}, func(n int64) {
		a.got.Store(w.Size())
		l.part(n)
	})
	r.s.pace.charge(w.Size())
	if err == nil {
		if err = r.keep(w); err != nil {
			err = localError{err}
		}
	}
	return l.explain(err)
}

// explain says that it was our patience that ended.
func (l *line) explain(err error) error {
	if l.late.Load() && errors.Is(err, errBroken) {
		return errSlow
	}
	return err
}
