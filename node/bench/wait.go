package bench

import (
	"context"
	"fmt"
	"time"
)

// convergeTime is when a scenario gives up waiting.
const convergeTime = time.Minute

// pollEvery is how often until looks, and so how exact times are that end with
// it.
const pollEvery = time.Millisecond

// until waits for done, for as long as ctx lasts.
func until(ctx context.Context, done func() (bool, error)) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("gave up: %w", ctx.Err())
		}
	}
}

// soon is until, for no longer than convergeTime.
func soon(ctx context.Context, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, convergeTime)
	defer cancel()
	return until(ctx, done)
}

// pause waits, unless ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
