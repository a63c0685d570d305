package datastore

import "encoding/binary"

// Key layout. The first byte says which table a row is in:
//
//	!magic                                     magic record: schema version
//	!clean                                     present after a clean stop
//	i<name>                                    this store's own facts (replica id, …)
//	d<dataset 16>                              → dataset name
//	s<dataset 16>                              → space of its objects; absent = the dataset's own id
//	o<space 16><family 1><esc(key)><slot>      → cell: one slot of one object
//	g<space 16>                                present while the objects of a space are to be deleted
//	e<dataset 16><author 40><last seq 8>       → entry, verbatim
//	v<dataset 16><author 40>                   → version row: have, applied, head, cut
//	h<dataset 16><author 40>                   → signed header of the entry that the log was cut behind
//	j<space 16><author 40>                     → the same, shown for a state that is being joined
//	a<dataset 16><author 40>                   → what the author has signed that it applied
//	x<dataset 16><kind 1><author hash 16>      → a fact about an author: it forked its log, it was retired, …
//	u<dataset 16>                              → upkeep: the marks of log cutting and collection
//	r<dataset 16>…                             → remembered intents of the replica
//	m<esc(module)><key>                        → value of a module's db_* key
//	b<node 32><stamp 8>                        → message on its way to a node
//	/…                                         go-datastore keys (libp2p)
//
// Integers in keys are big-endian, so that LevelDB's order is numeric order.
// esc maps 00 to 00 FF and ends with 00 01: a key is never a prefix of another
// key's rows, and order is kept.
//
// The objects of a dataset lie in a space of their own name, so that a whole
// state can be made beside the one in use and then take its place by one row.
//
// An entry is stored under the seq of its *last* op: the first row at or after
// (author, s) is then the entry that holds op s.
const (
	tableMagic    = '!'
	tableInfo     = 'i'
	tableDataset  = 'd'
	tableSpace    = 's'
	tableObject   = 'o'
	tableGarbage  = 'g'
	tableEntry    = 'e'
	tableVersion  = 'v'
	tableAck      = 'a'
	tableHead     = 'h'
	tableShown    = 'j'
	tableFact     = 'x'
	tableUpkeep   = 'u'
	tableIntent   = 'r'
	tableModule   = 'm'
	tableOutbox   = 'b'
	datasetIDSize = 16
)

// DatasetID names a dataset in keys and headers.
type DatasetID [datasetIDSize]byte

// Space names the objects of a dataset in keys.
type Space = DatasetID

// InfoKey is the row of one of this store's own facts.
func InfoKey(name string) []byte { return append([]byte{tableInfo}, name...) }

// DatasetKey is the row that holds a dataset's name; a zero-length id part
// gives the prefix of all of them.
func DatasetKey(id DatasetID) []byte { return append([]byte{tableDataset}, id[:]...) }

// DatasetsPrefix is the prefix of every dataset's name row.
func DatasetsPrefix() []byte { return []byte{tableDataset} }

// SpaceKey is the row that says which space a dataset's objects are in.
func SpaceKey(id DatasetID) []byte { return append([]byte{tableSpace}, id[:]...) }

// GarbageKey is the row that marks a space whose objects are to be deleted.
func GarbageKey(s Space) []byte { return append(GarbagePrefix(), s[:]...) }

// GarbagePrefix is the prefix of all GarbageKeys.
func GarbagePrefix() []byte { return []byte{tableGarbage} }

// ObjectPrefix is the prefix of all rows of one object; a slot is appended to
// it. It appends to dst.
func ObjectPrefix(dst []byte, s Space, family byte, key []byte) []byte {
	dst = append(dst, tableObject)
	dst = append(dst, s[:]...)
	dst = append(dst, family)
	return appendEscaped(dst, key)
}

// FamilyPrefix is the prefix of all objects of one family in a space.
func FamilyPrefix(s Space, family byte) []byte {
	return append(append([]byte{tableObject}, s[:]...), family)
}

// ObjectsUnder is the prefix of all objects of one family in a space whose key
// starts with prefix.
func ObjectsUnder(s Space, family byte, prefix []byte) []byte {
	row := ObjectPrefix(nil, s, family, prefix)
	return row[:len(row)-terminator]
}

// ObjectsPrefix is the prefix of every object row of a space.
func ObjectsPrefix(s Space) []byte { return append([]byte{tableObject}, s[:]...) }

