package nx

import "encoding/binary"

// GCounter is a replicated counter that only grows. It stops at the largest uint64.
type GCounter string

// Add increments the counter.
func (c GCounter) Add(delta uint64) error { return check(gcounterInc(string(c), delta)) }

// Value is the sum over all nodes, as far as this one knows; 0 if nobody added anything.
func (c GCounter) Value() (uint64, error) {
	var out [8]byte
	code := gcounterValue(string(c), out[:])
	return binary.LittleEndian.Uint64(out[:]), check(code)
}

// PNCounter is a replicated counter that goes both ways.
type PNCounter string

// Add moves the counter by delta, up or down.
func (c PNCounter) Add(delta int64) error {
	if delta < 0 {
		return check(pncounterDec(string(c), -uint64(delta)))
	}
	return check(pncounterInc(string(c), uint64(delta)))
}

// Value is the sum over all nodes, as far as this one knows; 0 if nobody added anything.
func (c PNCounter) Value() (int64, error) {
	var out [8]byte
	code := pncounterValue(string(c), out[:])
	return int64(binary.LittleEndian.Uint64(out[:])), check(code)
}

// Register is one replicated value; the last write wins.
type Register string

// Set writes the value. It wins over every write this node has seen.
func (r Register) Set(value []byte) error { return check(lwwSet(string(r), value)) }

// Get reads the value; ok is false when nobody ever set one.
func (r Register) Get() (value []byte, ok bool, err error) {
	return pull(func(out []byte) int32 { return lwwGet(string(r), out) })
}

// Map is a replicated map from fields to values; for every field the last write wins, and a removal is a write.
type Map string

// Set writes a field.
func (m Map) Set(field string, value []byte) error { return check(mapSet(string(m), field, value)) }

// Remove removes a field.
func (m Map) Remove(field string) error { return check(mapRemove(string(m), field)) }

// Get reads a field; ok is false when it is absent.
func (m Map) Get(field string) (value []byte, ok bool, err error) {
	return pull(func(out []byte) int32 { return mapGet(string(m), field, out) })
}

// Contains says whether the field is there.
func (m Map) Contains(field string) (bool, error) { return yes(mapContains(string(m), field)) }

// Entry is a field of a Map.
type Entry struct {
	Field string
	Value []byte
}

// Entries lists the fields that are there, sorted by their bytes.
func (m Map) Entries() ([]Entry, error) {
	data, _, err := pull(func(out []byte) int32 { return mapEntries(string(m), out) })
	var list []Entry
	each(data, func(r *rows) { list = append(list, Entry{string(r.field()), r.field()}) })
	return list, err
}

// Set is a replicated set of strings. An addition that happens beside a removal survives it.
type Set string

// Add adds an element.
func (s Set) Add(element string) error { return check(setAdd(string(s), element)) }

// Remove removes the additions of an element that this node has seen.
func (s Set) Remove(element string) error { return check(setRemove(string(s), element)) }

// Contains says whether the element is in the set.
func (s Set) Contains(element string) (bool, error) { return yes(setContains(string(s), element)) }

// Elements lists the set, sorted by bytes.
func (s Set) Elements() ([]string, error) {
	data, _, err := pull(func(out []byte) int32 { return setElements(string(s), out) })
	var list []string
	each(data, func(r *rows) { list = append(list, string(r.field())) })
	return list, err
}

// List is a replicated sequence of values. Elements have ids by which others are put after them.
type List string

// ID names an element of a List.
type ID string

// Head is the place before the first element.
const Head ID = ""

// idSpace is what the host wants to be offered for an id.
const idSpace = 36

// InsertAfter puts value after an element, before what already stands there. A parent that this node does not know
// means Head.
func (l List) InsertAfter(parent ID, value []byte) (ID, error) {
	var out [idSpace]byte
	n := rgaInsert(string(l), string(parent), value, out[:])
	if err := check(n); err != nil {
		return "", err
	}
	return ID(out[:n]), nil
}

// Delete removes an element. Those put after it stay where they are.
func (l List) Delete(id ID) error { return check(rgaDelete(string(l), string(id))) }

// Values lists the elements in order.
func (l List) Values() ([][]byte, error) {
	data, _, err := pull(func(out []byte) int32 { return rgaValues(string(l), out) })
	var list [][]byte
	each(data, func(r *rows) { list = append(list, r.field()) })
	return list, err
}

// Commit returns when everything this guest wrote so far, private keys too, is on disk.
func Commit() error { return check(commit()) }
