package replica

import (
	"context"
	"errors"
	"fmt"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/datastore"
)

// A relay that comes when logs were cut cannot have the state that stands for
// what is gone. It is told where the logs begin, and keeps what comes from there
// on:
//
//	log of author a, here:   ┄┄ cut ──── entries ──── have
//	at the relay, before:    ──┤
//	and then:                     cut ── entries ──── have
//
// Its objects stay empty, so it is marked as lacking something: should it be given
// a key one day, it asks for a state.

// decodeStarts reads a starts frame, and verifies the heads of logs that are news:
//
//	starts := id 16 ‖ n × head of the entry that a log was cut behind
func decodeStarts(b []byte, news func(*Entry) bool) (list []*Entry, err error) {
	for len(b) > 0 {
		e, header, rest, err := cutHead(b)
		if err == nil && news(e) {
			if err = e.verify(header); err == nil {
				list = append(list, e)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("%w: starts frame: %w", ErrMalformed, err)
		}
		b = rest
	}
	return list, nil
}

// sendStarts tells a peer that may not have states where logs begin that its
// version is below: as many as one frame holds; its next want gets the others.
func (s *session) sendStarts(d *Dataset, version summary) error {
	var authors []crdt.Author
	d.mu.Lock()
	for a, l := range d.durable {
		if l.cut > version[d.hash(a)] && !d.isForked(a) {
			authors = append(authors, a)
		}
	}
	d.mu.Unlock()
	list := append([]byte(nil), d.id[:]...)
	for _, a := range authors {
		id := a.Bytes()
		signed, err := s.r.store.Get(datastore.HeadKey(d.id, id[:]))
		if errors.Is(err, datastore.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if len(list)+len(signed) > maxFrame-64 {
			break
		}
		list = append(list, signed...)
	}
	s.send(frame(frameStarts, list))
	return nil
}

// onStarts begins logs where one who may read has them from, and their authors
// signed that they came so far.
func (s *session) onStarts(ctx context.Context, p []byte) error {
	d, p, err := s.named(p)
	if err != nil || d == nil {
		return err
	}
	if s.r.haveKey() || !s.mayRead() {
		return nil
	}
	list, err := decodeStarts(p, func(e *Entry) bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return e.Network == s.r.network && e.Dataset == d.id && e.Last() > d.logs[e.Author].have
	})
	if err != nil || len(list) == 0 {
		return err
	}
	err = s.r.exclusively(ctx, func(ctx context.Context) error { return d.beginLogs(ctx, list) })
	if errors.Is(err, ErrClosed) {
		return err
	}
	s.r.report("begin logs of dataset "+d.name, err)
	return nil
}

// beginLogs moves logs up to where others have theirs from. Replica.cut is held
// whole and nothing is on its way to disk.
func (d *Dataset) beginLogs(ctx context.Context, list []*Entry) error {
	d.mu.Lock()
	begun := make(map[crdt.Author]logState)
	heads := make(map[crdt.Author][]byte)
	for _, x := range list {
		l, known := d.durable[x.Author]
		at := x.Last()
		if x.Author == d.self || at <= l.have || at > d.stands(x.Author) || d.isForked(x.Author) ||
			!known && (len(d.durable)+len(begun) >= MaxDeps-1 || !d.hasRoom(x.Author)) {
			continue
		}
		begun[x.Author] = logState{logHead{have: at, head: x.ID, cut: at, cutHead: x.ID}, at}
		heads[x.Author] = x.head()
	}
	if len(begun) == 0 {
		d.mu.Unlock()
		return nil
	}
	d.care.broken = true
	var b datastore.Batch
	b.Put(datastore.UpkeepKey(d.id), d.care.append(nil))
	for a, l := range begun {
		id := a.Bytes()
		b.Put(datastore.VersionKey(d.id, id[:]), l.append(nil))
		b.Put(datastore.HeadKey(d.id, id[:]), heads[a])
	}
	d.mu.Unlock()
	if err := d.r.write(ctx, &b); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for a, l := range begun {
		d.parked.forget(a)
		d.restore(a, l)
		d.parked.advanced(a, l.applied)
	}
	d.digestValid = false
	return nil
}
