package bus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/numax-mesh/numax/datastore"
)

// stamps are a node's own: microseconds of its clock, but that they always grow, also over a restart on a machine
// whose clock fell back. What may have been used is on disk before it is.
type stamps struct {
	store *datastore.Store

	// mu is held over the disk once in reserveAhead.
	mu       sync.Mutex
	last     uint64
	reserved uint64 // on disk: no stamp above it was used
}

var stampKey = datastore.InfoKey("bus stamp")

// reserveAhead is how far ahead stamps are reserved on disk.
const reserveAhead = uint64(time.Hour / time.Microsecond)

func openStamps(store *datastore.Store) (*stamps, error) {
	b, err := store.Get(stampKey)
	switch {
	case errors.Is(err, datastore.ErrNotFound):
		return &stamps{store: store}, nil
	case err != nil:
		return nil, err
	case len(b) != 8:
		return nil, fmt.Errorf("stamp row of %d bytes: %w", len(b), datastore.ErrDamaged)
	}
	last := binary.BigEndian.Uint64(b)
	return &stamps{store: store, last: last, reserved: last}, nil
}

func (s *stamps) next(now time.Time) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	stamp := max(s.last+1, uint64(max(now.UnixMicro(), 0)))
	if stamp > s.reserved {
		var b datastore.Batch
		b.Put(stampKey, binary.BigEndian.AppendUint64(nil, stamp+reserveAhead))
		if err := s.store.Write(&b); err != nil {
			return 0, fmt.Errorf("bus: reserve stamps: %w", err)
		}
		s.reserved = stamp + reserveAhead
	}
	s.last = stamp
	return stamp, nil
}
