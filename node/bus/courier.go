package bus

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/numax-mesh/numax/datastore"
)

// flightWindow is how many letters to one node wait for their verdict; the others wait here.
const flightWindow = 128

// A node that was killed stays connected for half a minute, and a slow subscriber is silent too: while letters fly, the
// other side is asked every askEvery, and the way is broken if it says nothing for silentAfter.
const (
	askEvery    = 2 * time.Second
	silentAfter = 3 * askEvery
)

// way takes letters to a node. Verdicts come on a channel with room for all that fly and all that is asked. What
// answers ask has stamp 0.
type way interface {
	send(stamp uint64, content []byte) error
	ask() error
	flush() error
}

// carry sends what is due until nothing is, or the way breaks.
func (b *Bus) carry(ctx context.Context, to Key, l *line) error {
	verdicts := make(chan verdict, flightWindow+silentAfter/askEvery+1)
	broken := make(chan error, 1)
	var w way
	if to == b.self {
		w = &short{b.inbox, to, verdicts}
	} else {
		s, err := b.o.Net.Open(ctx, b.o.Name(to))
		if err != nil {
			return err
		}
		var wg sync.WaitGroup
		defer wg.Wait()
		defer s.Close()
		defer context.AfterFunc(ctx, func() { _ = s.Close() })()
		wg.Go(func() { broken <- readVerdicts(s, verdicts) })
		w = &long{w: bufio.NewWriter(s)}
	}
	return b.round(ctx, to, l, w, verdicts, broken)
}

// round is a courier's round: send what is due, settle what came back, begin again.
//
//	due ──► fly ──► taken: forgotten
//	 ▲       └────► not now: due after a while
//	 └── new letters, and those put off
func (b *Bus) round(ctx context.Context, to Key, l *line, w way, verdicts <-chan verdict, broken <-chan error) error {
	flying := make(map[uint64]bool)
	heard, asked := time.Now(), time.Now()
	for {
		list, next := b.outbox.due(to, time.Now(), flightWindow-len(flying))
		for _, x := range list {
			content, err := b.outbox.content(to, x.stamp)
			if errors.Is(err, datastore.ErrNotFound) {
				continue // its module was removed
			}
			if err == nil {
				err = w.send(x.stamp, content)
			}
			if err != nil {
				return err
			}
			flying[x.stamp] = true
		}
		if err := w.flush(); err != nil {
			return err
		}
		if len(flying) == 0 {
			return nil // the postman knows when the next is due
		}
		if ask := time.Now().Add(askEvery); next.IsZero() || len(flying) == flightWindow || ask.Before(next) {
			next = ask
		}
		due := time.NewTimer(time.Until(next))
		select {
		case v := <-verdicts:
			heard = time.Now()
			got := []verdict{v}
			for range len(verdicts) {
				got = append(got, <-verdicts)
			}
			got = slices.DeleteFunc(got, func(v verdict) bool { return !flying[v.stamp] })
			if err := b.outbox.settle(to, got, time.Now()); err != nil {
				return err
			}
			for _, v := range got {
				delete(flying, v.stamp)
			}
		case <-l.wake:
		case <-due.C:
		case err := <-broken:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
		due.Stop()
		if now := time.Now(); now.Sub(heard) >= askEvery && now.Sub(asked) >= askEvery {
			if asked = now; now.Sub(heard) >= silentAfter {
				return errSilent
			}
			if err := w.ask(); err != nil {
				return err
			}
		}
	}
}

// long is the way to another node.
type long struct{ w *bufio.Writer }

func (l *long) send(stamp uint64, content []byte) error {
	_, err := l.w.Write(appendItem(nil, itemSend, stamp, content))
	return err
}

func (l *long) ask() error {
	_, err := l.w.Write(appendItem(nil, itemAsk, 0, nil))
	return err
}

func (l *long) flush() error { return l.w.Flush() }

var (
	errVerdict = errors.New("bus: a verdict on nothing")
	errSilent  = errors.New("bus: the other side says nothing")
)

// readVerdicts reads until the stream ends.
func readVerdicts(r io.Reader, to chan<- verdict) error {
	in := bufio.NewReader(r)
	var b [verdictSize]byte
	for {
		if _, err := io.ReadFull(in, b[:]); err != nil {
			return err
		}
		select {
		case to <- verdict{binary.BigEndian.Uint64(b[:]), b[8] == 1}:
		default: // more verdicts than letters
			return errVerdict
		}
	}
}

// short is the way to this node itself.
type short struct {
	in       *inbox
	self     Key
	verdicts chan<- verdict
}

func (s *short) send(stamp uint64, content []byte) error {
	subject, payload, err := parseContent(content)
	if err != nil {
		return err
	}
	s.in.take(letterID{s.self, stamp}, subject, payload, func(taken bool) {
		select {
		case s.verdicts <- verdict{stamp, taken}:
		default: // of a courier that is gone
		}
	})
	return nil
}

// ask answers itself.
func (s *short) ask() error {
	select {
	case s.verdicts <- verdict{0, true}:
	default:
	}
	return nil
}

func (*short) flush() error { return nil }
