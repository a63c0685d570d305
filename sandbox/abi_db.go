package sandbox

import "bytes"

// The db_* functions: the module's private keys.

func dbGet(c call, arg args) code {
	if bad := capacity(arg.u32(3)); bad != codeOK {
		return bad
	}
	key, bad := c.dbKey(arg)
	if bad != codeOK {
		return bad
	}
	value, ok, err := c.host.KV.Get(key)
	if err != nil {
		return codeOf(err)
	}
	if !ok {
		return codeNotFound
	}
	return c.write(arg.u32(2), arg.u32(3), value)
}

func dbSet(c call, arg args) code {
	if arg.u32(3) > maxValue {
		return codeInvalid
	}
	key, bad := c.key(arg.u32(0), arg.u32(1))
	if bad != codeOK {
		return bad
	}
	value, bad := c.value(arg.u32(2), arg.u32(3))
	if bad != codeOK {
		return bad
	}
	if c.host.KV == nil {
		return codeDenied
	}
	return codeOf(c.host.KV.Set(bytes.Clone(key), value))
}

func dbDelete(c call, arg args) code {
	key, bad := c.dbKey(arg)
	if bad != codeOK {
		return bad
	}
	return codeOf(c.host.KV.Delete(bytes.Clone(key)))
}

func dbExists(c call, arg args) code {
	key, bad := c.dbKey(arg)
	if bad != codeOK {
		return bad
	}
	yes, err := c.host.KV.Exists(key)
	if err != nil {
		return codeOf(err)
	}
	return boolCode(yes)
}

// dbKey reads the key in the first two parameters and makes sure that there is a store to ask for it.
func (c call) dbKey(arg args) ([]byte, code) {
	key, bad := c.key(arg.u32(0), arg.u32(1))
	if bad == codeOK && c.host.KV == nil {
		bad = codeDenied
	}
	return key, bad
}

// rowShape is how a scan writes a row:
//
//	withValues  u32 klen, u32 vlen, key, value
//	keysOnly    u32 klen, key
type rowShape bool

const (
	withValues rowShape = true
	keysOnly   rowShape = false
)

func (shape rowShape) add(l *list, key, value []byte) bool {
	if shape == keysOnly {
		if !l.row(4 + len(key)) {
			return false
		}
		l.size(len(key))
		l.buf = append(l.buf, key...)
		return true
	}
	if !l.row(8 + len(key) + len(value)) {
		return false
	}
	l.size(len(key))
	l.size(len(value))
	l.buf = append(l.buf, key...)
	l.buf = append(l.buf, value...)
	return true
}

// scanByOffset is db_scan and db_keys: the cursor counts rows to skip.
func scanByOffset(shape rowShape) func(c call, arg args) code {
	return func(c call, arg args) code {
		cursor, limit, op, oc := arg[2], arg.u32(3), arg.u32(4), arg.u32(5)
		if bad := page(limit, oc); bad != codeOK {
			return bad
		}
		prefix, bad := c.key(arg.u32(0), arg.u32(1))
		if bad != codeOK {
			return bad
		}
		return c.scan(shape, prefix, nil, cursor, limit, op, oc)
	}
}

// scanAfter is db_scan_after and db_keys_after: the cursor is a key, which need not exist.
func scanAfter(shape rowShape) func(c call, arg args) code {
	return func(c call, arg args) code {
		sp, sl, limit, op, oc := arg.u32(2), arg.u32(3), arg.u32(4), arg.u32(5), arg.u32(6)
		if bad := page(limit, oc); bad != codeOK {
			return bad
		}
		prefix, bad := c.key(arg.u32(0), arg.u32(1))
		if bad != codeOK {
			return bad
		}
		var after []byte
		if sl > 0 { // an empty cursor is the start, and its pointer is not looked at
			if after, bad = c.key(sp, sl); bad != codeOK {
				return bad
			}
			if !bytes.HasPrefix(after, prefix) {
				return codeInvalid
			}
		}
		return c.scan(shape, prefix, after, 0, limit, op, oc)
	}
}

// page checks how much a scan may return.
func page(limit, oc uint32) code {
	if limit == 0 || limit > maxScanRows {
		return codeInvalid
	}
	return capacity(oc)
}

func (c call) scan(shape rowShape, prefix, after []byte, skip uint64, limit, op, oc uint32) code {
	if c.host.KV == nil {
		return codeDenied
	}
	l := newList(oc)
	rows, stopped := 0, false
	err := c.host.KV.Scan(prefix, after, func(key, value []byte) bool {
		// Skipping has no bound but the data: it must not outlive the run.
		if rows++; rows%scanCheckEveryRows == 0 && c.ctx.Err() != nil {
			stopped = true
			return false
		}
		if bytes.HasPrefix(key, []byte(reservedPrefix)) {
			return true
		}
		if skip > 0 {
			skip--
			return true
		}
		return shape.add(l, key, value) && l.count < limit
	})
	if err != nil {
		return codeOf(err)
	}
	if stopped {
		return codeInvalid
	}
	return c.writeList(op, oc, l)
}
