package blob

import (
	"context"
	"io"
	"sync/atomic"
	"time"
)

// What a peer has time for; a stream that takes longer is closed.
const (
	askTime = 5 * time.Second // to ask, or to begin to answer; and for a pause in the middle
	// minSpeed, in bytes a second, is how fast a blob must go over a line. Over any time t it is so many times t less
	// askTime.
	minSpeed = 32 << 10
	// partTime is for each chunk.
	partTime = chunk * time.Second / minSpeed
)

// line is a stream that is closed when it is slower than minSpeed, or a context ends. It is for one goroutine.
type line struct {
	io.ReadWriteCloser
	timer *time.Timer
	due   time.Time // when the timer ends
	late  atomic.Bool
	stop  func() bool
}

func newLine(ctx context.Context, s io.ReadWriteCloser) *line {
	l := &line{ReadWriteCloser: s, due: time.Now().Add(askTime)}
	l.timer = time.AfterFunc(askTime, func() {
		l.late.Store(true)
		_ = s.Close()
	})
	l.stop = context.AfterFunc(ctx, func() { _ = s.Close() })
	return l
}

// part gives the next n bytes their time, beside what is left of that of others.
func (l *line) part(n int64) {
	now := time.Now()
	l.due = l.due.Add(time.Duration(n) * time.Second / minSpeed)
	if most := now.Add(askTime); l.due.After(most) {
		l.due = most
	}
	l.timer.Reset(l.due.Sub(now))
}

// Close ends the stream.
func (l *line) Close() error {
	l.timer.Stop()
	l.stop()
	return l.ReadWriteCloser.Close()
}
