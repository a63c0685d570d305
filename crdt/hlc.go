package crdt

// Hybrid logical clocks: stamps for last-writer-wins cells and for display.

// HLC is a hybrid logical clock stamp (Kulkarni et al. 2014):
//
//	63                                     16 15          0
//	| Unix time in milliseconds, 48 bits     | counter     |
type HLC uint64

const (
	// MaxStamp is the highest stamp an operation may carry; higher ones are
	// malformed. It lies 2^32 below the top, so that "cell + 1" cannot wrap.
	MaxStamp HLC = 1<<64 - 1 - 1<<32

	// MaxSkew is how far ahead of the wall clock, in milliseconds, a remote
	// stamp may be and still be adopted.
	MaxSkew = 60_000

	hlcCounterBits = 16
	hlcMaxMillis   = int64(MaxStamp >> hlcCounterBits)
)

// HLCFromTime returns the first stamp of a millisecond. Times before 1970 and
// beyond MaxStamp are clamped.
func HLCFromTime(ms int64) HLC { return HLC(min(max(ms, 0), hlcMaxMillis-1)) << hlcCounterBits }

// Millis returns the Unix time part.
func (h HLC) Millis() int64 { return int64(h >> hlcCounterBits) }

// Clock hands out strictly rising stamps. The zero Clock is ready. It reads no
// time itself and is not safe for concurrent use.
type Clock struct{ last HLC }

// Now returns a stamp above every one returned or adopted before, and not
// below wallMs.
func (c *Clock) Now(wallMs int64) HLC {
	c.last = max(c.last+1, HLCFromTime(wallMs))
	return c.last
}

// Observe makes later stamps exceed remote, unless remote is more than MaxSkew
// ahead of wallMs: one wrong clock must not drag every other along.
func (c *Clock) Observe(remote HLC, wallMs int64) {
	if remote <= HLCFromTime(max(wallMs, 0)+MaxSkew) {
		c.last = max(c.last, remote)
	}
}

// Last returns the latest stamp returned or adopted.
func (c *Clock) Last() HLC { return c.last }
