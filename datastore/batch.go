package datastore

import "github.com/syndtr/goleveldb/leveldb"

// Batch is a set of writes that Store.Write makes together. Later writes of a
// key win. It copies what it is given. The zero Batch is empty; it is not safe
// for concurrent use.
type Batch struct {
	b    leveldb.Batch
	size int
}

// Put sets key to value.
func (b *Batch) Put(key, value []byte) {
	b.b.Put(key, value)
	b.size += len(key) + len(value)
}

// Delete removes key.
func (b *Batch) Delete(key []byte) {
	b.b.Delete(key)
	b.size += len(key)
}

// Len is the number of writes.
func (b *Batch) Len() int { return b.b.Len() }

// Size is the number of bytes of keys and values.
func (b *Batch) Size() int { return b.size }

// Reset empties the batch and keeps its memory.
func (b *Batch) Reset() {
	b.b.Reset()
	b.size = 0
}
