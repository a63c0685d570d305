package crdttest

// The model: replicas of one object that write, exchange entries and states,
// and go through their own rows, with nothing in between.

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"github.com/numax-mesh/numax/crdt"
)

// Author returns an author whose bytes sort like name.
func Author(name string) crdt.Author {
	var b [crdt.AuthorSize]byte
	copy(b[:], name)
	return crdt.MakeAuthor(b)
}

// Entry is one author's ops and what they depend on.
type Entry struct {
	Author crdt.Author
	First  uint64
	Count  uint64
	Deps   crdt.Version // what the author had applied before
	Ops    []crdt.Op
	Saying Saying
}

// Replica holds one object and the causal context of it.
type Replica struct {
	Author  crdt.Author
	Version crdt.Version
	Object  crdt.Object
	Rows    map[string]string // as a store would keep them
	clock   crdt.Clock
	aging   aging
}

// NewReplica returns an empty replica.
func NewReplica(f crdt.Family, author crdt.Author) *Replica {
	o, err := crdt.New(f)
	if err != nil {
		panic(err)
	}
	return &Replica{Author: author, Version: crdt.Version{}, Object: o, Rows: map[string]string{}}
}

// Write numbers ops one after the other, each made on what the last left, and
// applies them.
func (r *Replica) Write(makeOps ...func() crdt.Op) (*Entry, error) {
	e := &Entry{Author: r.Author, First: r.Version[r.Author] + 1, Deps: r.Version.Clone(), Saying: r.say()}
	for _, makeOp := range makeOps {
		op := makeOp()
		op.Seq = e.First + e.Count
		if _, err := r.Object.Apply(r.Author, &op, r.Version); err != nil {
			return nil, err
		}
		e.Count += op.Width()
		r.Version[r.Author] = op.Seq + op.Width() - 1
		e.Ops = append(e.Ops, op)
	}
	return e, nil
}

// Ready reports whether e is new to r and everything it depends on is there.
func (r *Replica) Ready(e *Entry) bool {
	return r.Version[e.Author] < e.First && r.Version.Dominates(e.Deps)
}

// Deliver applies an entry that is ready.
func (r *Replica) Deliver(e *Entry) error {
	for i := range e.Ops {
		op := e.Ops[i]
		if _, err := r.Object.Apply(e.Author, &op, r.Version); err != nil {
			return err
		}
	}
	r.Version[e.Author] = e.First + e.Count - 1
	r.hear(e.Author, e.Saying)
	return nil
}

// Merge joins the state of another replica.
func (r *Replica) Merge(o *Replica) (changed bool, err error) {
	changed, err = r.Object.Merge(o.Object, r.Version, o.Version)
	r.Version.Merge(o.Version)
	for a, s := range o.aging.said {
		r.hear(a, s)
	}
	return changed, err
}

// Save writes the rows that changed.
func (r *Replica) Save() {
	r.Object.Flush(
		func(slot, cell []byte) { r.Rows[string(slot)] = string(cell) },
		func(slot []byte) { delete(r.Rows, string(slot)) })
}

// Clone returns a replica made from the rows of r, saved first.
func (r *Replica) Clone() (*Replica, error) {
	r.Save()
	c := NewReplica(r.Object.Family(), r.Author)
	c.Version, c.clock, c.aging = r.Version.Clone(), r.clock, r.aging
	c.aging.said = maps.Clone(r.aging.said)
	c.aging.closed = slices.Clone(r.aging.closed)
	c.Rows = maps.Clone(r.Rows)
	for _, slot := range slices.Sorted(maps.Keys(r.Rows)) {
		if err := c.Object.Load([]byte(slot), []byte(r.Rows[slot])); err != nil {
			return nil, err
		}
	}
	if err := c.Object.Loaded(); err != nil {
		return nil, err
	}
	if c.aging.horizon.Epoch > 0 {
		c.Object.Age(c.aging.horizon)
	}
	return c, nil
}

// Print returns the whole state in one form for all replicas that agree: what
// a reader sees, and the rows of a copy. Deletions of elements that did not
// come are left out: not every replica had to remember them.
func (r *Replica) Print() (string, error) {
	fresh := NewReplica(r.Object.Family(), r.Author)
	if _, err := fresh.Merge(r); err != nil {
		return "", err
	}
	var b bytes.Buffer
	b.WriteString(View(r.Object))
	if got, want := View(fresh.Object), View(r.Object); got != want {
		return "", fmt.Errorf("a copy shows %s, want %s", got, want)
	}
	fresh.Object.Age(crdt.Horizon{Stable: r.Version})
	fresh.Save()
	for _, slot := range slices.Sorted(maps.Keys(fresh.Rows)) {
		fmt.Fprintf(&b, "\n%q = %q", slot, fresh.Rows[slot])
	}
	return b.String(), nil
}

// View returns what a reader sees of an object.
func View(o crdt.Object) string {
	var b bytes.Buffer
	switch s := o.(type) {
	case *crdt.GCounterState:
		fmt.Fprint(&b, s.Value())
	case *crdt.PNCounterState:
		fmt.Fprint(&b, s.Value())
	case *crdt.RegisterState:
		v, ok := s.Get()
		fmt.Fprintf(&b, "%q %v", v, ok)
	case *crdt.MapState:
		fmt.Fprint(&b, s.Len())
		s.Range(func(field, value []byte) bool {
			fmt.Fprintf(&b, " %q=%q", field, value)
			return true
		})
	case *crdt.SetState:
		fmt.Fprint(&b, s.Len())
		s.Range(func(elem []byte) bool {
			fmt.Fprintf(&b, " %q", elem)
			return true
		})
	case *crdt.SequenceState:
		fmt.Fprint(&b, s.Len())
		s.Range(func(id crdt.Dot, value []byte) bool {
			fmt.Fprintf(&b, " %v=%q", id, value)
			return true
		})
	}
	return b.String()
}
