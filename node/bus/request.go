package bus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/numax-mesh/numax/sandbox"
)

// maxWaiting is how many questions wait for an answer; beyond, ErrBusy.
const maxWaiting = 1024

// Request asks every subscriber on every node, here first, at most once, and returns the first answer. The error is
// sandbox.ErrNotFound if ctx ends without one.
func (b *Bus) Request(ctx context.Context, subject string, payload []byte) ([]byte, error) {
	first := make(chan []byte, 1)
	var about uint64
	begun := func(stamp uint64) {
		about = stamp
		b.mu.Lock()
		defer b.mu.Unlock()
		b.waiting[stamp] = first
	}
	if b.full() {
		return nil, sandbox.ErrBusy
	}
	here := func() func([]byte) error {
		return b.once(func(p []byte) error { offer(first, p); return nil })
	}
	if err := b.say(kindRequest, subject, payload, begun, here); err != nil {
		return nil, err
	}
	defer func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.waiting, about)
	}()
	select {
	case p := <-first:
		return p, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("bus: nobody answered %s: %w", subject, sandbox.ErrNotFound)
	}
}

func (b *Bus) full() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.waiting) >= maxWaiting
}

// offer answers a question, if nobody has yet.
func offer(first chan []byte, payload []byte) {
	select {
	case first <- bytes.Clone(payload):
	default:
	}
}

// answered is told of answers to what this node asked.
func (b *Bus) answered(about uint64, payload []byte) {
	b.mu.Lock()
	first := b.waiting[about]
	b.mu.Unlock()
	if first != nil {
		offer(first, payload)
	}
}

var errAnswered = errors.New("bus: it has been answered")

// once is a Message.Reply.
func (b *Bus) once(send func([]byte) error) func([]byte) error {
	var done atomic.Bool
	return func(payload []byte) error {
		switch {
		case len(payload) > MaxPayload:
			return fmt.Errorf("bus: answer of %d bytes: at most %d", len(payload), MaxPayload)
		case done.Swap(true):
			return errAnswered
		}
		return send(payload)
	}
}

func (b *Bus) replier(to Key, about uint64) func([]byte) error {
	return b.once(func(payload []byte) error {
		if !b.o.MaySpeak(b.self) {
			return sandbox.ErrDenied
		}
		return b.sendAnswer(answer{to, about, bytes.Clone(payload)})
	})
}
