package datastore

import (
	"context"
	"fmt"
	"time"

	"github.com/syndtr/goleveldb/leveldb/util"
)

// compactEnd is how long closing waits for a compaction. goleveldb breaks it off
// without harm, but not cleanly: the answer is sent on a channel that is being
// closed.
const compactEnd = time.Second

// awaitCompact waits for a running compaction, for a while.
func (s *Store) awaitCompact() (done func()) {
	select {
	case s.compact <- struct{}{}:
		return func() { <-s.compact }
	case <-time.After(compactEnd):
		return func() {}
	}
}

// deleteRows is how many rows DeleteRange deletes in one batch.
const deleteRows = 1 << 12

// Compact rewrites the rows under prefix, so that what was deleted no longer
// takes space. It reads and writes all of them and may take minutes; the store
// serves meanwhile.
func (s *Store) Compact(prefix []byte) error {
	s.compact <- struct{}{}
	defer func() { <-s.compact }()
	s.mu.RLock()
	db := s.db // not to be held for so long: Reopen would wait, and all behind it
	s.mu.RUnlock()
	if db == nil {
		return ErrClosed
	}
	if err := db.CompactRange(util.Range{Start: prefix, Limit: After(prefix)}); err != nil {
		return fmt.Errorf("datastore: compact: %w", explain(s.dir, err))
	}
	return nil
}

// SizeOf is about the number of bytes on disk of the rows under prefix, without
// those of the last few megabytes written.
func (s *Store) SizeOf(prefix []byte) (int64, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.db == nil {
		return 0, ErrClosed
	}
	sizes, err := s.db.SizeOf([]util.Range{{Start: prefix, Limit: After(prefix)}})
	if err != nil {
		return 0, fmt.Errorf("datastore: size: %w", err)
	}
	return sizes.Sum(), nil
}

// DeletePrefix deletes every row under prefix, in batches that are not fsynced:
// what a crash leaves is deleted by who calls again.
func (s *Store) DeletePrefix(ctx context.Context, prefix []byte) error {
	return s.DeleteRange(ctx, prefix, After(prefix))
}

// DeleteRange is DeletePrefix for the rows in [start, limit).
func (s *Store) DeleteRange(ctx context.Context, start, limit []byte) error {
	for {
		var b Batch
		err := s.Scan(start, limit, func(k, _ []byte) bool {
			b.Delete(k)
			return b.Len() < deleteRows
		})
		if err != nil || b.Len() == 0 {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.write(&b, nil); err != nil {
			return err
		}
	}
}
