package crdt

// The children of an element on one side, in their order. Most have none or one;
// a hostile author can give one element any number of them.

import (
	"slices"
	"sort"
)

// kids is a sorted list in chunks of maxChunk; its zero value is empty.
type kids struct {
	one  *piece // the only one, if many is nil
	many *[][]*piece
}

func (k *kids) empty() bool { return k.one == nil && k.many == nil }

// only reports whether p is the only one.
func (k *kids) only(p *piece) bool { return k.one == p && k.many == nil }

// insert puts p in its place and returns the one behind it; nil if p is the last.
func (k *kids) insert(p *piece, compare func(p, q *piece) int) (next *piece) {
	switch {
	case k.empty():
		k.one = p
		return nil
	case k.many == nil:
		pair := []*piece{k.one, p}
		if compare(k.one, p) > 0 {
			pair[0], pair[1], next = p, k.one, k.one
		}
		k.one, k.many = nil, &[][]*piece{pair}
		return next
	}
	list := *k.many
	c := max(sort.Search(len(list), func(i int) bool { return compare(list[i][0], p) > 0 })-1, 0)
	chunk := list[c]
	i := sort.Search(len(chunk), func(i int) bool { return compare(chunk[i], p) > 0 })
	switch {
	case i < len(chunk):
		next = chunk[i]
	case c+1 < len(list):
		next = list[c+1][0]
	}
	chunk = slices.Insert(chunk, i, p)
	list[c] = chunk
	if len(chunk) > maxChunk {
		half := len(chunk) / 2
		right := slices.Clone(chunk[half:])
		clear(chunk[half:])
		list[c] = chunk[:half]
		*k.many = slices.Insert(list, c+1, right)
	}
	return next
}

// drop takes out the ones for which gone is true.
func (k *kids) drop(gone func(*piece) bool) {
	if k.many == nil {
		if k.one != nil && gone(k.one) {
			k.one = nil
		}
		return
	}
	list := *k.many
	for i := range list {
		list[i] = slices.DeleteFunc(list[i], gone)
	}
	list = slices.DeleteFunc(list, func(chunk []*piece) bool { return len(chunk) == 0 })
	switch {
	case len(list) == 0:
		*k = kids{}
	case len(list) == 1 && len(list[0]) == 1:
		*k = kids{one: list[0][0]}
	default:
		*k.many = list
	}
}
