package blob

import (
	"context"
	"sync"
	"time"
)

// A module may write, and have fetched, so many bytes a second on average, and at once what a burst allows. Beyond, its
// calls wait: a guest that makes and drops blobs without end must not wear out the disk.
const (
	paceRate  = 16 << 20
	paceBurst = 2 * MaxSize
	paceCall  = 64 << 10 // what each fetch costs, whatever it brings
)

// pace is a token bucket that may be in debt.
type pace struct {
	mu   sync.Mutex // guards the rest
	left float64
	last time.Time
}

func (x *Exchange) paceOf(owner string) *pace {
	x.mu.Lock()
	defer x.mu.Unlock()
	p := x.paces[owner]
	if p == nil {
		p = &pace{left: paceBurst, last: time.Now()}
		x.paces[owner] = p
	}
	return p
}

// charge takes n bytes, and answers how long until the bucket is out of debt.
func (p *pace) charge(n int64) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	p.left = min(p.left+now.Sub(p.last).Seconds()*paceRate, paceBurst) - float64(n)
	p.last = now
	return time.Duration(-p.left / paceRate * float64(time.Second))
}

// wait takes n bytes when the bucket is out of debt.
func (p *pace) wait(ctx context.Context, n int64) error {
	if wait := p.charge(0); wait > 0 {
		t := time.NewTimer(wait)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	p.charge(n)
	return nil
}
