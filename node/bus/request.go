package bus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/numax-mesh/numax/sandbox"
)

// Limits of questions and answers.
const (
	maxWaiting    = 1024 // questions without an answer yet; beyond, ErrBusy
	maxAnswers    = 256  // answers that wait to be sent; beyond, ErrBusy
	answerStreams = 64   // at a time; beyond, answers wait
	answerTime    = 5 * time.Second
)

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

// answer is one on its way to another node.
type answer struct {
	to      Key
	about   uint64
	payload []byte
}

func (b *Bus) replier(to Key, about uint64) func([]byte) error {
	return b.once(func(payload []byte) error {
		if !b.o.MaySpeak(b.self) {
			return sandbox.ErrDenied
		}
		select {
		case b.reply <- answer{to, about, bytes.Clone(payload)}:
			return nil
		default:
			return sandbox.ErrBusy
		}
	})
}

// runAnswers sends answers until ctx ends.
func (b *Bus) runAnswers(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	room := make(chan struct{}, answerStreams)
	for {
		select {
		case a := <-b.reply:
			select {
			case room <- struct{}{}:
			case <-ctx.Done():
				return
			}
			wg.Go(func() {
				defer func() { <-room }()
				if err := b.answer(ctx, a); err != nil {
					b.o.Log.Debug("cannot answer", "peer", b.o.Name(a.to), "err", err) // at most once
				}
			})
		case <-ctx.Done():
			return
		}
	}
}

// answer answers over a stream; who cannot be reached by one is told by gossip.
func (b *Bus) answer(ctx context.Context, a answer) error {
	if b.answerDirectly(ctx, a) == nil || ctx.Err() != nil {
		return ctx.Err()
	}
	raw, err := b.frame(&frame{kind: kindAnswer, to: a.to, about: a.about}, "", a.payload, nil)
	if err == nil {
		b.gossip(raw)
	}
	return err
}

func (b *Bus) answerDirectly(ctx context.Context, a answer) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	s, err := b.o.Net.Open(ctx, b.o.Name(a.to))
	if err != nil {
		return err
	}
	defer s.Close()
	defer context.AfterFunc(ctx, func() { _ = s.Close() })()
	if _, err := s.Write(appendItem(nil, itemAnswer, a.about, a.payload)); err != nil {
		return err
	}
	// Closing would throw away what is still on its way: the other side says when it has it.
	_, err = io.ReadFull(s, make([]byte, verdictSize))
	return err
}
