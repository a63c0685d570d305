package crdt

// Keys in byte order, sorted when somebody looks.

import "slices"

// sortedKeys holds distinct keys. Additions pile up unsorted until keys is
// called: writing costs nothing for order that nobody reads.
type sortedKeys struct {
	all    []string
	sorted int // all[:sorted] is in order
}

// add takes a key that is not held yet.
func (s *sortedKeys) add(k string) {
	if s.sorted == len(s.all) && (s.sorted == 0 || s.all[s.sorted-1] < k) {
		s.sorted++
	}
	s.all = append(s.all, k)
}

// keys returns the keys in order; valid until the next add.
func (s *sortedKeys) keys() []string {
	if s.sorted < len(s.all) {
		slices.Sort(s.all)
		s.sorted = len(s.all)
	}
	return s.all
}

// filter drops the keys for which keep is false.
func (s *sortedKeys) filter(keep func(string) bool) {
	s.all = slices.DeleteFunc(s.keys(), func(k string) bool { return !keep(k) })
	s.sorted = len(s.all)
}
