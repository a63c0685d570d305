package crdt

// The order of a sequence as a counted B+ tree: pieces in the leaves, and in
// every node how many elements are below it, all and visible. By index, by
// neighbour and position of a piece take O(log n).
//
// Where a subtree of the order's tree (seqplace.go) begins and ends is found by
// depths, the root's being 0. Each piece has the depth of its first element, the
// elements behind it being one deeper each, and its join: the depth of the deepest
// element that has both the piece and the one in front of it in its subtree.
//
//	tree      a ─┬─ left  b ─ right c          list   b   c   a   d   e
//	   (depth 1) └─ right d ─ right e          depth  2   3   1   2   3
//	                                           join   0   2   1   1   2
//
// The subtree of b is b and what follows while join is 2 or more. So its ends are
// the nearest pieces, on each side, with a join below its depth; every node has
// the least join below it.

import (
	"math"
	"slices"
)

// piece is consecutive elements of one author that also follow one another in
// the list: the left origin of each is the one before, and all have the same
// right origin. All are visible or all are deleted.
type piece struct {
	author      Author
	seq         uint64 // of the first element
	n           int
	left, right Dot // origins; left is the first element's
	deleted     bool
	epoch       uint32 // in which it was deleted here; 0 if it is not
	spare       int    // so many at the end are no origins any more; see seqage.go
	vals        values // none if deleted

	leaf *node // nil while an origin is missing

	// The children in the order's tree (see seqplace.go): on the left of the
	// first element and on the right of the last.
	leftKids, rightKids kids
	depth, join         int
}

func (p *piece) end() uint64 { return p.seq + uint64(p.n) }

func (p *piece) first() Dot { return Dot{p.author, p.seq} }

func (p *piece) last() Dot { return Dot{p.author, p.end() - 1} }

func (p *piece) visible() int {
	if p.deleted {
		return 0
	}
	return p.n
}

const (
	maxPieces = 64 // in a leaf
	maxNodes  = 32 // in an inner node
)

// node is a leaf, with pieces, or an inner node, with kids.
type node struct {
	parent         *node
	kids           []*node
	pieces         []*piece
	prev, next     *node // leaves only
	total, visible int
	join           int // the least below
}

// orderTree is the tree; its zero value is empty.
type orderTree struct{ root, firstLeaf *node }

// count adds to the counts from n up to the root.
func (n *node) count(total, visible int) {
	for ; n != nil; n = n.parent {
		n.total += total
		n.visible += visible
	}
}

// insertLast puts p behind everything.
func (t *orderTree) insertLast(p *piece) {
	if t.root == nil {
		t.root = &node{join: p.join}
		t.firstLeaf = t.root
	}
	n := t.root
	for n.kids != nil {
		n = n.kids[len(n.kids)-1]
	}
	t.insert(n, len(n.pieces), p)
}

func (t *orderTree) insertBefore(ref, p *piece) {
	t.insert(ref.leaf, slices.Index(ref.leaf.pieces, ref), p)
}

func (t *orderTree) insertAfter(ref, p *piece) {
	t.insert(ref.leaf, slices.Index(ref.leaf.pieces, ref)+1, p)
}

func (t *orderTree) insert(leaf *node, i int, p *piece) {
	leaf.pieces = slices.Insert(leaf.pieces, i, p)
	p.leaf = leaf
	leaf.count(p.n, p.visible())
	for n := leaf; n != nil && p.join < n.join; n = n.parent {
		n.join = p.join
	}
	if len(leaf.pieces) > maxPieces {
		t.splitLeaf(leaf)
	}
}

func (t *orderTree) splitLeaf(n *node) {
	half := len(n.pieces) / 2
	m := &node{prev: n, next: n.next, pieces: make([]*piece, len(n.pieces)-half, maxPieces+1)}
	copy(m.pieces, n.pieces[half:])
	clear(n.pieces[half:])
	n.pieces = n.pieces[:half]
	if m.next != nil {
		m.next.prev = m
	}
	n.next = m
	for _, p := range m.pieces {
		p.leaf = m
		m.total += p.n
		m.visible += p.visible()
	}
	n.join, m.join = n.leastJoin(), m.leastJoin()
	t.addSibling(n, m)
}

// leastJoin looks at what is right below.
func (n *node) leastJoin() int {
	least := math.MaxInt
	for _, p := range n.pieces {
		least = min(least, p.join)
	}
	for _, k := range n.kids {
		least = min(least, k.join)
	}
	return least
}

// setJoin changes the join of a piece in the tree.
func (t *orderTree) setJoin(p *piece, join int) {
	p.join = join
	p.leaf.findJoin()
}

// leftEnd returns the first piece of p's subtree; p is a child, so that its first
// element is the subtree's root.
func (t *orderTree) leftEnd(p *piece) *piece {
	if p.join < p.depth {
		return p
	}
	n := p.leaf
	for i := slices.Index(n.pieces, p) - 1; i >= 0; i-- {
		if n.pieces[i].join < p.depth {
			return n.pieces[i]
		}
	}
	for ; n.parent != nil; n = n.parent {
		all := n.parent.kids
		for i := slices.Index(all, n) - 1; i >= 0; i-- {
			if all[i].join < p.depth {
				return all[i].lastBelow(p.depth)
			}
		}
	}
	return t.first() // its join is 0
}

