package door

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// open serves h on loopback until the test ends.
func open(t *testing.T, limits Limits, h http.Handler) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serve(t, l, limits, h)
	return l.Addr().String()
}

func serve(t *testing.T, l net.Listener, limits Limits, h http.Handler) {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, l, limits, h, slog.New(slog.DiscardHandler)) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

type client struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

// from connects from one of the addresses of loopback.
func from(t *testing.T, ip, to string) *client {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}, Timeout: 10 * time.Second}
	c, err := d.Dial("tcp", to)
	if err != nil {
		t.Skipf("loopback has no %s here: %v", ip, err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return &client{t, c, bufio.NewReader(c)}
}

func (c *client) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		c.t.Fatal(err)
	}
}

// status reads an answer; 0 if the connection is closed.
func (c *client) status() int {
	c.t.Helper()
	a, err := http.ReadResponse(c.r, nil)
	if err != nil {
		var late net.Error
		if errors.As(err, &late) && late.Timeout() {
			c.t.Fatal("no answer, and no end")
		}
		return 0
	}
	defer a.Body.Close()
	_, _ = io.Copy(io.Discard, a.Body)
	return a.StatusCode
}

const get = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"

// Whoever holds connections and says nothing, nothing whole, or nothing more, gives way to who comes.
func TestWaitingGivesWay(t *testing.T) {
	for name, begin := range map[string]string{"silent": "", "half": "GET / HTTP/1.1\r\nHost: loc", "idle": get} {
		t.Run(name, func(t *testing.T) {
			to := open(t, Limits{Connections: 4, PerAddress: 3}, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			var held []*client
			hold := func(ip string) {
				c := from(t, ip, to)
				c.send(begin)
				if begin == get && c.status() != 200 {
					t.Fatal("not served")
				}
				held = append(held, c)
			}
			for range 6 { // three of one address: the longest go
				hold("127.0.0.1")
			}
			hold("127.0.0.2")
			hold("127.0.0.3") // over the four of all
			good := from(t, "127.0.0.4", to)
			good.send(get)
			if got := good.status(); got != 200 {
				t.Fatalf("a request beside idle connections: %d, want 200", got)
			}
			for i, c := range held[:5] {
				if got := c.status(); got != 0 {
					t.Errorf("connection %d: %d, want it closed", i, got)
				}
			}
			last := held[len(held)-1] // the one that waited least is there
			last.send(strings.TrimPrefix(get, begin))
			if begin == get {
				last.send(get)
			}
			if begin != "GET / HTTP/1.1\r\nHost: loc" && last.status() != 200 {
				t.Error("the last connection is gone too")
			}
		})
	}
}

// Who has as many requests under way as one address may have is refused with words; others are served.
func TestBusyIsRefused(t *testing.T) {
	release := make(chan struct{})
	var once sync.Once
	done := func() { once.Do(func() { close(release) }) }
	defer done()
	begun := make(chan struct{}, 10)
	to := open(t, Limits{Connections: 4, PerAddress: 2}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun <- struct{}{}
		<-release
	}))
	var busy []*client
	for range 2 {
		c := from(t, "127.0.0.1", to)
		c.send(get)
		<-begun
		busy = append(busy, c)
	}
	over := from(t, "127.0.0.1", to)
	over.send(get)
	a, err := http.ReadResponse(over.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(a.Body)
	if a.StatusCode != 503 || a.Header.Get("Retry-After") == "" || err != nil || !strings.Contains(string(text), "too many") {
		t.Errorf("over the bound: %d %q %v", a.StatusCode, text, err)
	}
	other := from(t, "127.0.0.2", to)
	other.send(get)
	<-begun
	done()
	for _, c := range append(busy, other) {
		if got := c.status(); got != 200 {
			t.Errorf("a request that was under way: %d", got)
		}
	}
}

// Headers have a bound.
func TestHeaders(t *testing.T) {
	to := open(t, Limits{Connections: 4, PerAddress: 2}, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for size, want := range map[int]int{32 << 10: 200, 80 << 10: 431} {
		c := from(t, "127.0.0.1", to)
		c.send("GET / HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("x", size) + "\r\n\r\n")
		if got := c.status(); got != want {
			t.Errorf("%d bytes of headers: %d, want %d", size, got, want)
		}
	}
}

// pipes is a listener in memory, so that time can be virtual.
type pipes struct {
	accept chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.accept:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

// No connection waits for ever for its client: not for a request, the rest of one, or somebody to take an answer.
func TestTimes(t *testing.T) {
	for name, x := range map[string]struct {
		say    string
		within time.Duration
	}{
		"silent":     {"", headerTime},
		"half":       {"GET / HTTP/1.1\r\nHost: loc", headerTime},
		"idle":       {get, idleTime},
		"unread":     {"POST /unread HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nx", leftTime},
		"takes none": {"GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n", writeTime + 2*time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &pipes{accept: make(chan net.Conn), closed: make(chan struct{})}
				served := make(chan struct{}, 1)
				ctx, stop := context.WithCancel(context.Background())
				done := make(chan error, 1)
				go func() {
					done <- Serve(ctx, p, Limits{Connections: 4}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						if r.URL.Path == "/big" {
							_, _ = w.Write(make([]byte, 64<<10))
							served <- struct{}{}
						}
					}), slog.New(slog.DiscardHandler))
				}()
				ours, theirs := net.Pipe()
				p.accept <- theirs
				began := time.Now()
				if x.say != "" {
					if _, err := io.WriteString(ours, x.say); err != nil {
						t.Fatal(err)
					}
				}
				if strings.Contains(x.say, "/big") {
					<-served
				} else {
					_, _ = io.Copy(io.Discard, ours) // until the other side closes
				}
				if took := time.Since(began); took > x.within+time.Second {
					t.Errorf("the connection was held for %v, want %v at most", took, x.within)
				}
				_ = ours.Close()
				stop()
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// One address is one client, whatever its port, and so is one customer's IPv6 network.
func TestClient(t *testing.T) {
	for remote, want := range map[string]string{
		"127.0.0.1:80": "127.0.0.1", "[::ffff:127.0.0.1]:9": "127.0.0.1", "[2001:db8:1:2:3::4]:80": "2001:db8:1:2::/64",
		"[fe80::1%eth0]:80": "fe80::/64", "@": "", "": "", "/run/x.sock": "",
	} {
		if got := Client(remote); got != want {
			t.Errorf("%q: %q, want %q", remote, got, want)
		}
	}
}
