package guest

import (
	"sync"
	"time"

	"github.com/numax-mesh/numax/sandbox"
)

// Rate bounds the writes of a module's instances together: ops and bytes a second, each a bucket that holds one
// second's worth. It is safe for concurrent use; a nil Rate bounds nothing.
type Rate struct {
	ops, bytes float64 // a second

	mu       sync.Mutex // guards the rest
	left     [2]float64 // of ops and bytes
	filled   time.Time
	took     [2]uint64
	exceeded uint64
}

// NewRate is for so many ops and bytes a second.
func NewRate(ops, bytes int64) *Rate {
	r := &Rate{ops: float64(ops), bytes: float64(bytes), filled: time.Now()}
	r.left = [2]float64{r.ops, r.bytes}
	return r
}

// take answers ErrQuota, and takes nothing, when there is not enough left. One write larger than a second's worth is
// taken from a full bucket, which is empty for longer then.
func (r *Rate) take(ops, bytes int) error {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	passed := now.Sub(r.filled).Seconds()
	r.filled = now
	r.left[0] = min(r.left[0]+passed*r.ops, r.ops)
	r.left[1] = min(r.left[1]+passed*r.bytes, r.bytes)
	if r.left[0] < float64(ops) || r.left[1] < min(float64(bytes), r.bytes) {
		r.exceeded++
		return sandbox.ErrQuota
	}
	r.left[0] -= float64(ops)
	r.left[1] -= float64(bytes)
	r.took[0] += uint64(ops)
	r.took[1] += uint64(bytes)
	return nil
}

// Took is how much was written, and how many writes were refused.
func (r *Rate) Took() (ops, bytes, refused uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.took[0], r.took[1], r.exceeded
}
