package replica

import (
	"context"
	"encoding/binary"
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

// logStart is where an author's log begins, in a starts frame:
//
//	starts := id 16 ‖ n × (author 40 ‖ cut 8 ‖ id of the entry that ended there 32)
type logStart struct {
	author crdt.Author
	cut    uint64
	head   EntryID
}

const logStartSize = crdt.AuthorSize + 8 + len(EntryID{})

func decodeStarts(b []byte) ([]logStart, error) {
	if len(b)%logStartSize != 0 || len(b)/logStartSize > MaxDeps {
		return nil, fmt.Errorf("%w: starts frame of %d bytes", ErrMalformed, len(b))
	}
	list := make([]logStart, len(b)/logStartSize)
	for i := range list {
		p := b[i*logStartSize:]
		a, err := crdt.AuthorFromBytes(p[:crdt.AuthorSize])
		if err != nil {
			return nil, fmt.Errorf("%w: starts frame: %w", ErrMalformed, err)
		}
		list[i] = logStart{a, binary.BigEndian.Uint64(p[crdt.AuthorSize:]), EntryID(p[crdt.AuthorSize+8 : logStartSize])}
	}
	return list, nil
}

// sendStarts tells a peer that may not have states where logs begin that its
// version is below.
func (s *session) sendStarts(d *Dataset, version summary) {
	list := append([]byte(nil), d.id[:]...)
	d.mu.Lock()
	for a, l := range d.durable {
		if l.cut > version[d.hash(a)] && !d.isForked(a) {
			list = binary.BigEndian.AppendUint64(a.Append(list), l.cut)
			list = append(list, l.cutHead[:]...)
		}
	}
	d.mu.Unlock()
	s.send(frame(frameStarts, list))
}

// onStarts takes the word of one who may read, and so knows.
func (s *session) onStarts(ctx context.Context, p []byte) error {
	d, p, err := s.named(p)
	if err != nil || d == nil {
		return err
	}
	list, err := decodeStarts(p)
	if err != nil || s.r.haveKey() || !s.mayRead() {
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
func (d *Dataset) beginLogs(ctx context.Context, list []logStart) error {
	d.mu.Lock()
	begun := make(map[crdt.Author]logState)
	for _, x := range list {
		l, known := d.durable[x.author]
		if x.author == d.self || x.cut <= l.have || x.cut > d.stands(x.author) || d.isForked(x.author) ||
			!known && len(d.durable)+len(begun) >= MaxDeps-1 {
			continue
		}
		begun[x.author] = logState{logHead{have: x.cut, head: x.head, cut: x.cut, cutHead: x.head}, x.cut}
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
		d.parked.advanced(a)
	}
	d.digestValid = false
	return nil
}
