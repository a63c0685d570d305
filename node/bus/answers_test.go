package bus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/numax-mesh/numax/sandbox"
)

// swallow takes what comes and confirms nothing.
func swallow(s io.ReadWriteCloser) { _, _ = io.Copy(io.Discard, s) }

// asks is a node that asks a bus, by gossip, so many times.
func asks(t *testing.T, b *Bus, who string, first, n int) {
	for i := range n {
		f := &frame{kind: kindRequest, from: public(who), stamp: uint64(first + i + 1)}
		raw := f.write([32]byte{1}, testKey(who), nil, appendContent(nil, "q", []byte("x")))
		if v, token := b.Validate(nodeName(public(who)), raw); v == Accept {
			b.Receive(t.Context(), nodeName(public(who)), token)
		}
	}
}

// Nodes that ask without end and confirm no answer, or take none, hold up nobody's question but their own, and do not
// use up what the node may say.
func TestAskersThatConfirmNothing(t *testing.T) {
	for name, serve := range map[string]func(io.ReadWriteCloser){
		"confirm nothing": swallow,
		"take nothing":    func(io.ReadWriteCloser) {},
		"confirm late": func(s io.ReadWriteCloser) {
			for {
				i, err := readItem(s)
				if err != nil {
					return
				}
				time.Sleep(confirmTime / 2)
				if _, err := s.Write((verdict{i.stamp, true}).append(nil)); err != nil {
					return
				}
			}
		},
		"confirm what is none": func(s io.ReadWriteCloser) {
			go swallow(s)
			for i := uint64(0); ; i++ {
				if _, err := s.Write((verdict{1 << 60, true}).append(nil)); err != nil {
					return
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				l := newLab(t)
				a, _ := l.open("a", memory(t))
				b, _ := l.open("b", memory(t))
				payload := make([]byte, 100)
				listen(t, b, "q", func(m Message) error { return m.Reply(payload) })
				enemies := []string{"e1", "e2", "e3"}
				for _, who := range enemies {
					l.serve[nodeName(public(who))] = serve
				}
				for i := range 3 {
					for _, who := range enemies {
						asks(t, b, who, 10_000*i, 400)
					}
					began := time.Now()
					ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
					if _, err := a.Request(ctx, "q", nil); err != nil || time.Since(began) > confirmTime {
						t.Errorf("question %d: %v after %v", i, err, time.Since(began))
					}
					cancel()
					if err := b.Publish(t.Context(), "news", nil); err != nil {
						t.Errorf("the node that is asked has no rate left: %v", err)
					}
					time.Sleep(2 * time.Second)
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				b.answers.mu.Lock()
				defer b.answers.mu.Unlock()
				if b.answers.all != (amount{}) || len(b.answers.of)+len(b.answers.askers) > 0 {
					t.Errorf("after it: %v, %d askers", b.answers.all, len(b.answers.askers))
				}
				for _, pipes := range l.pipes { // of those that take nothing
					for _, p := range pipes {
						_ = p.Close()
					}
				}
			})
		})
	}
}

// A node that has a stream and does not confirm is told by gossip, soon, and from then on at once.
func TestUnconfirmedIsGossiped(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newLab(t)
		a, _ := l.open("a", memory(t))
		b, _ := l.open("b", memory(t))
		l.serve[nodeName(public("a"))] = swallow
		listen(t, b, "q", func(m Message) error { return m.Reply(m.Payload) })
		for i, most := range []time.Duration{2 * confirmTime, 0} {
			began := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
			if _, err := a.Request(ctx, "q", []byte("x")); err != nil || time.Since(began) > most {
				t.Errorf("question %d: %v after %v, want an answer within %v", i, err, time.Since(began), most)
			}
			cancel()
		}
		l.mu.Lock()
		delete(l.serve, nodeName(public("a")))
		l.mu.Unlock()
		time.Sleep(quietTime)
		said := l.said[nodeName(public("b"))]
		if _, err := a.Request(t.Context(), "q", nil); err != nil || l.said[nodeName(public("b"))] != said {
			t.Errorf("when it confirms again: %v, %d frames of gossip", err, l.said[nodeName(public("b"))]-said)
		}
	})
}

// Answers to one node go over one stream, which is opened anew when the other side closed it, and several answers to
// one question are no fault.
func TestOneStreamForAnswers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newLab(t)
		a, _ := l.open("a", memory(t))
		b, _ := l.open("b", memory(t))
		id := nodeName(public("b"))
		for range 2 {
			listen(t, b, "q", func(m Message) error { return m.Reply(m.Payload) })
		}
		ask := func(n int) {
			t.Helper()
			for i := range n {
				if got, err := a.Request(t.Context(), "q", fmt.Append(nil, i)); err != nil || string(got) != fmt.Sprint(i) {
					t.Fatalf("question %d: %q, %v", i, got, err)
				}
			}
			synctest.Wait()
		}
		ask(100)
		if got := l.opened[id]; got != 1 {
			t.Errorf("%d streams for the answers to 100 questions, want 1", got)
		}
		said := l.said[id]
		l.hangUp(id)
		ask(100)
		if got := l.opened[id]; got != 2 || l.said[id] != said {
			t.Errorf("when it was cut: %d streams, want 2, and %d frames of gossip", got, l.said[id]-said)
		}
		time.Sleep(2 * idleTime)
		synctest.Wait()
		if n := len(b.answers.askers); n != 0 {
			t.Errorf("%d askers are kept", n)
		}
	})
}

// What waits for one asker is bounded, and leaves room for others; an asker beyond maxAskers is told by gossip.
func TestAnswersAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		now := time.Now()
		r := newAnswers()
		fill := func(who string, size int) (n int) {
			for {
				queued, err := r.put(answer{public(who), 1, make([]byte, size)}, now)
				if errors.Is(err, sandbox.ErrBusy) || !queued {
					return n
				}
				n++
			}
		}
		sizes := []int{fill("a", 0), fill("b", 0), fill("c", MaxPayload), fill("d", 0)}
		if slices.Contains(sizes, 0) || r.all.n > maxAnswers || r.all.bytes > maxAnswerBytes {
			t.Errorf("room for %v answers, %v in all", sizes, r.all)
		}
		for i := len(r.askers); i < maxAskers; i++ {
			r.askers[public(fmt.Sprint(i))] = new(asker)
		}
		if queued, err := r.put(answer{to: public("late")}, now); queued || err != nil {
			t.Errorf("one asker more: %t, %v", queued, err)
		}
	})
}
