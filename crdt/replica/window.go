package replica

import "time"

// The window in which changes gather into one entry and one fsync.
const (
	minWindow  = 2 * time.Millisecond
	maxWindow  = 40 * time.Millisecond
	fullWindow = 64 << 10 // bytes of entries that end the window at once
)

// load chooses the window. Alone, a change should not wait; under load that
// lasts, a longer window means fewer signatures and fsyncs for the same ops,
// here and, for each entry, on every other node. A burst, however large, is one
// commit and makes nobody wait after it.
type load struct {
	last         time.Time
	ops, entries rate
}

// rate is a number a second, smoothed over settle.
type rate float64

// Up to calm the window is the shortest, from busy on the longest.
const (
	// Entries of all authors, a second. Every entry is verified, stored and
	// passed on by every node, so together the nodes write no more of them than
	// small machines bear.
	calmEntries rate = 200
	busyEntries rate = 250

	// Ops of our own, a second.
	calmOps rate = 5_000
	busyOps rate = 20_000

	settle = 8 * maxWindow
)

func (r *rate) note(n int, gap time.Duration) {
	weight := min(gap.Seconds()/settle.Seconds(), 1)
	*r += (rate(float64(n)/gap.Seconds()) - *r) * rate(weight)
}

// between is 0 at calm and below, 1 at busy and above.
func (r rate) between(calm, busy rate) float64 {
	return float64(min(max((r-calm)/(busy-calm), 0), 1))
}

func (l *load) note(now time.Time, ops, entries int) {
	gap := max(now.Sub(l.last), minWindow)
	l.ops.note(ops, gap)
	l.entries.note(entries, gap)
	l.last = now
}

func (l *load) window() time.Duration {
	share := max(l.ops.between(calmOps, busyOps), l.entries.between(calmEntries, busyEntries))
	return minWindow + time.Duration(share*float64(maxWindow-minWindow))
}
