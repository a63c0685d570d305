package replica

import (
	"errors"
	"fmt"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/datastore"
)

// A head is the signed header of the last entry of a log, as far as somebody has it:
//
//	head := uvarint len(header) ‖ header ‖ signature 64
//
// It is the author's own word for how long its log is and which one it is. Whoever
// says that a log goes so far without the entries that show it (a whole state, the
// beginning of a log that was cut) shows the head instead: so nobody can move
// another author's log on. The head of what was cut is kept for that, in the row
//
//	h‖dataset 16‖author 40 → head

// errHead marks a log whose end is not the one that its author signed.
var errHead = errors.New("a log without the header that its author signed for its end")

// checkHead verifies that a head is that of an author's log, at a place. The
// signature, which costs most, only if news is true.
func checkHead(raw []byte, network NetworkID, dataset DatasetID, a crdt.Author, want logHead, news bool) error {
	e, header, err := splitEntry(raw, true)
	if err != nil {
		return err
	}
	if e.Author != a || e.Network != network || e.Dataset != dataset || e.Last() != want.have || e.ID != want.head {
		return fmt.Errorf("%w: %w: %s", ErrMalformed, errHead, a)
	}
	if !news {
		return nil
	}
	return e.verify(header)
}

// storedHead is the head of an entry from our own disk.
func storedHead(raw []byte) ([]byte, error) {
	e, _, err := splitEntry(raw, false)
	if err != nil {
		return nil, err
	}
	return e.head(), nil
}

// signedHead is the head of an author's log where the objects are.
func (l logState) signedHead(r datastore.Reader, id DatasetID, a crdt.Author) ([]byte, error) {
	key := a.Bytes()
	row := datastore.EntryKey(id, key[:], l.applied)
	if l.applied == l.cut { // an entry that is still there may be of another log
		row = datastore.HeadKey(id, key[:])
	}
	raw, err := r.Get(row)
	if err != nil {
		return nil, fmt.Errorf("head of %s at %d: %w", a, l.applied, err)
	}
	if l.applied == l.cut {
		return raw, nil
	}
	return storedHead(raw)
}
