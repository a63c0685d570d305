package blob

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zeebo/blake3"

	"github.com/numax-mesh/numax/sandbox"
)

// Peers that are silent or drip hold the fetches of the module that asked them, and those of no other.
func TestSlowPeersHoldNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		honest := newExchange(t, nil, io.Discard)
		net := new(ring)
		for i := range 3 {
			net.add(fmt.Sprint("silent ", i), answers(nil))
			net.add(fmt.Sprint("drips ", i), paced(append(head(MaxSize), make([]byte, 4<<20)...), 20<<10, 500*time.Millisecond))
		}
		net.add("honest", honest.Serve)
		x := newExchange(t, net, io.Discard)
		busy, stop := context.WithCancel(t.Context())
		var instances sync.WaitGroup
		for i := range 20 {
			instances.Go(func() {
				for n := 0; busy.Err() == nil; n++ {
					call, cancel := context.WithTimeout(busy, 10*time.Second)
					_ = x.Session("busy", nil).Fetch(call, Hash(blake3.Sum256(fmt.Appendf(nil, "nobody has it %d/%d", i, n))))
					cancel()
				}
			})
		}
		time.Sleep(3 * time.Second)
		for i := range 3 {
			h := put(t, honest.o.Store, "m", fmt.Append(large, i))
			call, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			if err := x.Session("other", nil).Fetch(call, h); err != nil {
				t.Errorf("fetch %d of another module: %v", i, err)
			}
			cancel()
		}
		stop()
		instances.Wait()
		time.Sleep(2 * time.Minute) // whoever still serves gives up
		if x.fetches.all+x.asked.all+x.askedFor.all > 0 || len(x.flights) > 0 {
			t.Errorf("after it: %d fetches, %d and %d streams, %d flights", x.fetches.all, x.asked.all, x.askedFor.all, len(x.flights))
		}
	})
}

// One module has two streams to a peer and no more, so that others get theirs.
func TestModulesShareAPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var at atomic.Int32
		gate := make(chan struct{})
		net := new(ring)
		net.add("peer", func(_ context.Context, _ string, s io.ReadWriteCloser) {
			at.Add(1)
			<-gate
			_ = s.Close()
		})
		x := newExchange(t, net, io.Discard)
		var all sync.WaitGroup
		fetch := func(owner string, n int) {
			for i := range n {
				all.Go(func() { _ = x.Session(owner, nil).Fetch(t.Context(), Hash{byte(i), owner[0]}) })
			}
			synctest.Wait()
		}
		fetch("m", 10)
		if got := at.Load(); got != maxPeerModule {
			t.Errorf("10 fetches of one module: %d streams to a peer, want %d", got, maxPeerModule)
		}
		fetch("n", 1)
		if got := at.Load(); got != maxPeerModule+1 {
			t.Errorf("and one of another: %d streams, want %d", got, maxPeerModule+1)
		}
		close(gate)
		all.Wait()
	})
}

// A peer that had time and did not use it is blamed also when the time of the call ends first, and one that had none is
// not.
func TestBlamedWhenTheCallEnds(t *testing.T) {
	h := Hash(blake3.Sum256(large))
	for name, serve := range map[string]func(context.Context, string, io.ReadWriteCloser){
		"silent": answers(nil),
		"drips":  paced(append(head(uint64(len(large))), large...), 20<<10, 500*time.Millisecond),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				defer time.Sleep(2 * time.Minute) // whoever still serves gives up
				a := newExchange(t, nil, io.Discard)
				put(t, a.o.Store, "m", large)
				for range 10 {
					net := new(ring)
					net.add("bad", serve)
					log := new(lines)
					x := newExchange(t, net, log)
					ask := func(within time.Duration) error {
						call, cancel := context.WithTimeout(t.Context(), within)
						defer cancel()
						return x.Session("m", nil).Fetch(call, h)
					}
					if err := ask(100 * time.Millisecond); !errors.Is(err, sandbox.ErrNotFound) || log.count("too slow") > 0 {
						t.Fatalf("a call without time: %v, log %q", err, log.b.String())
					}
					if err := ask(3 * time.Second); !errors.Is(err, sandbox.ErrNotFound) || log.count("too slow") != 1 {
						t.Fatalf("a call that ended first: %v, log %q", err, log.b.String())
					}
					net.add("good", a.Serve)
					net.asked = nil
					if err := ask(3 * time.Second); err != nil || !slices.Equal(net.asked, []string{"good"}) {
						t.Fatalf("then asked %q: %v", net.asked, err)
					}
				}
			})
		})
	}
}

