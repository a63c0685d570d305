package blob

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zeebo/blake3"

	"github.com/numax-mesh/numax/sandbox"
)

// ring is a network in memory of peers that serve streams.
type ring struct {
	mu    sync.Mutex // guards the rest
	peers map[string]func(ctx context.Context, peer string, s io.ReadWriteCloser)
	names []string
	asked []string // in the order in which they were
}

func (r *ring) add(name string, serve func(ctx context.Context, peer string, s io.ReadWriteCloser)) {
	if r.peers == nil {
		r.peers = make(map[string]func(context.Context, string, io.ReadWriteCloser))
	}
	r.peers[name] = serve
	r.names = append(r.names, name)
}

func (r *ring) Peers() []string { return r.names }

func (r *ring) Open(_ context.Context, peer string) (io.ReadWriteCloser, error) {
	r.mu.Lock()
	r.asked = append(r.asked, peer)
	serve := r.peers[peer]
	r.mu.Unlock()
	if serve == nil {
		return nil, errors.New("not connected")
	}
	here, there := net.Pipe()
	go serve(context.Background(), "me", there)
	return here, nil
}

// answers is a peer that reads the request and writes what it likes; then it waits for the end of the stream.
func answers(answer []byte) func(context.Context, string, io.ReadWriteCloser) {
	return func(_ context.Context, _ string, s io.ReadWriteCloser) {
		defer s.Close()
		if _, err := io.ReadFull(s, make([]byte, 32)); err != nil {
			return
		}
		_, _ = s.Write(answer)
		_, _ = s.Read(make([]byte, 1))
	}
}

func head(size uint64) []byte { return binary.BigEndian.AppendUint64([]byte{answerBytes}, size) }

// room is a Space.
type room struct {
	mu         sync.Mutex // guards the rest
	used, most int64
}

func (r *room) Add(n int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n > 0 && r.used+n > r.most {
		return sandbox.ErrQuota
	}
	r.used += n
	return nil
}

// lines is a log that is looked at.
type lines struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), text)
}

// newExchange is an exchange on a store of its own; without a network if r is nil.
func newExchange(t testing.TB, r *ring, log io.Writer) *Exchange {
	t.Helper()
	o := Options{Store: open(t, t.TempDir()), Log: slog.New(slog.NewTextHandler(log, nil))}
	if r != nil {
		o.Net = r
	}
	return New(o)
}

// size fetches a blob and answers its size.
func size(ctx context.Context, s *Session, h Hash) (int64, error) {
	if err := s.Fetch(ctx, h); err != nil {
		return 0, err
	}
	return s.Size(h)
}

var large = bytes.Repeat([]byte("a blob of several pieces; "), 20_000)

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

// Peers that answer with what the blob is not, or not at all, cost their time and nothing else; what they did is in the
// log, once, and they are asked last from then on.
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
		if len(x.serving) > 0 || len(x.answers) > 0 {
			t.Errorf("after it: %v, %d answers", x.serving, len(x.answers))
		}
		for _, c := range ends {
			_ = c.Close()
		}
	})
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

// No answer makes a fetch panic, keeps what is not the blob, or keeps more bytes than it sent.
func FuzzAnswer(f *testing.F) {
	small := []byte("a small blob")
	h := Hash(blake3.Sum256(small))
	f.Add(append(head(uint64(len(small))), small...))
	f.Add([]byte{answerAbsent})
	f.Add(head(MaxSize))
	f.Add(head(1 << 63))
	f.Add([]byte{answerBytes, 0})
	store := open(f, f.TempDir())
	f.Fuzz(func(t *testing.T, answer []byte) {
		w, err := store.Create()
		if err != nil {
			t.Fatal(err)
		}
		defer w.Discard()
		var reserved int64
		err = receive(bytes.NewReader(answer), h, w, func(n int64) error { reserved = n; return nil }, func() {})
		if w.Size() > min(reserved, int64(len(answer))) || reserved > MaxSize {
			t.Errorf("%d bytes of %d reserved, of an answer of %d", w.Size(), reserved, len(answer))
		}
		if (err == nil) != bytes.HasPrefix(answer, append(head(uint64(len(small))), small...)) {
			t.Errorf("answer %x: %v", answer, err)
		}
	})
}

// Whatever a peer asks, it hears that nothing is there, the blob, or nothing.
func FuzzRequest(f *testing.F) {
	x := newExchange(f, nil, io.Discard)
	small := []byte("a small blob")
	h := put(f, x.o.Store, "m", small)
	f.Add(h[:])
	f.Add(h[:5])
	f.Add(append(h[:], h[:]...))
	f.Fuzz(func(t *testing.T, request []byte) {
		s := &stream{Reader: bytes.NewReader(request)}
		x.Serve(t.Context(), "peer", s)
		want := []byte{}
		if bytes.HasPrefix(request, h[:]) {
			want = append(head(uint64(len(small))), small...)
		} else if len(request) >= len(h) {
			want = []byte{answerAbsent}
		}
		if !bytes.Equal(s.said.Bytes(), want) {
			t.Errorf("asked %x, heard %x", request, s.said.Bytes())
		}
	})
}

// stream is a stream whose other end has said all it says.
type stream struct {
	io.Reader
	said bytes.Buffer
}

func (s *stream) Write(p []byte) (int, error) { return s.said.Write(p) }
func (s *stream) Close() error                { return nil }
