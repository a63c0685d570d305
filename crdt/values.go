package crdt

// The values of a run of sequence elements, packed: no allocation, and no
// slice header, for each element.
//
// Encoding: | width varint | …
//
//	width > 0  all values are that long; their bytes follow
//	width = 0  count × length varint, then the bytes

import "slices"

// values holds byte strings back to back. The number of values is kept by who
// owns them. While all have one width (not 0), ends stays nil.
type values struct {
	buf   []byte
	width int
	ends  []uint32 // end of each value, plus base
	base  uint32
}

// maxPacked bounds buf, so that ends cannot overflow.
const maxPacked = 1 << 28

func (v *values) at(i int) []byte {
	if v.ends == nil {
		return v.buf[i*v.width : (i+1)*v.width : (i+1)*v.width]
	}
	var from uint32
	if i > 0 {
		from = v.ends[i-1] - v.base
	}
	to := v.ends[i] - v.base
	return v.buf[from:to:to]
}

// push appends the value of index n, the number held so far.
func (v *values) push(n int, b []byte) {
	if n == 0 && len(b) > 0 {
		v.width, v.ends, v.base = len(b), nil, 0
	} else if v.ends == nil && (n == 0 || len(b) != v.width) {
		v.ends, v.base = make([]uint32, n, n+8), 0
		for i := range v.ends {
			v.ends[i] = uint32((i + 1) * v.width)
		}
	}
	v.buf = append(v.buf, b...)
	if v.ends != nil {
		v.ends = append(v.ends, v.base+uint32(len(v.buf)))
	}
}

// cut keeps the values before i and returns the rest. Both share memory, but
// neither can grow into the other.
func (v *values) cut(i int) values {
	rest := *v
	if v.ends == nil {
		rest.buf = v.buf[i*v.width:]
		v.buf = v.buf[: i*v.width : i*v.width]
		return rest
	}
	if i > 0 {
		rest.base = v.ends[i-1]
	}
	k := rest.base - v.base
	rest.buf, rest.ends = v.buf[k:], v.ends[i:]
	v.buf, v.ends = v.buf[:k:k], v.ends[:i:i]
	return rest
}

// pushAll appends the first m values of w to the n held.
func (v *values) pushAll(n int, w *values, m int) {
	if n > 0 && v.ends == nil && w.ends == nil && v.width == w.width {
		v.buf = append(v.buf, w.buf...)
		return
	}
	for i := range m {
		v.push(n+i, w.at(i))
	}
}

// clone returns an independent copy.
func (v *values) clone() values {
	c := *v
	c.buf, c.ends = slices.Clone(v.buf), slices.Clone(v.ends)
	return c
}

// uniformWidth returns the width all of a list of values share; 0 if they
// share none, or are empty.
func uniformWidth(vals [][]byte) int {
	if len(vals) == 0 {
		return 0
	}
	w := len(vals[0])
	for _, v := range vals {
		if len(v) != w {
			return 0
		}
	}
	return w
}

func appendValues(dst []byte, vals [][]byte) []byte {
	w := uniformWidth(vals)
	dst = appendUint(dst, uint64(w))
	if w == 0 {
		for _, v := range vals {
			dst = appendUint(dst, uint64(len(v)))
		}
	}
	for _, v := range vals {
		dst = append(dst, v...)
	}
	return dst
}

// readValues reads n values, passing each, aliasing the input, to f.
func readValues(r *reader, n int, f func(i int, v []byte)) {
	w := int(r.upTo(MaxValue))
	if w > 0 {
		if n == 0 {
			r.fail("width of nothing")
			return
		}
		if n > len(r.b)/w {
			r.fail("truncated")
			return
		}
		for i := range n {
			f(i, r.take(w))
		}
		return
	}
	first, uniform := 0, true
	lens := *r // first pass over the lengths, second over the bytes
	for range n {
		r.upTo(MaxValue)
		if r.err != nil {
			return
		}
	}
	for i := range n {
		b := r.take(int(lens.uint()))
		if r.err != nil {
			return
		}
		if f(i, b); i == 0 {
			first = len(b)
		}
		uniform = uniform && len(b) == first
	}
	if uniform && first > 0 {
		r.fail("values of one width, and a length for each")
	}
}
