package replica

import (
	"testing"
	"time"
)

// Gossip carries a burst and then a rate, whatever the clock does; beyond it
// headers travel, and TestLargeValueTravels shows that these do.
func TestInlineBudget(t *testing.T) {
	b := bucket{rate: inlineRate, burst: inlineBurst}
	now := time.Unix(1_700_000_000, 0)
	const n = 8 << 10
	all := func() (sum int) {
		for b.take(now, n) {
			sum += n
		}
		return sum
	}
	for _, c := range []struct {
		after time.Duration
		want  int
	}{
		{0, inlineBurst}, {time.Second, inlineRate}, {time.Second / 2, inlineRate / 2}, {time.Hour, inlineBurst}, {-time.Hour, inlineBurst}, {0, 0},
	} {
		now = now.Add(c.after)
		if got := all(); got > c.want || got < c.want-n {
			t.Errorf("%d bytes after %v more, want %d", got, c.after, c.want)
		}
	}
}
