package bus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/numax-mesh/numax/datastore"
	"github.com/numax-mesh/numax/sandbox"
)

// Every subscriber on every node hears of what was published once, with who said it.
func TestPublish(t *testing.T) {
	l := newLab(t)
	a, _ := l.open("a", memory(t))
	b, _ := l.open("b", memory(t))
	var subs [4]taken
	for i, x := range []*Bus{a, a, b, b} {
		listen(t, x, "s", subs[i].deliver)
	}
	from := make(chan string, 1)
	listen(t, b, "s", func(m Message) error { from <- m.From; return errors.New("full") })
	if err := a.Publish(t.Context(), "s", []byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := a.Publish(t.Context(), "other", []byte("y")); err != nil {
		t.Fatal(err)
	}
	for i := range subs {
		if got := subs[i].got; len(got) != 1 || got["x"] != 1 {
			t.Errorf("subscriber %d heard %v, want x once", i, got)
		}
	}
	if got, want := <-from, nodeName(public("a")); got != want {
		t.Errorf("from %s, want %s", got, want)
	}
	if got := b.Stats().Lost; got != 1 {
		t.Errorf("lost %d, want 1: the subscriber that was full", got)
	}
}

func TestDetach(t *testing.T) {
	b, _ := newLab(t).open("a", memory(t))
	var c taken
	listen(t, b, "s", c.deliver)()
	if err := b.Publish(t.Context(), "s", nil); err != nil || c.count() != 0 {
		t.Errorf("a detached subscriber heard %d messages, %v", c.count(), err)
	}
}

// What is not a message is refused before anybody hears of it.
func TestRefused(t *testing.T) {
	b, _ := newLab(t).open("a", memory(t))
	for _, x := range []struct {
		subject string
		size    int
	}{{"", 0}, {"a b", 0}, {"a/b", 0}, {"ü", 0}, {strings.Repeat("a", MaxSubject+1), 0}, {"s", MaxPayload + 1}} {
		payload := make([]byte, x.size)
		_, rerr := b.Request(t.Context(), x.subject, payload)
		for act, err := range map[string]error{
			"publish": b.Publish(t.Context(), x.subject, payload), "request": rerr, "send": b.Send(t.Context(), "m", "", x.subject, payload),
		} {
			if err == nil {
				t.Errorf("%s %q with %d bytes: want an error", act, x.subject, x.size)
			}
		}
	}
	if err := b.Send(t.Context(), "m", "nobody", "s", nil); err == nil {
		t.Error("sent to what is no node")
	}
}

// The first answer is taken, wherever it comes from and whichever way it must take.
func TestRequest(t *testing.T) {
	for _, way := range []string{"here", "stream", "gossip"} {
		t.Run(way, func(t *testing.T) {
			l := newLab(t)
			a, _ := l.open("a", memory(t))
			b, _ := l.open("b", memory(t))
			at := b
			if way == "here" {
				at = a
			}
			l.setCut("b", way == "gossip")
			large := bytes.Repeat([]byte("x"), MaxPayload)
			second := make(chan error, 1)
			listen(t, at, "q", func(m Message) error {
				if err := m.Reply(append(large, 1)); err == nil {
					t.Error("an answer that is too large was taken")
				}
				if err := m.Reply(large); err != nil {
					t.Error(err)
				}
				second <- m.Reply(nil)
				return nil
			})
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			got, err := a.Request(ctx, "q", large)
			if err != nil || !bytes.Equal(got, large) {
				t.Errorf("got %d bytes, %v, want %d", len(got), err, len(large))
			}
			if err := <-second; !errors.Is(err, errAnswered) {
				t.Errorf("a second answer: got %v, want %v", err, errAnswered)
			}
		})
	}
}

func TestNobodyAnswers(t *testing.T) {
	l := newLab(t)
	a, _ := l.open("a", memory(t))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.Request(ctx, "q", nil); !errors.Is(err, sandbox.ErrNotFound) {
		t.Errorf("got %v, want %v", err, sandbox.ErrNotFound)
	}
	if len(a.waiting) != 0 {
		t.Errorf("%d questions are remembered", len(a.waiting))
	}
}

// A node that says more than its rate hears of it, and who says more than that to others is not listened to.
func TestFlood(t *testing.T) { bubble(t, testFlood) }

func testFlood(t *testing.T) {
	l := newLab(t)
	a, _ := l.open("a", memory(t))
	b, _ := l.open("b", memory(t))
	var heard taken
	listen(t, b, "s", heard.deliver)
	large := make([]byte, 32<<10) // so few of them are a flood
	message := func(i int) []byte { return append(large, fmt.Sprint(i)...) }
	var err error
	for i := 0; err == nil && i < 1_000_000; i++ {
		err = a.Publish(t.Context(), "s", message(i))
	}
	if !errors.Is(err, sandbox.ErrBusy) {
		t.Errorf("publish without end: got %v, want %v", err, sandbox.ErrBusy)
	}
	if got, most := heard.count(), int(ownRate.burstBytes)/len(large); got == 0 || got > most {
		t.Errorf("heard %d, want some, at most %d", got, most)
	}
	most := heard.count() + int(authorRate.burstBytes)/len(large)
	for i := range 2 * most { // a node that does not hold back
		f := &frame{kind: kindPublish, from: public("e"), stamp: uint64(i + 1)}
		raw := f.write([32]byte{1}, testKey("e"), nil, appendContent(nil, "s", message(-i)))
		if v, token := b.Validate("e", raw); v == Accept {
			b.Receive(t.Context(), "e", token)
		}
	}
	if got := heard.count(); got > most {
		t.Errorf("heard %d of a flood, want at most %d", got, most)
	}
}

// A message that was sent is told until it is handled: over a cut link, a subscriber that fails, one that comes late,
// and a restart of either side.
func TestSend(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newLab(t)
		there := memory(t)
		here := memory(t)
		a, stopA := l.open("a", here)
		_, stopB := l.open("b", there)
		const n = 300
		l.setCut("b", true)
		for i := range n {
			if err := a.Send(t.Context(), "m", nodeName(public("b")), "s", fmt.Append(nil, i)); err != nil {
				t.Fatal(err)
			}
		}
		stopA()
		a, _ = l.open("a", here)
		if got := a.Stats().Waiting; got != n {
			t.Fatalf("%d wait after a restart, want %d", got, n)
		}
		l.setCut("b", false)
		time.Sleep(time.Minute) // of the bubble: nobody wants them
		stopB()
		b, _ := l.open("b", there)
		tries := 0
		var good taken
		listen(t, b, "s", func(m Message) error {
			tries++
			switch tries % 3 {
			case 0:
				return errors.New("full")
			case 1:
				m.Done(errors.New("crashed"))
				return nil
			}
			return good.deliver(m)
		})
		var steady taken
		listen(t, b, "s", steady.deliver)
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if got := a.Stats(); got.Waiting != 0 || got.WaitingBytes != 0 {
			t.Errorf("%d messages of %d bytes still wait", got.Waiting, got.WaitingBytes)
		}
		for name, c := range map[string]*taken{"failing": &good, "steady": &steady} {
			if len(c.got) != n {
				t.Errorf("the %s subscriber handled %d, want %d", name, len(c.got), n)
			}
			for p, times := range c.got {
				if times != 1 {
					t.Errorf("the %s subscriber handled %s %d times: it had said that it did", name, p, times)
				}
			}
		}
		if err := here.Scan(datastore.OutboxPrefix(), datastore.After(datastore.OutboxPrefix()), func(k, _ []byte) bool {
			t.Errorf("row %x is left", k)
			return false
		}); err != nil {
			t.Error(err)
		}
	})
}

