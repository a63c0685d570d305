package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/numax-mesh/numax/node/api"
)

// listen opens a node's listeners.
func listen(t *testing.T, dir, addr string) *api.Listeners {
	t.Helper()
	l, err := api.Listen(dir, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// serve runs n as a node does.
func serve(t *testing.T, l *api.Listeners, n api.Node) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	base := func(net.Listener) context.Context { return ctx }
	tcp := &http.Server{Handler: api.Handler(n, l.Token), BaseContext: base}
	socket := &http.Server{Handler: api.Handler(n, ""), BaseContext: base}
	done := make(chan struct{}, 2)
	go func() { _ = tcp.Serve(l.TCP); done <- struct{}{} }()
	go func() {
		if l.Socket != nil {
			_ = socket.Serve(l.Socket)
		}
		done <- struct{}{}
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		_ = tcp.Close()
		_ = socket.Close()
		_ = l.Close()
		<-done
		<-done
	})
	t.Cleanup(stop)
	return stop
}

// tempDir has a name short enough for a socket, which t.TempDir has not always.
func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "api")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// longDir has a name too long for a socket.
func longDir(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), strings.Repeat("x", 120))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// The client says what the node says, over the socket and over TCP.
func TestClient(t *testing.T) {
	for name, dir := range map[string]string{"socket": tempDir(t), "TCP, for a long name": longDir(t)} {
		t.Run(name, func(t *testing.T) {
			l := listen(t, dir, "127.0.0.1:0")
			if (l.Socket == nil) != (len(dir) > 100) {
				t.Fatalf("socket %v in %s", l.Socket, dir)
			}
			n := newNode()
			serve(t, l, n)
			c, err := api.Dial(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			ctx := t.Context()
			if got, err := c.Status(ctx); err != nil || !reflect.DeepEqual(got, n.Status()) {
				t.Errorf("Status: got %+v, %v", got, err)
			}
			if got, err := c.Peers(ctx); err != nil || len(got) != 0 {
				t.Errorf("Peers: got %+v, %v", got, err)
			}
			change := api.Change{Dataset: "default", Family: "orset", Key: "a b&c=ü", Verb: "add", Args: []string{"x"}}
			if got, err := c.Change(ctx, change); err != nil || got.String() != "a b&c=ü = [x]" {
				t.Errorf("Change: got %v, %v", got, err)
			}
			if got, err := c.Get(ctx, "default", "orset", "a b&c=ü"); err != nil || got.String() != "a b&c=ü = [x]" {
				t.Errorf("Get: got %v, %v", got, err)
			}
			if _, err := c.Get(ctx, "default", "heap", "k"); !errors.Is(err, api.ErrUsage) || err.Error() != `usage: family "heap"` {
				t.Errorf("Get of no family: got %v", err)
			}
			if _, err := c.Get(ctx, "other", "orset", "k"); !errors.Is(err, api.ErrNotFound) || errors.Is(err, api.ErrUsage) {
				t.Errorf("Get of no dataset: got %v", err)
			}
			n.mu.Lock()
			n.broken = errors.New("the disk is full")
			n.mu.Unlock()
			if _, err := c.Get(ctx, "default", "orset", "k"); err == nil || err.Error() != "the disk is full" {
				t.Errorf("Get of a broken node: got %v", err)
			}
		})
	}
}

func TestClientWatch(t *testing.T) {
	dir := tempDir(t)
	n := newNode()
	stop := serve(t, listen(t, dir, "127.0.0.1:0"), n)
	c, err := api.Dial(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()

	enough := errors.New("enough")
	err = c.Watch(t.Context(), "default", "orset", "k", func(v api.Value) error {
		if len(v.List) == 2 {
			return enough
		}
		_, err := c.Change(t.Context(), api.Change{Dataset: "default", Family: "orset", Key: "k", Args: []string{"x"}})
		return err
	})
	if !errors.Is(err, enough) {
		t.Errorf("Watch that its caller ends: got %v", err)
	}
	eventually(t, "the node watches no more", func() bool { return n.watching() == 0 })

	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	err = c.Watch(ctx, "default", "orset", "k", func(api.Value) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Watch that its context ends: got %v", err)
	}
	if err := c.Watch(t.Context(), "other", "orset", "k", nil); !errors.Is(err, api.ErrNotFound) {
		t.Errorf("Watch of no dataset: got %v", err)
	}
	err = c.Watch(t.Context(), "default", "orset", "k", func(api.Value) error { stop(); return nil })
	if err == nil {
		t.Error("Watch of a node that stopped: got no error")
	}
}

// What is left of a node that is gone does not count as one.
func TestDialNotRunning(t *testing.T) {
	gone := tempDir(t)
	l := listen(t, gone, "127.0.0.1:0")
	file := filepath.Join(gone, "api.json")
	left, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if files, err := os.ReadDir(gone); err != nil || len(files) != 0 {
		t.Errorf("after Close: got %v, %v, want nothing", files, err)
	}
	if err := l.Close(); err != nil {
		t.Errorf("Close again: %v", err)
	}

	other := listen(t, tempDir(t), "127.0.0.1:0") // a node that has the port of the one that is gone
	serve(t, other, newNode())
	noSocket, err := json.Marshal(api.Endpoint{TCP: other.Endpoint.TCP, Token: "old"})
	if err != nil {
		t.Fatal(err)
	}
	moved, err := json.Marshal(other.Endpoint) // a copy of that node's data directory
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		"no file":                     nil,
		"the file of a killed node":   left,
		"cut by a power loss":         left[:len(left)/2],
		"empty":                       {},
		"of nothing":                  []byte("{}"),
		"the port is another node's":  noSocket,
		"a copy of another directory": moved,
	} {
		t.Run(name, func(t *testing.T) {
			dir := tempDir(t)
			if content != nil {
				if err := os.WriteFile(filepath.Join(dir, "api.json"), content, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := api.Dial(dir); !errors.Is(err, api.ErrNotRunning) {
				t.Errorf("Dial: got %v, want ErrNotRunning", err)
			}
		})
	}
	if _, err := api.Dial(filepath.Join(gone, "none")); !errors.Is(err, api.ErrNotRunning) {
		t.Errorf("Dial of no directory: got %v, want ErrNotRunning", err)
	}
}

// A killed node leaves its files; the next one takes their place.
func TestListenAfterKill(t *testing.T) {
	dir := tempDir(t)
	first := listen(t, dir, "127.0.0.1:0")
	if runtime.GOOS != "windows" {
		if err := os.Chmod(filepath.Join(dir, "api.json"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	_ = first.TCP.Close()
	if u, ok := first.Socket.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
		_ = u.Close()
	}
	second := listen(t, dir, "127.0.0.1:0")
	serve(t, second, newNode())
	if first.Token == second.Token || len(second.Token) < 32 {
		t.Errorf("tokens: %q, then %q, want two secrets", first.Token, second.Token)
	}
	for _, file := range []string{"api.json", "api.sock"} {
		info, err := os.Stat(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != 0o600 && runtime.GOOS != "windows" {
			t.Errorf("mode of %s: got %04o, want 0600", file, got)
		}
	}
	c, err := api.Dial(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Status(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestListenTaken(t *testing.T) {
	// Whoever has the default port, we or another program, it is taken.
	if l, err := net.Listen("tcp", api.DefaultAddr); err == nil {
		defer l.Close()
	}
	first := listen(t, tempDir(t), "")
	second := listen(t, tempDir(t), "")
	for _, l := range []*api.Listeners{first, second} {
		host, port, err := net.SplitHostPort(l.Endpoint.TCP)
		if err != nil || host != "127.0.0.1" || l.Endpoint.TCP == api.DefaultAddr || port == "0" {
			t.Errorf("with the default taken: got %s, want another port of loopback", l.Endpoint.TCP)
		}
	}

	dir := tempDir(t)
	_, err := api.Listen(dir, first.Endpoint.TCP)
	if err == nil || !strings.Contains(err.Error(), first.Endpoint.TCP) || !strings.Contains(err.Error(), "--api") {
		t.Errorf("an explicit address that is taken: got error %v", err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 0 {
		t.Errorf("after it: got %v, %v, want nothing", files, err)
	}
	if _, err := api.Listen(filepath.Join(dir, "none"), "127.0.0.1:0"); err == nil {
		t.Error("in no directory: got no error")
	}
}
