package bench

import (
	"time"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/crdt/replica"
)

// aloneOps is how many edits of a trace make a body.
const aloneOps = 16_384

// replayAlone is a trace on the data type with nothing around it: no replica,
// no lock, no disk.
type replayAlone struct {
	replay, merge time.Duration // merge: decode the bodies and apply them elsewhere
	bytes         int64         // of the bodies, not compressed
}

func (r *replayAlone) run(all []update) error {
	author := someAuthors()[0]
	began := time.Now()
	if err := replayAll(all, author, func(crdt.Op) {}); err != nil {
		return err
	}
	r.replay = time.Since(began)

	var ops []crdt.Op // kept in a second replay: to keep them takes as long as to make them
	if err := replayAll(all, author, func(op crdt.Op) { ops = append(ops, op) }); err != nil {
		return err
	}
	type part struct {
		body         []byte
		first, count uint64
	}
	var parts []part
	for len(ops) > 0 {
		n := min(aloneOps, len(ops))
		last := ops[n-1]
		x := part{first: ops[0].Seq, count: last.Seq + last.Width() - ops[0].Seq}
		var err error
		x.body, err = crdt.EncodeBody([]crdt.Group{{Family: crdt.Sequence, Key: []byte("text"), Ops: ops[:n]}}, author, x.first, 0)
		if err != nil {
			return err
		}
		r.bytes += int64(len(x.body))
		parts, ops = append(parts, x), ops[n:]
	}

	began = time.Now()
	other, err := crdt.New(crdt.Sequence)
	if err != nil {
		return err
	}
	v := crdt.Version{}
	for _, x := range parts {
		groups, err := crdt.DecodeBody(x.body, author, x.first, x.count, 0)
		if err != nil {
			return err
		}
		for i := range groups[0].Ops {
			op := &groups[0].Ops[i]
			if _, err := other.Apply(author, op, v); err != nil {
				return err
			}
			v[author] = op.Seq + op.Width() - 1
		}
	}
	r.merge = time.Since(began)
	return nil
}

func replayAll(all []update, author crdt.Author, made func(crdt.Op)) error {
	seq, err := crdt.New(crdt.Sequence)
	if err != nil {
		return err
	}
	next := uint64(1)
	for _, make := range all {
		op, _ := make(seq, replica.Now{Author: author})
		op.Seq = next
		next += op.Width()
		if _, err := seq.Apply(author, &op, nil); err != nil { // a sequence has no use for the version
			return err
		}
		made(op)
	}
	return nil
}
