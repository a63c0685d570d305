package sandbox

import "encoding/binary"

// The crdt_* functions. Arguments are checked before the host is asked anything, so bad input is -3 or -4 even with
// sync off.

// counterAdd is (key, delta): the three ways to move a counter.
func counterAdd(add func(CRDT, string, uint64) error) func(c call, arg args) code {
	return func(c call, arg args) code {
		key, bad := c.crdtKey(arg)
		if bad != codeOK {
			return bad
		}
		return codeOf(add(c.host.CRDT, key, arg[2]))
	}
}

// counterValue is (key, out). A buffer under 8 bytes is -2 before anything else is looked at.
func counterValue[T uint64 | int64](get func(CRDT, string) (T, error)) func(c call, arg args) code {
	return func(c call, arg args) code {
		if arg.u32(3) < counterSize {
			return codeTooSmall
		}
		key, bad := c.crdtKey(arg)
		if bad != codeOK {
			return bad
		}
		v, err := get(c.host.CRDT, key)
		if err != nil {
			return codeOf(err)
		}
		return c.write(arg.u32(2), arg.u32(3), binary.LittleEndian.AppendUint64(nil, uint64(v)))
	}
}

// element is (key, text), a write: map field, set element or RGA id.
func element(write func(CRDT, string, string) error) func(c call, arg args) code {
	return func(c call, arg args) code {
		key, elem, bad := c.crdtKeyText(arg)
		if bad != codeOK {
			return bad
		}
		return codeOf(write(c.host.CRDT, key, elem))
	}
}

// contains is (key, text), a question.
func contains(ask func(CRDT, string, string) (bool, error)) func(c call, arg args) code {
	return func(c call, arg args) code {
		key, elem, bad := c.crdtKeyText(arg)
		if bad != codeOK {
			return bad
		}
		yes, err := ask(c.host.CRDT, key, elem)
		if err != nil {
			return codeOf(err)
		}
		return boolCode(yes)
	}
}

func lwwSet(c call, arg args) code {
	key, bad := c.ckey(arg.u32(0), arg.u32(1))
	if bad != codeOK {
		return bad
	}
	value, bad := c.value(arg.u32(2), arg.u32(3))
	if bad != codeOK {
		return bad
	}
	if c.host.CRDT == nil {
		return codeSyncOff
	}
	return codeOf(c.host.CRDT.LWWSet(key, value))
}

func lwwGet(c call, arg args) code {
	if bad := capacity(arg.u32(3)); bad != codeOK {
		return bad
	}
	key, bad := c.crdtKey(arg)
	if bad != codeOK {
		return bad
	}
	value, ok, err := c.host.CRDT.LWWGet(key)
	return c.cell(arg.u32(2), arg.u32(3), value, ok, err)
}

func mapSet(c call, arg args) code {
	key, bad := c.ckey(arg.u32(0), arg.u32(1))
	if bad != codeOK {
		return bad
	}
	field, bad := c.text(arg.u32(2), arg.u32(3))
	if bad != codeOK {
		return bad
	}
	value, bad := c.value(arg.u32(4), arg.u32(5))
	if bad != codeOK {
		return bad
	}
	if c.host.CRDT == nil {
		return codeSyncOff
	}
	return codeOf(c.host.CRDT.MapSet(key, field, value))
}

func mapGet(c call, arg args) code {
	if bad := capacity(arg.u32(5)); bad != codeOK {
		return bad
	}
	key, field, bad := c.crdtKeyText(arg)
	if bad != codeOK {
		return bad
	}
	value, ok, err := c.host.CRDT.MapGet(key, field)
	return c.cell(arg.u32(4), arg.u32(5), value, ok, err)
}