// SplitObjectKey takes an object row's key apart. The parts do not alias row,
// but for slot.
func SplitObjectKey(row []byte) (family byte, key, slot []byte, ok bool) {
	const fixed = 1 + datasetIDSize + 1
	if len(row) < fixed || row[0] != tableObject {
		return 0, nil, nil, false
	}
	key, slot, ok = cutEscaped(row[fixed:])
	return row[fixed-1], key, slot, ok
}

// EntryKey is the row of the entry of author whose last op is seq.
func EntryKey(id DatasetID, author []byte, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(EntryPrefix(id, author), seq)
}

// EntryPrefix is the prefix of all entries of an author in a dataset.
func EntryPrefix(id DatasetID, author []byte) []byte {
	k := make([]byte, 0, 1+datasetIDSize+len(author)+8)
	k = append(k, tableEntry)
	k = append(k, id[:]...)
	return append(k, author...)
}

// VersionKey is the version row of an author in a dataset; with no author, the
// prefix of all of them.
func VersionKey(id DatasetID, author []byte) []byte {
	k := append([]byte{tableVersion}, id[:]...)
	return append(k, author...)
}

// HeadKey is the row of the signed header of the last entry that was cut from an
// author's log.
func HeadKey(id DatasetID, author []byte) []byte {
	return append(append([]byte{tableHead}, id[:]...), author...)
}

// ShownKey is the row of a signed header that a state which is being joined into a
// space came with; with no author, the prefix of all of them.
func ShownKey(s Space, author []byte) []byte {
	return append(append([]byte{tableShown}, s[:]...), author...)
}

// AckKey is the row of what an author has signed that it applied; with no
// author, the prefix of all of them.
func AckKey(id DatasetID, author []byte) []byte {
	return append(append([]byte{tableAck}, id[:]...), author...)
}

// FactKey is the row of a fact about an author, who is given by hash.
func FactKey(id DatasetID, kind byte, hash []byte) []byte {
	return append(append(FactsPrefix(id), kind), hash...)
}

// FactsPrefix is the prefix of all of a dataset's facts.
func FactsPrefix(id DatasetID) []byte { return append([]byte{tableFact}, id[:]...) }

// UpkeepKey is the row of a dataset's upkeep.
func UpkeepKey(id DatasetID) []byte { return append([]byte{tableUpkeep}, id[:]...) }

// IntentPrefix is the prefix of what a replica of the dataset remembers to do.
func IntentPrefix(id DatasetID) []byte { return append([]byte{tableIntent}, id[:]...) }

// ModulesPrefix is the prefix of every module's db_* rows.
func ModulesPrefix() []byte { return []byte{tableModule} }

// ModulePrefix is the prefix of a module's db_* rows; the guest's key is
// appended to it.
func ModulePrefix(module string) []byte {
	return appendEscaped([]byte{tableModule}, []byte(module))
}

// SplitModuleKey takes a row's key apart, from behind ModulesPrefix on.
func SplitModuleKey(b []byte) (module string, key []byte, ok bool) {
	m, key, ok := cutEscaped(b)
	return string(m), key, ok
}

// OutboxPrefix is the prefix of all OutboxKeys.
func OutboxPrefix() []byte { return []byte{tableOutbox} }

// OutboxKey is the row of a message to a node, which is named by its public key.
func OutboxKey(node [32]byte, stamp uint64) []byte {
	return binary.BigEndian.AppendUint64(append(OutboxPrefix(), node[:]...), stamp)
}

// SplitOutboxKey takes an OutboxKey apart.
func SplitOutboxKey(row []byte) (node [32]byte, stamp uint64, ok bool) {
	if len(row) != 1+len(node)+8 || row[0] != tableOutbox {
		return node, 0, false
	}
	copy(node[:], row[1:])
	return node, binary.BigEndian.Uint64(row[1+len(node):]), true
}

// terminator is how many bytes end an escaped key.
const terminator = 2

func appendEscaped(dst, key []byte) []byte {
	for _, c := range key {
		dst = append(dst, c)
		if c == 0 {
			dst = append(dst, 0xff)
		}
	}
	return append(dst, 0, 1)
}

func cutEscaped(b []byte) (key, rest []byte, ok bool) {
	for i := 0; i+1 < len(b); i++ {
		if b[i] != 0 {
			key = append(key, b[i])
			continue
		}
		switch b[i+1] {
		case 1:
			return key, b[i+2:], true
		case 0xff:
			key = append(key, 0)
			i++
		default:
			return nil, nil, false
		}
	}
	return nil, nil, false
}
