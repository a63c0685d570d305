package blob

import (
	"context"
	"io"
	"sync/atomic"
	"time"
)

// What a peer has time for; a stream that takes longer is closed. The least speed is so chunk in partTime.
const (
	askTime  = 5 * time.Second  // to ask, or to begin to answer
	partTime = 10 * time.Second // for each chunk
)

// line is a stream that is closed when its next part takes too long, or a context ends.
type line struct {
	io.ReadWriteCloser
	timer *time.Timer
	late  atomic.Bool
	stop  func() bool
}

func newLine(ctx context.Context, s io.ReadWriteCloser) *line {
	l := &line{ReadWriteCloser: s}
	l.timer = time.AfterFunc(askTime, func() {
		l.late.Store(true)
		_ = s.Close()
	})
	l.stop = context.AfterFunc(ctx, func() { _ = s.Close() })
	return l
}

// part gives the next part its time.
func (l *line) part() { l.timer.Reset(partTime) }

// Close ends the stream.
func (l *line) Close() error {
	l.timer.Stop()
	l.stop()
	return l.ReadWriteCloser.Close()
}
