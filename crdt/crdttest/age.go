package crdttest

// Forgetting: replicas that age whenever they like must look like replicas
// that never forget.

import (
	"slices"

	"pgregory.net/rapid"

	"github.com/numax-mesh/numax/crdt"
)

// aging is what a replica knows of what others know, from what they said in
// the entries it has.
type aging struct {
	horizon crdt.Horizon
	closed  []crdt.Version         // closed[i]: what was applied when epoch i+1 ended
	said    map[crdt.Author]Saying // the latest of each author
}

// Saying is what an author says of itself in an entry.
type Saying struct {
	Applied crdt.Version // what it had applied
	Dead    crdt.Version // what of it is deleted is no origin of its any more
}

func (r *Replica) say() Saying {
	s := Saying{Applied: r.Version.Clone()}
	if n := r.aging.horizon.Dead; n > 0 {
		s.Dead = r.aging.closed[n-1]
	}
	return s
}

func (r *Replica) hear(a crdt.Author, s Saying) {
	if r.aging.said == nil {
		r.aging.said = map[crdt.Author]Saying{}
	}
	if old := r.aging.said[a]; s.Applied.Dominates(old.Applied) {
		if !s.Dead.Dominates(old.Dead) {
			s.Dead = old.Dead
		}
		r.aging.said[a] = s
	}
}

// meet returns what all versions have.
func meet(versions []crdt.Version) crdt.Version {
	m := versions[0].Clone()
	for a := range m {
		for _, v := range versions {
			m[a] = min(m[a], v[a])
		}
	}
	return m
}

// Age lets r forget what is stable among authors, and starts a new epoch.
func (r *Replica) Age(authors []crdt.Author) (dropped, left int) {
	g := &r.aging
	var applied, dead []crdt.Version
	for _, a := range authors {
		s := g.said[a]
		if a == r.Author {
			s = r.say()
		}
		applied, dead = append(applied, s.Applied), append(dead, s.Dead)
	}
	h := &g.horizon
	h.Stable, h.Before = meet(applied), crdt.HLCFromTime(4)
	g.closed = append(g.closed, r.Version.Clone())
	h.Epoch = uint32(len(g.closed)) + 1
	upTo := func(v crdt.Version, n uint32) uint32 {
		for int(n) < len(g.closed) && v.Dominates(g.closed[n]) {
			n++
		}
		return n
	}
	h.Dead, h.Gone = upTo(h.Stable, h.Dead), upTo(meet(dead), h.Gone)
	return r.Object.Age(*h)
}

// checkAge plays a history in which replicas age, and compares each after
// every step with one that applied the same and never forgot.
func checkAge(t *rapid.T, f crdt.Family) {
	w := &world{t: t}
	var authors []crdt.Author
	for _, n := range names {
		w.replicas = append(w.replicas, NewReplica(f, Author(n)))
		authors = append(authors, Author(n))
	}
	check := func(r *Replica) {
		if got, want := View(r.Object), View(w.never(r).Object); got != want {
			t.Fatalf("%v: got %s, want what never forgot: %s", r.Author, got, want)
		}
	}
	age := func(r *Replica) {
		_, left := r.Age(authors)
		if dropped, again := r.Object.Age(r.aging.horizon); dropped > 0 || again != left {
			t.Fatalf("aged again: %d went, %d stay, want none and %d", dropped, again, left)
		}
	}
	late := NewReplica(f, Author("late"))
	for range w.int(1, 40, "steps") {
		r := w.replicas[w.int(0, len(w.replicas)-1, "replica")]
		switch w.int(0, 10, "action") {
		default:
			w.step(r)
		case 10: // one who had no say joins in
			_, err := late.Merge(r)
			w.must(err)
			check(late)
			w.typeAt(late)
			w.write(late)
			check(late)
			for _, x := range w.replicas {
				w.deliverAll(x)
			}
		case 6:
			age(r)
		case 7:
			w.typeAt(r)
		case 8, 9: // all talk to each other
			for _, i := range newOrder(w, len(w.replicas)) {
				x := w.replicas[i]
				w.deliverAll(x)
				age(x)
				w.write(x)
				check(x)
			}
		}
		check(r)
	}
	fresh := NewReplica(f, Author("fresh"))
	states := NewReplica(f, Author("states"))
	w.deliverAll(fresh)
	for _, i := range newOrder(w, len(w.replicas)) {
		_, err := states.Merge(w.replicas[i])
		w.must(err)
	}
	for _, r := range w.replicas {
		w.deliverAll(r)
	}
	for _, r := range append(w.replicas, states) {
		if got, want := View(r.Object), View(fresh.Object); got != want {
			t.Fatalf("%v at the end: got %s, want %s", r.Author, got, want)
		}
	}
}

// never returns a replica that applied what r did, by ops, and never forgot.
func (w *world) never(r *Replica) *Replica {
	n := NewReplica(r.Object.Family(), Author("never"))
	for progress := true; progress; {
		progress = false
		for _, e := range w.log {
			if r.Version[e.Author] >= e.First && n.Ready(e) {
				w.must(n.Deliver(e))
				progress = true
			}
		}
	}
	return n
}

// typeAt inserts at an index of a sequence, where it must then be.
func (w *world) typeAt(r *Replica) {
	s, ok := r.Object.(*crdt.SequenceState)
	if !ok {
		return
	}
	ids := func() (all []crdt.Dot) {
		s.Range(func(id crdt.Dot, _ []byte) bool {
			all = append(all, id)
			return true
		})
		return all
	}
	pos := w.int(0, s.Len(), "type at")
	before, typed := ids(), crdt.Dot{Author: r.Author, Seq: r.Version[r.Author] + 1}
	w.send(r, func() crdt.Op { return s.InsertAt(pos, [][]byte{[]byte("t")}) })
	got := ids()
	if !slices.Contains(got, typed) {
		return // somebody deleted it beforehand
	}
	if want := slices.Insert(before, pos, typed); !slices.Equal(got, want) {
		w.t.Fatalf("typed at %d: got %v, want %v", pos, got, want)
	}
}
