package bus

import (
	"context"
	"sync"
	"time"
)

// expireEvery is how often what is too old is looked for.
const expireEvery = time.Minute

// runPostman sends a courier to every node in reach that something is due for.
func (b *Bus) runPostman(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	var expired time.Time
	reached := make(map[Key]bool)
	b.moved.Store(true)
	for {
		now := time.Now()
		if now.Sub(expired) >= expireEvery {
			b.expire(now)
			expired = now
		}
		if b.moved.Swap(false) {
			reached = b.reach(reached)
		}
		next := expired.Add(expireEvery)
		for to := range reached {
			l, when := b.outbox.begin(to, now)
			if l != nil {
				wg.Go(func() {
					err := b.carry(ctx, to, l)
					b.outbox.end(to, err, time.Now())
					signal(b.wake)
				})
			} else if !when.IsZero() && when.Before(next) {
				next = when
			}
		}
		t := time.NewTimer(time.Until(next))
		select {
		case <-b.wake:
		case <-t.C:
		case <-ctx.Done():
		}
		t.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

func (b *Bus) expire(now time.Time) {
	dropped, err := b.outbox.expire(now)
	for to, n := range dropped {
		b.o.Log.Warn("messages were dropped: nobody took them in time", "peer", b.o.Name(to), "messages", n, "after", MaxAge)
	}
	if err != nil {
		b.o.Log.Error("cannot drop old messages", "err", err)
	}
}

// reach are the nodes that can be sent something. What waits for one that was not there before is due.
func (b *Bus) reach(before map[Key]bool) map[Key]bool {
	now := map[Key]bool{b.self: true}
	if b.o.Net == nil {
		return now
	}
	for _, id := range b.o.Net.Peers() {
		k, err := b.o.Find(id)
		if err != nil {
			continue
		}
		now[k] = true
		if !before[k] {
			b.outbox.hurry(k)
		}
	}
	return now
}
