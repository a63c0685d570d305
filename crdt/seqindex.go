package crdt

// The pieces of one author by sequence number, in chunks, so that an insertion
// moves a chunk's worth of pointers and not the whole list.

import "slices"

const maxChunk = 256 // pieces in a chunk

// seqIndex holds disjoint pieces sorted by seq. No chunk is empty.
type seqIndex struct {
	chunks [][]*piece
	recent *piece // found last; typing asks for the same piece again and again
}

// chunkOf returns the last chunk that starts at or before seq, or -1.
func (x *seqIndex) chunkOf(seq uint64) int {
	lo, hi := 0, len(x.chunks)
	for lo < hi {
		if mid := (lo + hi) / 2; x.chunks[mid][0].seq <= seq {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo - 1
}

// indexIn returns how many pieces of a chunk start at or before seq.
func indexIn(chunk []*piece, seq uint64) int {
	lo, hi := 0, len(chunk)
	for lo < hi {
		if mid := (lo + hi) / 2; chunk[mid].seq <= seq {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// find returns the piece that holds seq, or nil.
func (x *seqIndex) find(seq uint64) *piece {
	if x == nil {
		return nil
	}
	if p := x.recent; p != nil && seq >= p.seq && seq < p.end() {
		return p
	}
	c := x.chunkOf(seq)
	if c < 0 {
		return nil
	}
	p := x.chunks[c][indexIn(x.chunks[c], seq)-1]
	if seq >= p.end() {
		return nil
	}
	x.recent = p
	return p
}

// next returns the first piece that ends after seq, or nil.
func (x *seqIndex) next(seq uint64) *piece {
	if x == nil {
		return nil
	}
	if p := x.find(seq); p != nil {
		return p
	}
	c := x.chunkOf(seq)
	if c < 0 {
		if len(x.chunks) == 0 {
			return nil
		}
		return x.chunks[0][0]
	}
	if i := indexIn(x.chunks[c], seq); i < len(x.chunks[c]) {
		return x.chunks[c][i]
	}
	if c+1 < len(x.chunks) {
		return x.chunks[c+1][0]
	}
	return nil
}

// end returns the number after the last element held, 0 if there is none.
func (x *seqIndex) end() uint64 {
	if x == nil || len(x.chunks) == 0 {
		return 0
	}
	c := x.chunks[len(x.chunks)-1]
	return c[len(c)-1].end()
}

func (x *seqIndex) insert(p *piece) {
	c := max(x.chunkOf(p.seq), 0)
	if len(x.chunks) == 0 {
		x.chunks = [][]*piece{nil}
	}
	chunk := x.chunks[c]
	chunk = slices.Insert(chunk, indexIn(chunk, p.seq), p)
	x.chunks[c] = chunk
	if len(chunk) <= maxChunk {
		return
	}
	keep := maxChunk / 2
	if chunk[len(chunk)-1] == p {
		keep = maxChunk // appending: leave full chunks behind
	}
	right := make([]*piece, len(chunk)-keep, maxChunk+1)
	copy(right, chunk[keep:])
	clear(chunk[keep:])
	x.chunks[c] = chunk[:keep]
	x.chunks = slices.Insert(x.chunks, c+1, right)
}

func (x *seqIndex) remove(p *piece) {
	if x.recent == p {
		x.recent = nil
	}
	c := x.chunkOf(p.seq)
	i := indexIn(x.chunks[c], p.seq) - 1
	if x.chunks[c] = slices.Delete(x.chunks[c], i, i+1); len(x.chunks[c]) == 0 {
		x.chunks = slices.Delete(x.chunks, c, c+1)
	}
}
