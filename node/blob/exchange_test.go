package blob

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zeebo/blake3"

	"github.com/numax-mesh/numax/sandbox"
)

// What one node made another reads, keeps, and counts; piece by piece it is what was written.
func TestExchange(t *testing.T) {
	ctx := t.Context()
	a := newExchange(t, nil, io.Discard)
	maker := a.Session("maker", nil)
	for _, data := range [][]byte{nil, []byte("small"), large[:chunk-headSize], large[:chunk], large} {
		for p := range slices.Chunk(data, 3*chunk) {
			if err := maker.Write(ctx, p); err != nil {
				t.Fatal(err)
			}
		}
		h, err := maker.Finish()
		if err != nil || h != blake3.Sum256(data) {
			t.Fatalf("finish: %x, %v", h, err)
		}
		net := new(ring)
		net.add("empty", newExchange(t, nil, io.Discard).Serve)
		net.add("a", a.Serve)
		b := newExchange(t, net, io.Discard)
		space := &room{most: 2 * MaxSize}
		reader := b.Session("reader", space)
		if n, err := size(ctx, reader, h); n != int64(len(data)) || err != nil {
			t.Errorf("size: %d, %v, want %d", n, err, len(data))
		}
		var got []byte
		for {
			p := make([]byte, 100_000)
			n, err := reader.ReadAt(h, p, int64(len(got)))
			if err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				break
			}
			got = append(got, p[:n]...)
		}
		if !bytes.Equal(got, data) {
			t.Errorf("read %d bytes, want %d", len(got), len(data))
		}
		if space.used != Cost(int64(len(data))) {
			t.Errorf("%d bytes count for %d", len(data), space.used)
		}
		again := b.Session("again", space)
		if n, err := size(ctx, again, h); n != int64(len(data)) || err != nil || space.used != 2*Cost(n) {
			t.Errorf("of another module: %d, %v, and %d used", n, err, space.used)
		}
		for _, s := range []*Session{reader, again} {
			if had, err := s.Drop(h); !had || err != nil {
				t.Errorf("drop: %t, %v", had, err)
			}
		}
		if b.Store().Has(h) || space.used != 0 {
			t.Errorf("still there: %t, %d used", b.Store().Has(h), space.used)
		}
	}
	if _, err := size(ctx, maker, [32]byte{1}); !errors.Is(err, sandbox.ErrNotFound) {
		t.Errorf("without a network: %v", err)
	}
}

// Who may not read is told that nothing is there.
func TestMayRead(t *testing.T) {
	a := newExchange(t, nil, io.Discard)
	may := false
	a.o.MayRead = func(string) bool { return may }
	h := put(t, a.o.Store, "m", large)
	net := new(ring)
	net.add("a", a.Serve)
	log := new(lines)
	s := newExchange(t, net, log).Session("m", nil)
	if _, err := size(t.Context(), s, h); !errors.Is(err, sandbox.ErrNotFound) || log.b.Len() > 0 {
		t.Errorf("got %v, logged %q", err, log.b.String())
	}
	may = true
	if n, err := size(t.Context(), s, h); n != int64(len(large)) || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
}

// Storage bounds what is made and what is fetched; what was refused takes nothing.
func TestQuota(t *testing.T) {
	a := newExchange(t, nil, io.Discard)
	h := put(t, a.o.Store, "m", large)
	net := new(ring)
	net.add("liar", answers(head(MaxSize)))
	net.add("a", a.Serve)
	b := newExchange(t, net, io.Discard)
	space := &room{most: Cost(int64(len(large))) - 1}
	s := b.Session("m", space)
	if _, err := size(t.Context(), s, h); !errors.Is(err, sandbox.ErrQuota) || space.used != 0 {
		t.Errorf("fetched over quota: %v, %d used", err, space.used)
	}
	space.most++
	if n, err := size(t.Context(), s, h); n != int64(len(large)) || err != nil {
		t.Errorf("fetched beside a liar: %d, %v", n, err)
	}
	if err := s.Write(t.Context(), []byte("x")); !errors.Is(err, sandbox.ErrQuota) {
		t.Errorf("wrote over quota: %v", err)
	}
	if had, err := s.Drop(h); !had || err != nil {
		t.Fatal(err)
	}
	if err := s.Write(t.Context(), large); err != nil {
		t.Fatal(err)
	}
	if err := s.Write(t.Context(), []byte("x")); !errors.Is(err, sandbox.ErrQuota) {
		t.Errorf("wrote over quota: %v", err)
	}
	if got, err := s.Finish(); got != h || err != nil || space.used != space.most {
		t.Errorf("finish: %x, %v, %d used", got, err, space.used)
	}
	space.most = MaxSize * 3
	if err := s.Write(t.Context(), large); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Finish(); got != h || err != nil || space.used != Cost(int64(len(large))) {
		t.Errorf("the same again: %x, %v, %d used", got, err, space.used)
	}
	if err := s.Write(t.Context(), make([]byte, MaxSize)); err != nil {
		t.Fatal(err)
	}
	if err := s.Write(t.Context(), []byte{1}); !errors.Is(err, sandbox.ErrQuota) {
		t.Errorf("over %d bytes: %v", MaxSize, err)
	}
	s.Discard()
	if space.used != Cost(int64(len(large))) || len(files(t, b.o.Store.dir)) != 2 {
		t.Errorf("after all: %d used, %q", space.used, files(t, b.o.Store.dir))
	}
}

// Two that want the same blob fetch it once, and a fetch ends with its call.
func TestFetchTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := Hash(blake3.Sum256(large))
		net := new(ring)
		a := newExchange(t, nil, io.Discard)
		put(t, a.o.Store, "m", large)
		net.add("a", func(ctx context.Context, peer string, s io.ReadWriteCloser) {
			time.Sleep(time.Second)
			a.Serve(ctx, peer, s)
		})
		b := newExchange(t, net, io.Discard)
		short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if err := b.Session("m", nil).Fetch(short, h); !errors.Is(err, sandbox.ErrNotFound) || short.Err() != nil {
			t.Errorf("too little time: %v, %v", err, short.Err())
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if err := b.Session("m", nil).Fetch(gone, h); !errors.Is(err, context.Canceled) {
			t.Errorf("past the deadline: %v", err)
		}
		net.asked = nil
		var all sync.WaitGroup
		for _, owner := range []string{"m", "n", "o", "m"} {
			all.Go(func() {
				if n, err := size(t.Context(), b.Session(owner, nil), h); n != int64(len(large)) || err != nil {
					t.Errorf("%s: %d, %v", owner, n, err)
				}
				if !b.Store().Owns(owner, h) {
					t.Errorf("%s has no mark", owner)
				}
			})
		}
		all.Wait()
		if len(net.asked) != 1 {
			t.Errorf("asked %q", net.asked)
		}
		time.Sleep(time.Minute)
	})
}

// A module that makes and drops without end does it at paceRate.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newExchange(t, nil, io.Discard)
		s := x.Session("m", nil)
		began := time.Now()
		const rounds, piece = 5, 32 << 20
		for range rounds {
			if err := s.Write(t.Context(), make([]byte, piece)); err != nil {
				t.Fatal(err)
			}
			s.Discard()
		}
		if err := s.Write(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		want := time.Duration(rounds*piece-paceBurst) * time.Second / paceRate
		if took := time.Since(began).Round(time.Millisecond); took != want {
			t.Errorf("it took %v, want %v", took, want)
		}
	})
}
