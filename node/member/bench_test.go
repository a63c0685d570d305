package member

import "testing"

// BenchmarkEvaluate is what a change of a network of 1,000 devices costs.
func BenchmarkEvaluate(b *testing.B) {
	w := newWorld(b)
	f := w.found()
	list := f.Roster().records
	for i := range 1000 {
		list = append(list, forge(b, f, ID{}, &Grant{Subject: Key{byte(i), byte(i >> 8), 1}, Role: Writer, Name: "device"}))
	}
	for b.Loop() {
		evaluate(f.Roster().genesis, list)
	}
}

// BenchmarkStanding is asked for every entry.
func BenchmarkStanding(b *testing.B) {
	w := newWorld(b)
	f := w.found()
	x := w.join(f, Writer)
	a := author(x, [8]byte{1})
	r := f.Roster()
	for b.Loop() {
		r.Standing([16]byte{1}, a)
	}
}