// mapEntries writes u32 n, n × (u32 flen, field, u32 vlen, value).
func mapEntries(c call, arg args) code {
	return c.crdtList(arg, func(key string, l *list) error {
		return c.host.CRDT.MapEntries(key, func(field string, value []byte) bool {
			if l.row(8 + len(field) + len(value)) {
				l.size(len(field))
				l.buf = append(l.buf, field...)
				l.size(len(value))
				l.buf = append(l.buf, value...)
			}
			return !l.full
		})
	})
}

// setElements writes u32 n, n × (u32 len, text).
func setElements(c call, arg args) code {
	return c.crdtList(arg, func(key string, l *list) error {
		return c.host.CRDT.SetElements(key, func(elem string) bool {
			if l.row(4 + len(elem)) {
				l.size(len(elem))
				l.buf = append(l.buf, elem...)
			}
			return !l.full
		})
	})
}

// rgaValues writes u32 n, n × (u32 len, bytes).
func rgaValues(c call, arg args) code {
	return c.crdtList(arg, func(key string, l *list) error {
		return c.host.CRDT.RGAValues(key, func(value []byte) bool {
			if l.row(4 + len(value)) {
				l.size(len(value))
				l.buf = append(l.buf, value...)
			}
			return !l.full
		})
	})
}

// rgaInsert must know that the id will fit before it inserts: the guest could not name the element otherwise.
func rgaInsert(c call, arg args) code {
	op, oc := arg.u32(6), arg.u32(7)
	if bad := capacity(oc); bad != codeOK {
		return bad
	}
	key, bad := c.ckey(arg.u32(0), arg.u32(1))
	if bad != codeOK {
		return bad
	}
	parent := ""
	if arg.u32(3) > 0 { // an empty parent is the head, and its pointer is not looked at
		if parent, bad = c.text(arg.u32(2), arg.u32(3)); bad != codeOK {
			return bad
		}
	}
	value, bad := c.value(arg.u32(4), arg.u32(5))
	if bad != codeOK {
		return bad
	}
	if c.host.CRDT == nil {
		return codeSyncOff
	}
	if err := c.host.CRDT.Ready(); err != nil {
		return codeOf(err)
	}
	if oc < rgaIDSpace {
		return codeTooSmall
	}
	if _, bad := c.read(op, rgaIDSpace, rgaIDSpace); bad != codeOK {
		return bad
	}
	id, err := c.host.CRDT.RGAInsert(key, parent, value)
	if err != nil {
		return codeOf(err)
	}
	return c.write(op, oc, []byte(id))
}

// crdtKey reads the key in the first two parameters, then makes sure that there is something to ask for it.
func (c call) crdtKey(arg args) (string, code) {
	key, bad := c.ckey(arg.u32(0), arg.u32(1))
	if bad == codeOK && c.host.CRDT == nil {
		bad = codeSyncOff
	}
	return key, bad
}

// crdtKeyText is crdtKey for functions that take a text in the next two parameters.
func (c call) crdtKeyText(arg args) (key, elem string, bad code) {
	if key, bad = c.ckey(arg.u32(0), arg.u32(1)); bad != codeOK {
		return "", "", bad
	}
	if elem, bad = c.text(arg.u32(2), arg.u32(3)); bad != codeOK {
		return "", "", bad
	}
	if c.host.CRDT == nil {
		bad = codeSyncOff
	}
	return key, elem, bad
}

// crdtList is (key, out): visit fills the list.
func (c call) crdtList(arg args, visit func(key string, l *list) error) code {
	op, oc := arg.u32(2), arg.u32(3)
	if bad := capacity(oc); bad != codeOK {
		return bad
	}
	key, bad := c.crdtKey(arg)
	if bad != codeOK {
		return bad
	}
	l := newList(oc)
	if err := visit(key, l); err != nil {
		return codeOf(err)
	}
	return c.writeList(op, oc, l)
}

// cell answers a value that may be absent.
func (c call) cell(op, oc uint32, value []byte, ok bool, err error) code {
	if err != nil {
		return codeOf(err)
	}
	if !ok {
		return codeNotFound
	}
	return c.write(op, oc, value)
}
