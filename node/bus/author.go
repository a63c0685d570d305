package bus

import (
	"slices"
	"time"
)

// What is remembered of those who say something by gossip.
const (
	maxAuthors = 1024 // beyond, who was silent longest is forgotten
	maxWindow  = 1024 // stamps of one author
)

// author is what is known of one who says something.
type author struct {
	heard  window
	budget budget
	last   time.Time
}

// window are the highest stamps of an author that were heard. What is lower than all of a full window may have been
// heard before, and is not taken.
//
//	not taken ┄┄┄┄ floor ──── heard, or may still come ────►
type window struct {
	floor  uint64
	stamps []uint64 // above floor, ascending
}

// add reports whether the stamp is news.
func (w *window) add(stamp uint64) bool {
	i, found := slices.BinarySearch(w.stamps, stamp)
	if found || stamp <= w.floor {
		return false
	}
	w.stamps = slices.Insert(w.stamps, i, stamp)
	if len(w.stamps) > maxWindow {
		w.floor = w.stamps[0]
		w.stamps = slices.Delete(w.stamps, 0, 1)
	}
	return true
}

func (w *window) has(stamp uint64) bool {
	_, found := slices.BinarySearch(w.stamps, stamp)
	return found || stamp <= w.floor
}

// touch finds or makes an entry of a bounded table.
func touch[K comparable, V any](table map[K]*V, limit int, k K, last func(*V) *time.Time, now time.Time, begin func() *V) *V {
	v := table[k]
	if v == nil {
		if len(table) >= limit {
			var oldest K
			var since time.Time
			for k, v := range table {
				if t := *last(v); since.IsZero() || t.Before(since) {
					oldest, since = k, t
				}
			}
			delete(table, oldest)
		}
		v = begin()
		table[k] = v
	}
	*last(v) = now
	return v
}
