package nx

import "encoding/binary"

// rows takes an answer apart that the host wrote as u32 n and then n rows of fields. It trusts the host's lengths
// only as far as the answer reaches.
type rows struct{ data []byte }

func (r *rows) u32() int {
	if len(r.data) < 4 {
		r.data = nil
		return 0
	}
	v := binary.LittleEndian.Uint32(r.data)
	r.data = r.data[4:]
	return int(v)
}

func (r *rows) take(n int) []byte {
	n = max(0, min(n, len(r.data)))
	b := r.data[:n:n]
	r.data = r.data[n:]
	return b
}

// field is u32 length, bytes.
func (r *rows) field() []byte { return r.take(r.u32()) }

// each calls row for every row; an answer cut short has fewer.
func each(data []byte, row func(r *rows)) {
	r := &rows{data}
	for n := r.u32(); n > 0 && len(r.data) > 0; n-- {
		row(r)
	}
}
