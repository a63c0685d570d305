package meter

import (
	"bytes"
	"strings"
)

// Parts of the name section that name functions, alone or with their locals.
const (
	namesFunctions = 1
	namesLocals    = 2
	namesLabels    = 3
)

// custom returns a custom section as it is in the instrumented module, or nil if it is dropped.
func (m *module) custom(body []byte) []byte {
	r := &reader{data: body}
	name := string(r.vec())
	switch {
	case r.err != nil:
		return body // not valid, and not made so
	case name == "name":
		return m.names(r)
	case strings.HasPrefix(name, ".debug_"), strings.HasPrefix(name, "reloc."), strings.HasPrefix(name, "metadata.code."),
		name == "sourceMappingURL", name == "external_debug_info":
		return nil
	}
	return body
}

// names renumbers the functions of the name section, or drops it when it is malformed. That is allowed, and a
// count that is too large would have the compiler allocate for it:
//
//	"name"   then   part(1) size   n × (function, name)   or   n × (function, k × (local, name))
func (m *module) names(r *reader) []byte {
	out := bytes.Clone(r.data[:r.at])
	for r.more() {
		part := r.byte()
		body := r.vec()
		if part == namesFunctions || part == namesLocals {
			p := &reader{data: body}
			renamed := appendU32(nil, 0)
			n := p.items(func(uint32) {
				renamed = appendU32(renamed, m.renumber(p.u32()))
				start := p.at
				if part == namesFunctions {
					p.vec()
				} else {
					p.items(func(uint32) { p.u32(); p.vec() })
				}
				renamed = append(renamed, p.data[start:p.at]...)
			})
			if p.finish() != nil {
				return nil
			}
			body = append(appendU32(nil, n), renamed[1:]...)
		}
		if part != namesLabels {
			out = appendVec(append(out, part), body)
		}
	}
	if r.err != nil {
		return nil
	}
	return out
}