// To this node itself it is no different.
func TestSendHere(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newLab(t)
		a, _ := l.open("a", memory(t))
		for _, to := range []string{"", nodeName(public("a"))} {
			if err := a.Send(t.Context(), "m", to, "s", []byte("to "+to)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(10 * time.Second)
		var c taken
		listen(t, a, "s", c.deliver)
		time.Sleep(maxRetry)
		synctest.Wait()
		if c.count() != 2 || a.Stats().Waiting != 0 {
			t.Errorf("handled %v, %d wait", c.got, a.Stats().Waiting)
		}
	})
}

// A reconnected node is sent to at once, whatever the backoff was.
func TestReconnect(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newLab(t)
		a, _ := l.open("a", memory(t))
		b, _ := l.open("b", memory(t))
		if err := a.Send(t.Context(), "m", nodeName(public("b")), "s", nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute) // nobody wants it: the backoff is at its longest
		l.setCut("b", true)
		time.Sleep(time.Second)
		synctest.Wait()
		told := make(chan time.Time, 1)
		listen(t, b, "s", func(m Message) error { told <- time.Now(); m.Done(nil); return nil })
		began := time.Now()
		l.setCut("b", false)
		if took := (<-told).Sub(began); took > 0 {
			t.Errorf("told %v after the link came back", took)
		}
	})
}

// What nobody wants takes little of the line, and is there when somebody does.
func TestUnwanted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newLab(t)
		a, _ := l.open("a", memory(t))
		b, _ := l.open("b", memory(t))
		const n, size = 500, 10 << 10
		for i := range n {
			if err := a.Send(t.Context(), "m", nodeName(public("b")), "s", append(make([]byte, size), fmt.Sprint(i)...)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		const passed = 2 * time.Minute
		var asked atomic.Int64
		t.Cleanup(b.Attach(func(string) bool { asked.Add(1); return false }, nil))
		time.Sleep(passed)
		if most := againRate.bytes * passed.Seconds() / size; float64(asked.Load()) > 1.1*most {
			t.Errorf("sent %d times in %v, want at most %v", asked.Load(), passed, most)
		}
		var c taken
		listen(t, b, "s", c.deliver)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if c.count() != n || a.Stats().Waiting != 0 {
			t.Errorf("%d were taken, %d wait, want %d and none", c.count(), a.Stats().Waiting, n)
		}
	})
}

// A subscriber that never says that it is done keeps others waiting for nothing but room in the window.
func TestSlowSubscriber(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newLab(t)
		a, _ := l.open("a", memory(t))
		b, _ := l.open("b", memory(t))
		var asleep []Message
		detach := listen(t, b, "slow", func(m Message) error { asleep = append(asleep, m); return nil })
		var quick taken
		listen(t, b, "quick", quick.deliver)
		to := nodeName(public("b"))
		for i := range flightWindow - 1 {
			if err := a.Send(t.Context(), "m", to, "slow", fmt.Append(nil, i)); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 50 {
			if err := errors.Join(a.Send(t.Context(), "m", to, "quick", fmt.Append(nil, i)), a.Publish(t.Context(), "quick", fmt.Append(nil, "p", i))); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if got := quick.count(); got != 100 {
			t.Errorf("the quick one heard %d, want 100", got)
		}
		detach() // all that it had is for whoever comes next
		var next taken
		listen(t, b, "slow", next.deliver)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := next.count(); got != flightWindow-1 || a.Stats().Waiting != 0 {
			t.Errorf("the next one heard %d, %d wait", got, a.Stats().Waiting)
		}
		for _, m := range asleep {
			m.Done(nil) // too late to matter
		}
	})
}
