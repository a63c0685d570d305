package blob

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zeebo/blake3"

	"github.com/numax-mesh/numax/sandbox"
)

// Peers that answer with what the blob is not, or not at all, cost their time and nothing else; what they did is in the
// log, once, and they are not asked again, or last.
func TestHostilePeers(t *testing.T) {
	h := Hash(blake3.Sum256(large))
	total := uint64(len(large))
	wrong := append(head(total), large...)
	wrong[len(wrong)-1] ^= 1
	for name, x := range map[string]struct {
		serve func(context.Context, string, io.ReadWriteCloser)
		log   string
		most  time.Duration
	}{
		"other bytes":      {answers(wrong), "sent other bytes", 0},
		"shorter":          {answers(append(head(total-1), large...)), "sent other bytes", 0},
		"too large":        {answers(head(MaxSize + 1)), "over the limit", 0},
		"2^64 bytes":       {answers(head(1<<64 - 1)), "over the limit", 0},
		"no such answer":   {answers([]byte{9}), "malformed", 0},
		"silence":          {answers(nil), "too slow", askTime},
		"a head, then not": {answers(head(total)), "too slow", askTime + partTime},
		"cut short": {func(_ context.Context, _ string, s io.ReadWriteCloser) {
			_, _ = io.ReadFull(s, make([]byte, 32))
			_, _ = s.Write(append(head(total), large[:total/2]...))
			_ = s.Close()
		}, "broke off after", 0},
		"hangs up":     {func(_ context.Context, _ string, s io.ReadWriteCloser) { _ = s.Close() }, "broke off", 0},
		"never reads":  {func(context.Context, string, io.ReadWriteCloser) {}, "too slow", askTime},
		"unreachable":  {nil, "broke off", 0},
		"byte by byte": {drip(append(head(total), large...), time.Second), "too slow", askTime + partTime},
		"endless": {func(_ context.Context, _ string, s io.ReadWriteCloser) {
			_, _ = io.ReadFull(s, make([]byte, 32))
			_, err := s.Write(head(MaxSize))
			for p := make([]byte, 1<<20); err == nil; {
				_, err = s.Write(p)
			}
		}, "sent other bytes", 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := new(lines)
				net := new(ring)
				net.add("bad", x.serve)
				b := newExchange(t, net, log)
				space := &room{most: 2 * MaxSize}
				s := b.Session("m", space)
				began := time.Now()
				if _, err := size(t.Context(), s, h); !errors.Is(err, sandbox.ErrNotFound) {
					t.Errorf("from a bad peer alone: %v", err)
				}
				if took := time.Since(began); took > x.most {
					t.Errorf("it took %v, want %v", took, x.most)
				}
				if space.used != 0 || len(files(t, b.o.Store.dir)) > 0 {
					t.Errorf("%d used, left %q", space.used, files(t, b.o.Store.dir))
				}
				a := newExchange(t, nil, io.Discard)
				put(t, a.o.Store, "m", large)
				net.add("good", a.Serve)
				net.asked = nil
				if n, err := size(t.Context(), s, h); n != int64(total) || err != nil {
					t.Errorf("with a good peer: %d, %v", n, err)
				}
				if !slices.Equal(net.asked, []string{"good"}) {
					t.Errorf("asked %q: the bad one again", net.asked)
				}
				if n := log.count(x.log); n != 1 {
					t.Errorf("%d lines with %q in the log, want 1:\n%s", n, x.log, log.b.String())
				}
				time.Sleep(time.Minute) // whoever still serves gives up
			})
		})
	}
}

// A fetch goes on to the next peer until one has it, whatever the ones before did; a liar is not asked again for a while.
func TestNextPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := Hash(blake3.Sum256(large))
		a := newExchange(t, nil, io.Discard)
		put(t, a.o.Store, "m", large)
		half := func(_ context.Context, _ string, s io.ReadWriteCloser) {
			_, _ = io.ReadFull(s, make([]byte, 32))
			_, _ = s.Write(append(head(uint64(len(large))), large[:len(large)/2]...))
			_ = s.Close()
		}
		for range 20 {
			net := new(ring)
			net.add("absent", newExchange(t, nil, io.Discard).Serve)
			net.add("half", half)
			net.add("silent", answers(nil))
			net.add("liar", answers(append(head(1), 'x')))
			b := newExchange(t, net, io.Discard)
			if err := b.Session("m", nil).Fetch(t.Context(), h); !errors.Is(err, sandbox.ErrNotFound) {
				t.Fatal(err)
			}
			net.asked = nil
			if err := b.Session("m", nil).Fetch(t.Context(), h); !errors.Is(err, sandbox.ErrNotFound) {
				t.Fatal(err)
			}
			if net.asked[0] != "absent" || len(net.asked) != 3 || slices.Contains(net.asked, "liar") {
				t.Errorf("then asked %q, want absent first and the liar not", net.asked)
			}
			time.Sleep(shunTime)
			net.add("a", a.Serve)
			if n, err := size(t.Context(), b.Session("m", nil), h); n != int64(len(large)) || err != nil {
				t.Errorf("asked %q: %d, %v", net.asked, n, err)
			}
			time.Sleep(time.Minute) // whoever still serves gives up
		}
	})
}

// drip writes a byte each interval.
func drip(answer []byte, every time.Duration) func(context.Context, string, io.ReadWriteCloser) {
	return func(_ context.Context, _ string, s io.ReadWriteCloser) {
		defer s.Close()
		_, err := io.ReadFull(s, make([]byte, 32))
		for i := 0; i < len(answer) && err == nil; i++ {
			_, err = s.Write(answer[i : i+1])
			time.Sleep(every)
		}
	}
}

// Requests that are none, and peers that do not take what they asked for, are over soon; so many as a peer may have
// streams hold up nobody else.
func TestHostileRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newExchange(t, nil, io.Discard)
		h := put(t, x.o.Store, "m", large)
		began := time.Now()
		var over sync.WaitGroup
		var ends []io.Closer
		for i := range 3 * maxPeerStreams {
			here, there := net.Pipe()
			ends = append(ends, here)
			over.Go(func() { x.Serve(t.Context(), "enemy", there) })
			switch i % 3 {
			case 0: // says nothing
			case 1:
				go func() { _, _ = here.Write(h[:7]) }()
			case 2:
				go func() { _, _ = here.Write(h[:]) }()
			}
		}
		synctest.Wait()
		net := new(ring)
		net.add("x", x.Serve)
		if n, err := size(t.Context(), newExchange(t, net, io.Discard).Session("m", nil), h); n != int64(len(large)) || err != nil {
			t.Errorf("an honest peer gets %d, %v", n, err)
		}
		over.Wait()
		if took := time.Since(began); took > askTime+partTime {
			t.Errorf("served for %v", took)
		}
		if x.streams.all > 0 || x.answers.all > 0 {
			t.Errorf("after it: %d streams, %d answers", x.streams.all, x.answers.all)
		}
		for _, c := range ends {
			_ = c.Close()
		}
	})
}