// Another peer is asked a second after the first, beside it; and none while one sends as it should.
func TestAskedBeside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		defer time.Sleep(2 * time.Minute) // whoever still serves gives up
		h := Hash(blake3.Sum256(large))
		a := newExchange(t, nil, io.Discard)
		put(t, a.o.Store, "m", large)
		for range 20 {
			net := new(ring)
			for i := range 2 {
				net.add(fmt.Sprint("silent ", i), answers(nil))
			}
			net.add("good", a.Serve)
			space := &room{most: Cost(int64(len(large)))}
			began := time.Now()
			if err := newExchange(t, net, io.Discard).Session("m", space).Fetch(t.Context(), h); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took > 2*besideAfter || space.used != space.most {
				t.Errorf("asked %q: it took %v, and %d bytes, want %d", net.asked, took, space.used, space.most)
			}
		}
		body := bytes.Repeat([]byte("x"), 4<<20)
		net := new(ring)
		for i := range 2 {
			net.add(fmt.Sprint("steady ", i), paced(append(head(uint64(len(body))), body...), chunk, 50*time.Millisecond))
		}
		if err := newExchange(t, net, io.Discard).Session("m", nil).Fetch(t.Context(), blake3.Sum256(body)); err != nil || len(net.asked) != 1 {
			t.Errorf("asked %q: %v", net.asked, err)
		}
	})
}

// However peers that are slow are asked first, one second each is what they take: when all places are theirs, one of
// them gives way.
func TestSlowestGivesWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		defer time.Sleep(2 * time.Minute) // whoever still serves gives up
		h := Hash(blake3.Sum256(large))
		a := newExchange(t, nil, io.Discard)
		put(t, a.o.Store, "m", large)
		for range 10 {
			net := new(ring)
			for i := range 2 * maxBeside {
				net.add(fmt.Sprint("drips ", i), paced(append(head(MaxSize), make([]byte, 4<<20)...), 20<<10, 500*time.Millisecond))
			}
			net.add("good", a.Serve)
			began := time.Now()
			err := newExchange(t, net, io.Discard).Session("m", nil).Fetch(t.Context(), h)
			if took := time.Since(began); err != nil || took > (2*maxBeside+1)*besideAfter {
				t.Errorf("asked %q: %v after %v", net.asked, err, took)
			}
		}
	})
}

// A peer that is slower than minSpeed is given up soon; one that pauses, and is faster on average, is not.
func TestMinSpeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := Hash(blake3.Sum256(large))
		answer := append(head(uint64(len(large))), large...)
		fetch := func(serve func(context.Context, string, io.ReadWriteCloser)) (time.Duration, error) {
			net := new(ring)
			net.add("peer", serve)
			began := time.Now()
			err := newExchange(t, net, io.Discard).Session("m", nil).Fetch(t.Context(), h)
			return time.Since(began), err
		}
		if took, err := fetch(paced(answer, minSpeed/4, 500*time.Millisecond)); err == nil || took > 3*askTime {
			t.Errorf("at half of the least speed: %v after %v, want an end within %v", err, took, 3*askTime)
		}
		if took, err := fetch(paced(answer, minSpeed*8, 4*time.Second)); err != nil {
			t.Errorf("with pauses: %v after %v", err, took)
		}
		time.Sleep(2 * time.Minute) // whoever still serves gives up
	})
}

// Peers that take what they asked for as slowly as they can hold their own share of the answers.
func TestSlowReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newExchange(t, nil, io.Discard)
		h := put(t, x.o.Store, "m", large)
		enemies, stop := context.WithCancel(t.Context())
		for i := range 4 {
			for range maxPeerStreams {
				here, there := net.Pipe()
				go x.Serve(enemies, fmt.Sprint("enemy ", i), there)
				go func() {
					_, err := here.Write(h[:])
					for p := make([]byte, 1); err == nil; time.Sleep(time.Second) {
						_, err = here.Read(p)
					}
				}()
			}
		}
		synctest.Wait()
		net := new(ring)
		net.add("x", x.Serve)
		if n, err := size(t.Context(), newExchange(t, net, io.Discard).Session("m", nil), h); n != int64(len(large)) || err != nil {
			t.Errorf("an honest peer gets %d, %v", n, err)
		}
		stop()
		time.Sleep(2 * time.Minute)
	})
}

// The list of those that are asked late forgets the oldest, not all.
func TestManyShunned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newExchange(t, new(ring), io.Discard)
		for i := range maxShunned + 10 {
			x.blame(fmt.Sprint(i), Hash{}, errWrong)
			time.Sleep(time.Millisecond)
		}
		if _, ok := x.shunned["10"]; len(x.shunned) != maxShunned || !ok {
			t.Errorf("%d are known, want %d, among them the tenth: %t", len(x.shunned), maxShunned, ok)
		}
	})
}

// paced writes so many bytes each interval.
func paced(answer []byte, size int, every time.Duration) func(context.Context, string, io.ReadWriteCloser) {
	return func(_ context.Context, _ string, s io.ReadWriteCloser) {
		defer s.Close()
		_, err := io.ReadFull(s, make([]byte, 32))
		for p := range slices.Chunk(answer, size) {
			if err == nil {
				_, err = s.Write(p)
			}
			if err != nil {
				return
			}
			time.Sleep(every)
		}
		_, _ = s.Read(make([]byte, 1))
	}
}
