package datastore_test

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"github.com/numax-mesh/numax/datastore"
)

// Bytes that matter to the escape come often.
var keyBytes = rapid.SliceOfN(rapid.SampledFrom([]byte{0, 0, 1, 2, 'a', 0xfe, 0xff}), 0, 8)

func TestObjectKeys(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var id datastore.DatasetID
		id[3] = rapid.Byte().Draw(t, "dataset")
		family := rapid.Byte().Draw(t, "family")
		a, slotA := keyBytes.Draw(t, "a"), keyBytes.Draw(t, "slot a")
		b, slotB := keyBytes.Draw(t, "b"), keyBytes.Draw(t, "slot b")
		prefixA, prefixB := datastore.ObjectPrefix(nil, id, family, a), datastore.ObjectPrefix(nil, id, family, b)
		rowA, rowB := append(bytes.Clone(prefixA), slotA...), append(bytes.Clone(prefixB), slotB...)

		f, key, slot, ok := datastore.SplitObjectKey(rowA)
		if !ok || f != family || !bytes.Equal(key, a) || !bytes.Equal(slot, slotA) {
			t.Fatalf("split %x: %d %x %x %v, want %d %x %x", rowA, f, key, slot, ok, family, a, slotA)
		}
		if c := bytes.Compare(a, b); c != 0 && bytes.Compare(rowA, rowB) != c {
			t.Fatalf("rows %x and %x are not in the order of keys %x and %x", rowA, rowB, a, b)
		}
		if !bytes.Equal(a, b) && bytes.HasPrefix(rowB, prefixA) {
			t.Fatalf("row %x of key %x lies among those of key %x", rowB, b, a)
		}
		if !bytes.HasPrefix(rowA, datastore.FamilyPrefix(id, family)) || !bytes.HasPrefix(rowA, datastore.ObjectsPrefix(id)) {
			t.Fatalf("row %x is not under its family and dataset", rowA)
		}
	})
}

func TestOutboxKeys(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var node [32]byte
		node[0], node[31] = rapid.Byte().Draw(t, "first"), rapid.Byte().Draw(t, "last")
		a, b := rapid.Uint64().Draw(t, "a"), rapid.Uint64().Draw(t, "b")
		row := datastore.OutboxKey(node, a)
		if n, stamp, ok := datastore.SplitOutboxKey(row); !ok || n != node || stamp != a {
			t.Fatalf("split %x: %x %d %t, want %x %d", row, n, stamp, ok, node, a)
		}
		if bytes.Compare(row, datastore.OutboxKey(node, b)) < 0 != (a < b) {
			t.Fatalf("rows of %d and %d are not in that order", a, b)
		}
		if _, _, ok := datastore.SplitOutboxKey(row[1:]); ok {
			t.Fatal("a torn key was taken")
		}
	})
}

func TestAfter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		prefix, key := keyBytes.Draw(t, "prefix"), keyBytes.Draw(t, "key")
		end := datastore.After(prefix)
		inside := bytes.Compare(key, prefix) >= 0 && (end == nil || bytes.Compare(key, end) < 0)
		if inside != bytes.HasPrefix(key, prefix) {
			t.Fatalf("After(%x) = %x: key %x inside %v", prefix, end, key, inside)
		}
	})
}

func FuzzSplitObjectKey(f *testing.F) {
	f.Add(datastore.ObjectPrefix(nil, datastore.DatasetID{1}, 3, []byte("a\x00b")))
	f.Add([]byte("o"))
	f.Add(append([]byte("o0123456789abcdef\x01"), 0, 2))
	f.Fuzz(func(t *testing.T, row []byte) {
		family, key, slot, ok := datastore.SplitObjectKey(row)
		if !ok {
			return
		}
		var id datastore.DatasetID
		copy(id[:], row[1:])
		if again := append(datastore.ObjectPrefix(nil, id, family, key), slot...); !bytes.Equal(again, row) {
			t.Errorf("split and joined: %x, was %x", again, row)
		}
	})
}
