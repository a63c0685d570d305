package node_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/numax-mesh/numax/node"
	"github.com/numax-mesh/numax/node/api"
	"github.com/numax-mesh/numax/node/door"
)

// openDoors runs a node that has all its doors.
func openDoors(t *testing.T) (n *node.Node, data string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "doors") // short enough for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	cfg := node.Config{
		Data: filepath.Join(dir, "data"), Network: "doors", Datasets: []string{"default"}, Offline: true, Version: "test",
		API: "127.0.0.1:0", Serve: "127.0.0.1:0", Observability: "127.0.0.1:0", Pprof: true,
	}
	n, err = node.Open(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return n, cfg.Data
}

// Connections that say nothing more take nothing from others: the doors have bounds, each its own.
func TestDoorsStayOpen(t *testing.T) {
	n, data := openDoors(t)
	for name, x := range map[string]struct {
		addr string
		most int
	}{
		"web":           {n.Serving(), door.Web().PerAddress},
		"api":           {n.API(), door.Side().PerAddress},
		"observability": {n.Observability(), door.Side().PerAddress},
	} {
		var held []net.Conn
		for range x.most + 10 {
			c, err := net.Dial("tcp", x.addr)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(deadline))
			if _, err := io.WriteString(c, "GET /none HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			r := bufio.NewReader(c)
			a, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Fatalf("%s, connection %d: %v", name, len(held), err)
			}
			_, _ = io.Copy(io.Discard, a.Body)
			held = append(held, c)
		}
		for i, c := range held[:10] { // they have waited longest
			_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
			if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s: idle connection %d of %d is still held: %v", name, i, len(held), err)
			}
		}
	}
	c, err := api.Dial(data) // while all the doors are full
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Status(t.Context()); err != nil {
		t.Errorf("status while the doors are full: %v", err)
	}
}

// A page of another site, whose name leads here, reads neither metrics nor profiles.
func TestObservabilityIsLocal(t *testing.T) {
	n, _ := openDoors(t)
	for _, path := range []string{"/health", "/ready", "/metrics", "/debug/pprof/", "/debug/pprof/cmdline"} {
		for host, want := range map[string]int{"evil.example": 403, "evil.example:80": 403, "localhost": 200, n.Observability(): 200} {
			r, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+n.Observability()+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Host = host
			a, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(a.Body)
			a.Body.Close()
			if a.StatusCode != want {
				t.Errorf("%s for %s: %d %s, want %d", path, host, a.StatusCode, strings.TrimSpace(string(text[:min(80, len(text))])), want)
			}
		}
	}
}
