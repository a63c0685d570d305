package bus

import (
	"errors"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/numax-mesh/numax/sandbox"
)

// A full outbox refuses, for one node before for all, and has room again when something was taken.
func TestOutboxFull(t *testing.T) {
	o, err := openOutbox(memory(t))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	payload := make([]byte, MaxPayload)
	var stamp uint64
	fill := func(to Key) (n int) {
		for {
			stamp++
			switch err := o.add(to, stamp, "m", payload, now); {
			case errors.Is(err, sandbox.ErrQuota):
				return n
			case err != nil:
				t.Fatal(err)
			}
			n++
		}
	}
	first, second := fill(public("a")), fill(public("b"))
	if first == 0 || second == 0 || (first+second)*MaxPayload > MaxOutboxBytes {
		t.Fatalf("%d and %d messages fit, want some of both", first, second)
	}
	list, _ := o.due(public("a"), now, 1)
	if err := o.settle(public("a"), []verdict{{list[0].stamp, true}}, now); err != nil {
		t.Fatal(err)
	}
	if got := fill(public("b")) + fill(public("a")); got != 1 {
		t.Errorf("%d fit after one was taken, want 1", got)
	}
}

// What nobody takes is dropped one day.
func TestExpire(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newLab(t)
		store := memory(t)
		a, stop := l.open("a", store)
		if err := a.Send(t.Context(), "m", nodeName(public("b")), "s", nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(MaxAge - time.Hour)
		stop()
		a, stop = l.open("a", store) // it knows how old it is
		if got := a.Stats().Waiting; got != 1 {
			t.Errorf("%d wait, want 1", got)
		}
		time.Sleep(2 * time.Hour)
		if got := a.Stats().Waiting; got != 0 {
			t.Errorf("%d wait, want 0", got)
		}
		stop()
		a, _ = l.open("a", store)
		if got := a.Stats().Waiting; got != 0 {
			t.Errorf("%d wait after a restart, want 0", got)
		}
	})
}

// However adds, verdicts and restarts follow each other, what was not taken is there, and the sums are right.
func TestOutboxLaws(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		store := memory(t)
		o, err := openOutbox(store)
		if err != nil {
			rt.Fatal(err)
		}
		want := make(map[uint64]int)
		to := public("b")
		var stamp uint64
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			switch rapid.IntRange(0, 3).Draw(rt, "act") {
			case 0, 1:
				stamp++
				content := appendContent(nil, "s", []byte(strconv.FormatUint(stamp, 10)))
				if err := o.add(to, stamp, "m", content, time.Now()); err != nil {
					rt.Fatal(err)
				}
				want[stamp] = len(appendRow(nil, time.Now(), "m", content))
			case 2:
				if o.to[to] == nil {
					continue
				}
				list, _ := o.due(to, time.Now().Add(time.Hour), 3)
				var got []verdict
				for _, x := range list {
					v := verdict{x.stamp, rapid.Bool().Draw(rt, "taken")}
					got = append(got, v)
					if v.taken {
						delete(want, x.stamp)
					}
				}
				if err := o.settle(to, got, time.Now()); err != nil {
					rt.Fatal(err)
				}
			case 3:
				if o, err = openOutbox(store); err != nil {
					rt.Fatal(err)
				}
			}
			sum := 0
			for _, size := range want {
				sum += size
			}
			if n, bytes := o.size(); n != len(want) || bytes != sum {
				rt.Fatalf("%d messages of %d bytes, want %d of %d", n, bytes, len(want), sum)
			}
		}
		for stamp := range want {
			if _, err := o.content(to, stamp); err != nil {
				rt.Errorf("message %d: %v", stamp, err)
			}
		}
	})
}

// Stamps grow, whatever the clock does and over restarts.
func TestStamps(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		store := memory(t)
		s, err := openStamps(store)
		if err != nil {
			rt.Fatal(err)
		}
		var last uint64
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			if rapid.IntRange(0, 4).Draw(rt, "restart") == 0 {
				if s, err = openStamps(store); err != nil {
					rt.Fatal(err)
				}
			}
			got, err := s.next(time.Unix(rapid.Int64Range(-10, 1e7).Draw(rt, "clock"), 0))
			if err != nil || got <= last {
				rt.Fatalf("stamp %d, %v, after %d", got, err, last)
			}
			last = got
		}
	})
}

// However messages come, no more of them and of their bytes are allowed than a burst and what was gained since.
func TestBudget(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := rate{messages: 10, bytes: 1000, burstMessages: 20, burstBytes: 3000}
		began := time.Unix(0, 0)
		now := began
		b := newBudget(r, now)
		messages, bytes := 0.0, 0.0
		for range 200 {
			now = now.Add(time.Duration(rapid.IntRange(-50, 200).Draw(t, "ms")) * time.Millisecond)
			n := rapid.IntRange(0, 500).Draw(t, "size")
			if b.allow(n, now) {
				messages++
				bytes += float64(n)
			}
		}
		// A clock that goes back gains nothing, and what passes then counts again.
		passed := now.Sub(began).Seconds() + 200*0.05
		if messages > r.burstMessages+r.messages*passed || bytes > r.burstBytes+r.bytes*passed {
			t.Fatalf("%v messages of %v bytes in %v s", messages, bytes, passed)
		}
	})
}
