package supervisor

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/numax-mesh/numax/node/module"
)

// An answer's headers are bounded, as the node holds them for the guest.
func TestFetchHeaders(t *testing.T) {
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Long", strings.Repeat("x", 1<<20))
	}))
	defer target.Close()
	m, err := module.Parse([]byte("name = \"m\"\nversion = \"1.0.0\"\n[grants]\nhosts = [\"" + strings.TrimPrefix(target.URL, "http://") + "\"]\n"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := newFetcher(&m.Grants, func(context.Context) error { return nil }).Fetch(t.Context(), "GET", target.URL+"/", nil, nil); err == nil {
		t.Error("a megabyte of headers was taken")
	}
}

// A server that makes its connection something else than HTTP holds up nobody: what is not HTTP is not fetched.
func TestFetchUpgrade(t *testing.T) {
	ended := make(chan struct{})
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		go func(c net.Conn) {
			_, _ = c.Write([]byte("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: silence\r\n\r\n"))
			_, _ = c.Read(make([]byte, 1)) // until the other side goes
			close(ended)
		}(c)
	}))
	defer target.Close()
	m, err := module.Parse([]byte("name = \"m\"\nversion = \"1.0.0\"\n[grants]\nhosts = [\"" + strings.TrimPrefix(target.URL, "http://") + "\"]\n"))
	if err != nil {
		t.Fatal(err)
	}
	f := newFetcher(&m.Grants, func(context.Context) error { return nil })
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	answer, err := f.Fetch(ctx, "GET", target.URL+"/", [][2]string{{"Connection", "Upgrade"}, {"Upgrade", "silence"}}, nil)
	if err == nil {
		read := make(chan struct{})
		go func() {
			defer close(read)
			_, _ = answer.Read(make([]byte, 1))
		}()
		select {
		case <-read:
		case <-time.After(2 * time.Second):
			t.Error("a read goes on after the end of its call")
		}
		answer.Close()
	}
	<-ended
}
