package blob

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/numax-mesh/numax/sandbox"
)

const (
	// maxFetches is how many blobs are fetched at once; more wait.
	maxFetches = 8
	// shunTime is how long a peer that broke off or was slow is asked after all others, and one that lied not at all.
	shunTime   = time.Minute
	maxShunned = 256 // beyond, the list begins anew
)

// fetch gets a blob from a connected peer, with the mark of a module. It asks one after the other; the error is
// sandbox.ErrNotFound when all have been asked, or sandbox.ErrQuota if it did not fit.
func (x *Exchange) fetch(ctx context.Context, h Hash, s *Session) error {
	done, err := x.takeOff(ctx, h)
	if err != nil {
		return err
	}
	defer done()
	if x.o.Store.Has(h) {
		return nil
	}
	err = sandbox.ErrNotFound
	for _, peer := range x.candidates() {
		got := x.fetchFrom(ctx, peer, h, s)
		var local localError
		switch {
		case got == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(got, &local):
			return local.error
		case errors.Is(got, sandbox.ErrQuota):
			err = got // if this is its size: another may say better
		case !errors.Is(got, errNotThere):
			x.blame(peer, h, got)
		}
	}
	return err
}

// takeOff waits until nobody else fetches the blob, and for a slot.
func (x *Exchange) takeOff(ctx context.Context, h Hash) (done func(), err error) {
	for {
		x.mu.Lock()
		other := x.flights[h]
		if other == nil {
			break
		}
		x.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	landed := make(chan struct{})
	x.flights[h] = landed
	x.mu.Unlock()
	land := func() {
		x.mu.Lock()
		delete(x.flights, h)
		x.mu.Unlock()
		close(landed)
	}
	select {
	case x.slots <- struct{}{}:
		return func() { <-x.slots; land() }, nil
	case <-ctx.Done():
		land()
		return nil, ctx.Err()
	}
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
	if len(x.shunned) >= maxShunned {
		clear(x.shunned)
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

func (x *Exchange) fetchFrom(ctx context.Context, peer string, h Hash, s *Session) error {
	opening, cancel := context.WithTimeout(ctx, askTime)
	stream, err := x.o.Net.Open(opening, peer)
	cancel()
	if err != nil {
		return errors.Join(errBroken, err)
	}
	l := newLine(ctx, stream)
	defer l.Close()
	if _, err := l.Write(h[:]); err != nil {
		return l.explain(errors.Join(errBroken, err))
	}
	w, err := x.o.Store.Create()
	if err != nil {
		return localError{err}
	}
	defer w.Discard()
	var reserved int64
	err = receive(l, h, w, func(size int64) error {
		reserved = Cost(size)
		if err := s.add(reserved); err != nil {
			reserved = 0
			return err
		}
		return nil
	}, l.part)
	s.pace.charge(w.Size())
	kept := false
	if err == nil {
		if kept, err = w.Keep(s.owner); err != nil {
			err = localError{err}
		}
	}
	if !kept && reserved > 0 {
		_ = s.add(-reserved)
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
