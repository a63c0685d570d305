package replica

import "time"

// Trickle (RFC 6206) decides when a session sends a beacon: soon after a
// change, then ever more rarely, and not at all in an interval in which the
// peer's beacon was equal to ours.
//
//	change → 100 ms → 250 ms → 500 ms → 1 s → 2 s → … → 30 s → 30 s → …
//
// While changes go on, roots differ by what is under way, and a beacon would
// only fetch it twice: one is sent when they pause, but once a second at least.
type trickle struct {
	interval time.Duration
	due      time.Time
	latest   time.Time // due is not put off beyond this
	quiet    bool      // an equal beacon was heard in this interval
}

const (
	trickleMin    = 100 * time.Millisecond
	trickleMax    = 30 * time.Second
	tricklePutOff = time.Second
)

// reset begins the shortest interval.
func (t *trickle) reset(now time.Time) {
	t.quiet = false
	if t.interval != trickleMin {
		t.interval = trickleMin
		t.latest = now.Add(tricklePutOff)
	}
	t.due = now.Add(trickleMin)
	if t.due.After(t.latest) {
		t.due = t.latest
	}
}

// heard notes an equal beacon of the peer.
func (t *trickle) heard() { t.quiet = true }

// until is the time to the end of the interval.
func (t *trickle) until(now time.Time) time.Duration {
	if t.interval == 0 {
		t.reset(now)
	}
	return max(t.due.Sub(now), 0)
}

// fire ends the interval and begins the next; it reports whether to send.
func (t *trickle) fire(now time.Time) bool {
	if now.Before(t.due) {
		return false
	}
	send := !t.quiet
	switch {
	case t.interval == trickleMin:
		t.interval = 250 * time.Millisecond
	default:
		t.interval = min(2*t.interval, trickleMax)
	}
	t.due = now.Add(t.interval)
	t.quiet = false
	return send
}
