package bus

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/numax-mesh/numax/datastore"
	"github.com/numax-mesh/numax/sandbox"
)

// pour sends to nodes that never come until the outbox takes no more of a module.
func pour(t *testing.T, b *Bus, module string, size int) (n int) {
	t.Helper()
	for node := range 12 {
		to := nodeName(public(fmt.Sprint("never ", node)))
		for {
			err := b.Send(t.Context(), module, to, "s", make([]byte, size))
			if errors.Is(err, sandbox.ErrQuota) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
	}
	return n
}

// However many modules fill the outbox with what nobody takes, the next one finds room, also for the nodes that they
// filled it for, and after a restart.
func TestOutboxShares(t *testing.T) {
	for _, size := range []int{0, MaxPayload} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			l := newLab(t)
			store := memory(t)
			a, stop := l.open("a", store)
			for i := range 5 {
				if n := pour(t, a, fmt.Sprint("busy ", i), size); n == 0 {
					t.Errorf("module %d finds no room", i)
				}
			}
			again := func() {
				t.Helper()
				if n := pour(t, a, "busy 0", size); n > 0 {
					t.Errorf("a module that has its share sends %d more", n)
				}
			}
			again()
			stop()
			a, _ = l.open("a", store)
			again()
			for _, node := range []string{"never 0", "another"} {
				if err := a.Send(t.Context(), "honest", nodeName(public(node)), "s", make([]byte, size)); err != nil {
					t.Errorf("another module sends to %s: %v", node, err)
				}
			}
			if got := a.Stats(); got.Waiting > MaxOutbox || got.WaitingBytes > MaxOutboxBytes {
				t.Errorf("%d messages of %d bytes wait", got.Waiting, got.WaitingBytes)
			}
		})
	}
}

// A share leaves room for whoever comes, and shares are within what there is.
func TestShare(t *testing.T) {
	all := amount{MaxOutbox, MaxOutboxBytes}
	var taken amount
	for i := range 20 {
		most := share(all, taken, moduleShare)
		if most.n < 1 || most.bytes < MaxPayload {
			t.Errorf("the share of number %d is %v", i, most)
		}
		taken = taken.plus(most.n, most.bytes)
	}
	if !taken.within(all) {
		t.Errorf("20 shares are %v of %v", taken, all)
	}
}

// The letters of a module that is removed are dropped, on disk too, also while a courier has them; those of others are
// told.
func TestForget(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newLab(t)
		store := memory(t)
		a, stop := l.open("a", store)
		b, _ := l.open("b", memory(t))
		var held []Message
		detach := listen(t, b, "s", func(m Message) error { held = append(held, m); return nil })
		const n = flightWindow + 20
		for i := range n {
			for _, to := range []string{"b", "never"} {
				if err := a.Send(t.Context(), "gone", nodeName(public(to)), "s", fmt.Append(nil, "gone ", i)); err != nil {
					t.Fatal(err)
				}
			}
		}
		synctest.Wait()
		if len(held) != flightWindow {
			t.Fatalf("%d are on their way, want %d", len(held), flightWindow)
		}
		for _, to := range []string{"b", "never"} {
			if err := a.Send(t.Context(), "stays", nodeName(public(to)), "s", []byte("stays")); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := a.Forget("gone"); got != 2*n || err != nil {
			t.Errorf("dropped %d, %v, want %d", got, err, 2*n)
		}
		if got := a.Waiting(); len(got) != 1 || got["stays"] != 2 {
			t.Errorf("then wait %v", got)
		}
		detach()
		var next taken
		listen(t, b, "s", next.deliver)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if next.count() != 1 || next.got["stays"] != 1 {
			t.Errorf("then was told %v", next.got)
		}
		rows := 0
		err := store.Scan(datastore.OutboxPrefix(), datastore.After(datastore.OutboxPrefix()), func(_, _ []byte) bool { rows++; return true })
		if err != nil || rows != 1 {
			t.Errorf("%d rows, %v, want the one for the node that never comes", rows, err)
		}
		stop()
		a, _ = l.open("a", store)
		if got := a.Waiting(); len(got) != 1 || got["stays"] != 1 {
			t.Errorf("after a restart wait %v", got)
		}
	})
}
