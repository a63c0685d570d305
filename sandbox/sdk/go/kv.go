package nx

// The module's private keys: bytes to bytes, on this node alone. Any bytes are a key.

// Get reads a private value; ok is false when the key is absent.
func Get(key []byte) (value []byte, ok bool, err error) {
	return pull(func(out []byte) int32 { return dbGet(key, out) })
}

// Put writes a private value.
func Put(key, value []byte) error { return check(dbSet(key, value)) }

// Delete removes a private key; an absent one is not an error.
func Delete(key []byte) error { return check(dbDelete(key)) }

// Exists says whether a private key is there.
func Exists(key []byte) (bool, error) { return yes(dbExists(key)) }

// Row is a private key with its value.
type Row struct{ Key, Value []byte }

// maxRows is the most a scan returns at once.
const maxRows = 1024

// Scan returns up to limit rows whose keys start with prefix and are greater than after (nil = from the start),
// ascending. limit is at most 1,024, and a page at most 1 MiB: ask for fewer on ErrTooLarge.
func Scan(prefix, after []byte, limit int) ([]Row, error) {
	data, _, err := pull(func(out []byte) int32 { return dbScanAfter(prefix, after, rowLimit(limit), out) })
	var list []Row
	each(data, func(r *rows) {
		key, value := r.u32(), r.u32()
		list = append(list, Row{r.take(key), r.take(value)})
	})
	return list, err
}

// Keys is Scan without the values.
func Keys(prefix, after []byte, limit int) ([][]byte, error) {
	data, _, err := pull(func(out []byte) int32 { return dbKeysAfter(prefix, after, rowLimit(limit), out) })
	var list [][]byte
	each(data, func(r *rows) { list = append(list, r.field()) })
	return list, err
}

func rowLimit(limit int) uint32 { return uint32(max(0, min(limit, maxRows))) }
