package replica

import "sync/atomic"

// Decoding. A body takes many times its bytes once it is decoded, so:
//
//	to decode     one entry a CPU at a time, of whoever it is
//	decoded       maxHeld bytes in all; beyond, what is not applied at once is
//	              decoded a second time when its turn comes
//	parked        not decoded
const maxHeld = 16 << 20

// held counts the bytes of a replica's decoded bodies.
type held struct{ bytes atomic.Int64 }

// decodedSize is about what a decoded body takes in memory.
func (e *Entry) decodedSize() int64 {
	n := int64(0)
	for i := range e.groups {
		g := &e.groups[i]
		n += 160 + int64(len(g.Key)+len(g.Raw)+24*len(g.Runs)+176*len(g.Ops))
		for j := range g.Ops {
			op := &g.Ops[j]
			n += int64(len(op.Field) + len(op.Value) + 24*len(op.Dots) + 25*len(op.Values))
		}
	}
	return n
}

// check verifies an entry and decodes its body, in the order of what they cost.
// The decoded body is kept if there is room for it; shed it in the end.
func (r *Replica) check(from string, e *Entry, header []byte) error {
	defer r.turns.take(from)()
	if header != nil {
		if err := e.verify(header); err != nil {
			return err
		}
	}
	if e.headOnly {
		return nil
	}
	if err := e.decodeBody(r.keys); err != nil {
		return err
	}
	n := e.decodedSize()
	if r.held.bytes.Add(n) > maxHeld {
		r.held.bytes.Add(-n)
		e.groups = nil
		return nil
	}
	e.held, e.size = &r.held, n
	return nil
}

// decode makes the body of an accepted entry available, to apply it.
func (r *Replica) decode(e *Entry) error {
	if e.groups != nil {
		return nil
	}
	defer r.turns.take("")()
	return e.decodeBody(r.keys)
}

// shed lets go of the decoded body.
func (e *Entry) shed() {
	if e.held != nil {
		e.held.bytes.Add(-e.size)
		e.held, e.size = nil, 0
	}
	e.groups = nil
}

// work is about what it takes to apply a decoded entry and to write what it
// changes, in bytes of an equally costly large value.
func (e *Entry) work() int {
	n := len(e.raw)
	for i := range e.groups {
		n += 64 * (1 + len(e.groups[i].Ops))
		for j := range e.groups[i].Ops {
			op := &e.groups[i].Ops[j]
			n += len(op.Value) + 32*(len(op.Dots)+len(op.Values))
		}
	}
	return n
}

// admit refuses what needs no verification and no decoding to be refused: entries
// of other networks and datasets, and in a closed network what is not under a key.
func (r *Replica) admit(dataset DatasetID, e *Entry) error {
	switch {
	case e.Network != r.network || e.Dataset != dataset:
		return errForeign
	case r.keys != nil && len(e.KeyID) == 0:
		return errPlainBody
	case r.keys == nil && r.authorize == nil && len(e.KeyID) > 0:
		return errSealedBody
	}
	return nil
}

// lacksKey reports whether the body is under a key that this node does not have.
func (r *Replica) lacksKey(e *Entry) bool {
	return len(e.KeyID) > 0 && (r.keys == nil || r.keys.Find(KeyID(e.KeyID)) == nil)
}
