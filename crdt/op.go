package crdt

// One mutation, and what makes it well formed.

import "fmt"

// Op is one mutation of one object. Which fields count depends on the family
// and the kind; the others are zero. Objects copy what they keep of an Op.
type Op struct {
	Seq  uint64 // first of the Width dots it takes
	Kind Kind

	// Joined is how many dots a Sequence Delete takes that was several; 0 is 1.
	Joined uint32

	Time HLC    // LWWRegister, LWWMap: the stamp
	P, N uint64 // counters: the author's running totals after this op

	Field  []byte   // LWWMap: the field; ORSet: the element
	Value  []byte   // LWWRegister, LWWMap: the value
	Values [][]byte // Sequence Insert: one value an element

	// Dots are what an ORSet Add replaces, what an ORSet Remove removes, or
	// the elements a Sequence Delete deletes.
	Dots []DotRun

	// Left and Right are the origins of a Sequence Insert: the neighbours of
	// its first element when it was made. Zero is the start or the end.
	Left, Right Dot
}

// Width returns how many dots the op takes: one for each inserted element of
// a sequence, and for each deletion that was joined to one, otherwise one.
func (o *Op) Width() uint64 {
	if o.Kind == Insert {
		return uint64(len(o.Values))
	}
	return uint64(max(o.Joined, 1))
}

// check reports what makes op malformed for a family, if anything.
func (o *Op) check(f Family, author Author) error {
	switch {
	case !f.hasKind(o.Kind):
		return fmt.Errorf("%v has no %v", f, o.Kind)
	case author.IsZero():
		return fmt.Errorf("no author")
	case o.Seq == 0 || o.Seq > MaxSeq-o.Width():
		return fmt.Errorf("sequence number %d out of range", o.Seq)
	case o.Joined == 1 || o.Joined > 1 && o.Kind != Delete:
		return fmt.Errorf("%v of %d dots", o.Kind, o.Joined)
	case o.Time > MaxStamp:
		return fmt.Errorf("stamp %d above the maximum", o.Time)
	case len(o.Field) > MaxField:
		return fmt.Errorf("field of %d bytes", len(o.Field))
	case len(o.Value) > MaxValue:
		return fmt.Errorf("value of %d bytes", len(o.Value))
	case f == GCounter && o.N != 0:
		return fmt.Errorf("a grow-only counter counts down")
	}
	for _, r := range o.Dots {
		if !r.valid() {
			return fmt.Errorf("bad run of dots")
		}
		if f == ORSet && r.Author == author && r.First+r.Len > o.Seq {
			return fmt.Errorf("run of dots reaches past the op")
		}
	}
	if o.Kind == Insert {
		return o.checkInsert(author)
	}
	return nil
}

func (o *Op) checkInsert(author Author) error {
	if len(o.Values) == 0 || len(o.Values) > MaxWidth {
		return fmt.Errorf("insert of %d elements", len(o.Values))
	}
	for _, v := range o.Values {
		if len(v) > MaxValue {
			return fmt.Errorf("element of %d bytes", len(v))
		}
	}
	for _, d := range [...]Dot{o.Left, o.Right} {
		switch {
		case d.Author.IsZero() != (d.Seq == 0), d.Seq > MaxSeq:
			return fmt.Errorf("bad origin")
		case d.Author == author && d.Seq >= o.Seq:
			return fmt.Errorf("origin past the op")
		}
	}
	return nil
}
