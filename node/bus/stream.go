package bus

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// A stream goes from who sends or answers to who it is for. Both ends are known by the transport, which encrypts:
// nothing is signed or sealed again.
//
//	stream  := item*
//	item    := length 4 ‖ kind 1 ‖ stamp 8 ‖ rest         length of what follows it
//	             send:   rest is content (see frame), stamp names it
//	             answer: rest is the payload, stamp is the question's
//	             ask:    no rest, stamp 0: whether anybody is there
//	verdict := stamp 8 ‖ 1 taken | 0 not now              the other way, one for each item, in any order
//
// An item that is not well-formed ends the stream.
const (
	itemSend   = 1
	itemAnswer = 2
	itemAsk    = 3

	itemHead    = 1 + 8
	maxItem     = itemHead + maxContent
	verdictSize = 8 + 1
)

// Limits of what one peer may have going on here.
const (
	maxStreams = 8                // one of letters, one of answers, and those that end; beyond, one is closed at once
	maxFlying  = 2 * flightWindow // messages whose subscribers are not done; beyond, the verdict is "not now"
)

func appendItem(b []byte, kind byte, stamp uint64, rest []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(itemHead+len(rest)))
	b = append(b, kind)
	return append(binary.BigEndian.AppendUint64(b, stamp), rest...)
}

type item struct {
	kind  byte
	stamp uint64
	rest  []byte
}

// readItem takes no more memory than an item of the length it names, at most maxItem. The error is io.EOF between items.
func readItem(r io.Reader) (i item, err error) {
	var head [4 + itemHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return i, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n < itemHead || n > maxItem {
		return i, fmt.Errorf("%w item of %d bytes", errMalformed, n)
	}
	i = item{kind: head[4], stamp: binary.BigEndian.Uint64(head[5:]), rest: make([]byte, n-itemHead)}
	if _, err := io.ReadFull(r, i.rest); err != nil {
		return i, fmt.Errorf("%w item: %w", errMalformed, err)
	}
	return i, nil
}

// verdict says how an item ended.
type verdict struct {
	stamp uint64
	taken bool
}

func (v verdict) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, v.stamp)
	if v.taken {
		return append(b, 1)
	}
	return append(b, 0)
}

// Serve takes what a peer sends and answers. It returns when the stream or ctx ends, and closes the stream.
func (b *Bus) Serve(ctx context.Context, id string, s io.ReadWriteCloser) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer s.Close()
	defer context.AfterFunc(ctx, func() { _ = s.Close() })()
	from, err := b.o.Find(id)
	if err != nil || !b.enter(id) {
		return
	}
	defer b.leave(id)
	out := make(chan verdict, maxFlying+1)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() {
		defer cancel()
		b.writeVerdicts(ctx, s, out)
	})
	if err := b.serve(ctx, id, from, s, out); !errors.Is(err, io.EOF) && ctx.Err() == nil {
		b.o.Log.Debug("a stream of messages ended", "peer", id, "err", err)
	}
}

func (b *Bus) enter(id string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.peer(id, time.Now())
	if p.streams >= maxStreams {
		return false
	}
	p.streams++
	return true
}

// leave finds the peer anew: it may have been forgotten.
func (b *Bus) leave(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p := b.peers[id]; p != nil {
		p.streams = max(p.streams-1, 0)
	}
}

func (b *Bus) writeVerdicts(ctx context.Context, w io.Writer, out <-chan verdict) {
	for {
		select {
		case v := <-out:
			buf := v.append(nil)
			for range len(out) {
				buf = (<-out).append(buf)
			}
			if _, err := w.Write(buf); err != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// serve takes items until there is no next.
func (b *Bus) serve(ctx context.Context, id string, from Key, s io.Reader, out chan<- verdict) error {
	r := bufio.NewReader(s)
	for {
		i, err := readItem(r)
		if err != nil {
			return err
		}
		if err := b.throttle(ctx, id, len(i.rest)); err != nil {
			return err
		}
		say := func(taken bool) {
			select {
			case out <- verdict{i.stamp, taken}:
			case <-ctx.Done():
			default: // the peer does not read: it will send again
			}
		}
		if !b.o.MaySpeak(from) {
			say(false)
			continue
		}
		switch i.kind {
		case itemAnswer:
			if len(i.rest) > MaxPayload {
				return fmt.Errorf("%w answer of %d bytes", errMalformed, len(i.rest))
			}
			b.answered(i.stamp, i.rest)
			say(true)
		case itemAsk:
			say(true)
		case itemSend:
			subject, payload, err := parseContent(i.rest)
			if err != nil || subject == "" {
				return fmt.Errorf("%w message sent: %w", errMalformed, err)
			}
			if !b.fly(id, 1) {
				say(false)
				continue
			}
			b.inbox.take(letterID{from, i.stamp}, subject, payload, func(taken bool) {
				b.fly(id, -1)
				say(taken)
			})
		default:
			return fmt.Errorf("%w item of kind %d", errMalformed, i.kind)
		}
	}
}

// fly counts what waits for subscribers.
func (b *Bus) fly(id string, n int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.peer(id, time.Now())
	if n > 0 && p.flying >= maxFlying {
		return false
	}
	p.flying = max(p.flying+n, 0)
	return true
}

// throttle waits until a peer may say more: what it writes meanwhile is held back by the stream.
func (b *Bus) throttle(ctx context.Context, id string, n int) error {
	now := time.Now()
	b.mu.Lock()
	wait := b.peer(id, now).budget.wait(n, now)
	b.mu.Unlock()
	if wait <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
