package crdt

// What an object shows, in one spelling: two states of one version show the same,
// however their rows are cut and whatever each of them has forgotten.

import (
	"encoding/binary"
	"maps"
	"slices"
)

// AppendContent appends what an object shows to dst; nothing for one that shows
// nothing, which may as well not be there. What it appends is for comparing, and
// not read back.
//
//	counters   authors in order × ( author 40 | P varint | N varint )
//	register   LWW cell
//	map        present fields in order × ( field bytes | LWW cell bytes )
//	set        elements in order × ( element bytes | dots varint | dots in order × ( author 40 | seq 8 ) )
//	sequence   visible elements in order × ( author 40 | seq 8 | value bytes )
func AppendContent(dst []byte, o Object) []byte {
	switch s := o.(type) {
	case interface{ counters() *counter }:
		cells := s.counters().cells
		for _, a := range slices.SortedFunc(maps.Keys(cells), Author.Compare) {
			if x := cells[a]; x.p > 0 || x.n > 0 {
				dst = appendUint(appendUint(a.Append(dst), x.p), x.n)
			}
		}
	case *RegisterState:
		if !s.cell.dot.IsZero() {
			dst = s.cell.append(dst)
		}
	case *MapState:
		for _, k := range s.order.keys() {
			if c := s.cells[k]; c != nil && !c.tomb {
				dst = appendBytes(dst, []byte(k))
				dst = appendBytes(dst, c.append(nil))
			}
		}
	case *SetState:
		for _, k := range s.keys() {
			dots := make([]Dot, 0, 1)
			s.elems[k].each(func(d Dot) { dots = append(dots, d) })
			slices.SortFunc(dots, Dot.Compare)
			dst = appendUint(appendBytes(dst, []byte(k)), uint64(len(dots)))
			for _, d := range dots {
				dst = appendSlotDot(dst, d)
			}
		}
	case *SequenceState:
		s.Range(func(id Dot, value []byte) bool {
			dst = binary.BigEndian.AppendUint64(id.Author.Append(dst), id.Seq)
			dst = appendBytes(dst, value)
			return true
		})
	}
	return dst
}