// rightEnd returns the first piece behind the subtree of q's last element, which
// has that depth; nil if there is none.
func (t *orderTree) rightEnd(q *piece, depth int) *piece {
	n := q.leaf
	for _, p := range n.pieces[slices.Index(n.pieces, q)+1:] {
		if p.join < depth {
			return p
		}
	}
	for ; n.parent != nil; n = n.parent {
		all := n.parent.kids
		for _, k := range all[slices.Index(all, n)+1:] {
			if k.join < depth {
				return k.firstBelow(depth)
			}
		}
	}
	return nil
}

// firstBelow returns the first piece with a join below depth; there must be one.
func (n *node) firstBelow(depth int) *piece {
	for n.kids != nil {
		n = n.kids[slices.IndexFunc(n.kids, func(k *node) bool { return k.join < depth })]
	}
	return n.pieces[slices.IndexFunc(n.pieces, func(p *piece) bool { return p.join < depth })]
}

// lastBelow returns the last piece with a join below depth; there must be one.
func (n *node) lastBelow(depth int) *piece {
	for n.kids != nil {
		for i := len(n.kids) - 1; ; i-- {
			if n.kids[i].join < depth {
				n = n.kids[i]
				break
			}
		}
	}
	for i := len(n.pieces) - 1; ; i-- {
		if n.pieces[i].join < depth {
			return n.pieces[i]
		}
	}
}

// addSibling hangs m, split off n, behind n.
func (t *orderTree) addSibling(n, m *node) {
	n.total -= m.total
	n.visible -= m.visible
	up := n.parent
	if up == nil {
		up = &node{kids: []*node{n}, total: n.total, visible: n.visible, join: min(n.join, m.join)}
		n.parent, t.root = up, up
		up.total += m.total
		up.visible += m.visible
	}
	m.parent = up
	up.kids = slices.Insert(up.kids, slices.Index(up.kids, n)+1, m)
	if len(up.kids) <= maxNodes {
		return
	}
	half := len(up.kids) / 2
	right := &node{kids: slices.Clone(up.kids[half:])}
	clear(up.kids[half:])
	up.kids = up.kids[:half]
	for _, k := range right.kids {
		k.parent = right
		right.total += k.total
		right.visible += k.visible
	}
	up.join, right.join = up.leastJoin(), right.leastJoin()
	t.addSibling(up, right)
}

// remove takes p out. Nodes may run low, but none stays empty save the root.
func (t *orderTree) remove(p *piece) {
	n := p.leaf
	i := slices.Index(n.pieces, p)
	n.pieces = slices.Delete(n.pieces, i, i+1)
	n.count(-p.n, -p.visible())
	p.leaf = nil
	if len(n.pieces) > 0 || n.parent == nil {
		n.findJoin()
		return
	}
	if n.prev != nil {
		n.prev.next = n.next
	} else {
		t.firstLeaf = n.next
	}
	if n.next != nil {
		n.next.prev = n.prev
	}
	for up := n.parent; up != nil; n, up = up, up.parent {
		i := slices.Index(up.kids, n)
		up.kids = slices.Delete(up.kids, i, i+1)
		if len(up.kids) > 0 {
			up.findJoin()
			return
		}
	}
	*t = orderTree{}
}

// findJoin finds the least joins again, from n up, after a change below it.
func (n *node) findJoin() {
	for ; n != nil; n = n.parent {
		least := n.leastJoin()
		if least == n.join {
			return
		}
		n.join = least
	}
}

// position returns how many elements, deleted ones too, are before p.
func (t *orderTree) position(p *piece) int {
	pos := 0
	for _, q := range p.leaf.pieces {
		if q == p {
			break
		}
		pos += q.n
	}
	for n := p.leaf; n.parent != nil; n = n.parent {
		for _, k := range n.parent.kids {
			if k == n {
				break
			}
			pos += k.total
		}
	}
	return pos
}

// atVisible returns the piece with the i-th visible element, which must exist,
// and the element's offset in it.
func (t *orderTree) atVisible(i int) (*piece, int) {
	n := t.root
	for n.kids != nil {
		for _, k := range n.kids {
			if i < k.visible {
				n = k
				break
			}
			i -= k.visible
		}
	}
	for _, p := range n.pieces {
		if v := p.visible(); i < v {
			return p, i
		} else {
			i -= v
		}
	}
	panic("crdt: visible counts of the order tree are wrong")
}

func (t *orderTree) first() *piece {
	if t.firstLeaf == nil || len(t.firstLeaf.pieces) == 0 {
		return nil
	}
	return t.firstLeaf.pieces[0]
}

// after returns the piece behind p, or nil.
func (t *orderTree) after(p *piece) *piece {
	n := p.leaf
	if i := slices.Index(n.pieces, p) + 1; i < len(n.pieces) {
		return n.pieces[i]
	}
	if n.next == nil {
		return nil
	}
	return n.next.pieces[0]
}

// before returns the piece in front of p, or nil.
func (t *orderTree) before(p *piece) *piece {
	n := p.leaf
	if i := slices.Index(n.pieces, p); i > 0 {
		return n.pieces[i-1]
	}
	if n.prev == nil {
		return nil
	}
	return n.prev.pieces[len(n.prev.pieces)-1]
}

// all iterates over the pieces in order.
func (t *orderTree) all(f func(*piece) bool) {
	for n := t.firstLeaf; n != nil; n = n.next {
		for _, p := range n.pieces {
			if !f(p) {
				return
			}
		}
	}
}
