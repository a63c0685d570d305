package crdt

// Group is the operations a body has for one object, in the order they were
// made.
type Group struct {
	Family Family
	Key    []byte
	Ops    []Op   // nil if this build does not know the family
	Raw    []byte // the encoded section, set if this build does not know the family
	Runs   []OpRun
}

// OpRun is Count operations in a row, each Width dots wide, the first of which
// starts at Seq. Runs take the place of Ops in a group of unknown family.
type OpRun struct{ Seq, Width, Count uint64 }

// EncodeBody encodes the operations of one entry.
func EncodeBody(groups []Group, author Author, firstSeq uint64, base HLC) ([]byte, error) {
	panic("soon")
}

// DecodeBody reads what EncodeBody wrote.
func DecodeBody(b []byte, author Author, firstSeq, count uint64, base HLC) ([]Group, error) {
	panic("soon")
}
