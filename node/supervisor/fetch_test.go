package supervisor

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
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
	answer, err := f.Fetch(ctx, "GET", target.URL+"/", nil, nil)
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

// A name leads a module's request to no special address: none of IANA's registries for IPv4 and IPv6.
func TestInside(t *testing.T) {
	for _, text := range []string{
		"0.0.0.0", "0.1.2.3", "10.1.2.3", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.9.9.9", "169.254.169.254", "172.16.0.1", "172.31.255.255",
		"192.0.0.1", "192.0.0.170", "192.0.2.1", "192.31.196.1", "192.52.193.1", "192.88.99.1", "192.168.1.1", "192.175.48.1",
		"198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255",
		"::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:198.18.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a00:1",
		"100::1", "100:0:0:1::1", "2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:2::1", "2001:20::1", "2001:db8::1",
		"2002:7f00:1::1", "2002:c0a8:101::1", "2620:4f:8000::1", "3fff::1", "5f00::1", "fc00::1", "fd12::1", "fe80::1", "fe80::1%eth0",
		"febf::1", "fec0::1", "ff02::1", "ff0e::1", "4000::1",
	} {
		if !inside(netip.MustParseAddr(text)) {
			t.Errorf("%s is the world", text)
		}
	}
	for _, text := range []string{
		"1.1.1.1", "9.9.9.9", "11.0.0.1", "100.63.255.255", "100.128.0.1", "172.15.255.255", "172.32.0.1", "192.0.1.1", "192.169.0.1", "198.17.255.255",
		"198.20.0.1", "223.255.255.255", "2000::1", "2001:200::1", "2001:4860:4860::8888", "2003::1", "2606:4700::1111", "2a00::1", "3ffe::1",
	} {
		if inside(netip.MustParseAddr(text)) {
			t.Errorf("%s is not the world", text)
		}
	}
}

// A guest neither sets nor sees what is about the connection of its request.
func TestFetchHopByHop(t *testing.T) {
	asked := 0
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		c, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		_, _ = c.Write([]byte("HTTP/1.1 200 OK\r\nKeep-Alive: 5\r\nX-Named: 1\r\nX-Plain: 1\r\nConnection: X-Named\r\nContent-Length: 0\r\n\r\n"))
	}))
	defer target.Close()
	m, err := module.Parse([]byte("name = \"m\"\nversion = \"1.0.0\"\n[grants]\nhosts = [\"" + strings.TrimPrefix(target.URL, "http://") + "\"]\n"))
	if err != nil {
		t.Fatal(err)
	}
	f := newFetcher(&m.Grants, func(context.Context) error { return nil })
	for _, name := range []string{"Connection", "transfer-encoding", "Content-Length", "keep-alive", "TE", "Trailer", "Upgrade", "Proxy-Authorization", "X\tY", ""} {
		if _, err := f.Fetch(t.Context(), "GET", target.URL+"/", [][2]string{{name, "1"}}, nil); err == nil || asked > 0 {
			t.Errorf("a guest sets %q", name)
		}
	}
	answer, err := f.Fetch(t.Context(), "GET", target.URL+"/", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Close()
	for name, want := range map[string]string{"keep-alive": "", "connection": "", "content-length": "", "x-named": "", "X-Plain": "1"} {
		if got := answer.Header(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}
