package crdt

// The families of objects, the kinds of their operations, and the limits.

import "fmt"

// Family is a type of object. The set of operations of a family is closed: a
// change to it makes a new family, so that an older node knows what it cannot
// read.
type Family uint8

// The families this build knows.
const (
	GCounter Family = iota + 1
	PNCounter
	LWWRegister
	LWWMap
	ORSet
	Sequence
)

var familyNames = [...]string{
	GCounter: "gcounter", PNCounter: "pncounter", LWWRegister: "lww-register",
	LWWMap: "lww-map", ORSet: "orset", Sequence: "rga",
}

// Known reports whether this build can read the family.
func (f Family) Known() bool { return f >= GCounter && f <= Sequence }

// String returns the family's name.
func (f Family) String() string {
	if !f.Known() {
		return fmt.Sprintf("family-%d", uint8(f))
	}
	return familyNames[f]
}

// ParseFamily returns the family with the given name.
func ParseFamily(name string) (Family, error) {
	for f := GCounter; f.Known(); f++ {
		if familyNames[f] == name {
			return f, nil
		}
	}
	return 0, fmt.Errorf("crdt: parse family %q: no such family", name)
}

// Kind is what an operation does. The values are part of the body format.
type Kind uint8

// The kinds, and the families that have them.
const (
	Inc    Kind = iota + 1 // GCounter, PNCounter
	Dec                    // PNCounter
	Set                    // LWWRegister, LWWMap
	Remove                 // LWWMap, ORSet
	Add                    // ORSet
	Insert                 // Sequence
	Delete                 // Sequence
)

var kindNames = [...]string{
	Inc: "inc", Dec: "dec", Set: "set", Remove: "remove",
	Add: "add", Insert: "insert", Delete: "delete",
}

// String returns the kind's name.
func (k Kind) String() string {
	if k == 0 || int(k) >= len(kindNames) {
		return fmt.Sprintf("kind-%d", uint8(k))
	}
	return kindNames[k]
}

// hasKind reports whether operations of kind k exist in family f.
func (f Family) hasKind(k Kind) bool {
	switch f {
	case GCounter:
		return k == Inc
	case PNCounter:
		return k == Inc || k == Dec
	case LWWRegister:
		return k == Set
	case LWWMap:
		return k == Set || k == Remove
	case ORSet:
		return k == Add || k == Remove
	case Sequence:
		return k == Insert || k == Delete
	}
	return false
}

// Limits. What exceeds one is refused, never cut.
const (
	MaxKey   = 8 << 10 // bytes in an object's key
	MaxField = 8 << 10 // bytes in a map field or a set element
	MaxValue = 1 << 20 // bytes in a value or a sequence element
	MaxWidth = 1 << 16 // dots in one body
	MaxOps   = 1 << 12 // operations in one body: to apply the costliest takes some 20 ms
	MaxRuns  = 1 << 16 // runs of dots in the operations of one body: the same
	MaxSeq   = 1<<63 - 1
)
