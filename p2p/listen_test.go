package p2p

import (
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

// Every address that was asked for opens, or none does.
func TestListenAllOrNothing(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	_, tcpPort, _ := net.SplitHostPort(tcp.Addr().String())
	_, udpPort, _ := net.SplitHostPort(udp.LocalAddr().String())
	node := open(t, "running", Config{})
	theirs := strings.TrimSuffix(node.Addrs()[0], "/p2p/"+node.ID())
	for _, c := range []struct{ name, listen string }{
		{"taken by a program", "/ip4/127.0.0.1/tcp/" + tcpPort},
		{"taken by a node", theirs}, // libp2p's SO_REUSEPORT let both have it
		{"taken for UDP alone", "127.0.0.1:" + udpPort},
		{"not of this machine", "/ip4/192.0.2.1/tcp/0"},
		{"no such transport", "/ip4/127.0.0.1/udp/0/webrtc-direct"},
	} {
		t.Run(c.name, func(t *testing.T) {
			free := freePort(t)
			_, err := New(Config{Key: testKey("second"), Tag: "test", Listen: []string{"/ip4/127.0.0.1/tcp/" + free, c.listen}})
			if err == nil || !strings.Contains(err.Error(), c.listen) {
				t.Fatalf("New: got error %v, want one that names %s", err, c.listen)
			}
			l, err := net.Listen("tcp", "127.0.0.1:"+free)
			if err != nil {
				t.Fatalf("the other address stayed open: %v", err)
			}
			_ = l.Close()
		})
	}
}

func TestNewRefuses(t *testing.T) {
	good := Config{Key: testKey("a"), Tag: "test", Listen: []string{"127.0.0.1:0"}}
	for name, spoil := range map[string]func(*Config){
		"no key":        func(c *Config) { c.Key = nil },
		"no tag":        func(c *Config) { c.Tag = "" },
		"tag as a path": func(c *Config) { c.Tag = "../x" },
		"long tag":      func(c *Config) { c.Tag = strings.Repeat("x", 16) },
		"listen":        func(c *Config) { c.Listen = []string{"x"} },
		"bootstrap":     func(c *Config) { c.Bootstrap = []string{"x"} },
	} {
		cfg := good
		spoil(&cfg)
		if h, err := New(cfg); err == nil {
			_ = h.Close()
			t.Errorf("%s: got no error", name)
		}
	}
}

// An address that is asked for twice opens once. libp2p panicked.
func TestListenTwice(t *testing.T) {
	port := freePort(t)
	h := open(t, "a", Config{Listen: []string{"127.0.0.1:0", "localhost:0", "127.0.0.1:" + port, "/ip4/127.0.0.1/udp/" + port + "/quic-v1"}})
	if got := h.Addrs(); len(got) != 6 {
		t.Errorf("Addrs() = %v, want TCP, WebSocket and QUIC twice", got)
	}
}

// Every transport carries a host's traffic, and Addrs are as Bootstrap takes them.
func TestTransports(t *testing.T) {
	t.Parallel()
	a := open(t, "a", Config{})
	b := open(t, "b", Config{Listen: []string{"127.0.0.1:0"}})
	if got := len(b.Addrs()); got != 3 || !slices.IsSorted(b.Addrs()) {
		t.Fatalf("Addrs() = %v, want TCP, WebSocket and QUIC", b.Addrs())
	}
	served := make(chan string, 2)
	b.Handle("/test", echo(served), nil)
	for _, addr := range b.Addrs() {
		c := open(t, addr, Config{Listen: a.cfg.Listen})
		if strings.Contains(addr, "quic") {
			c = open(t, addr, Config{Listen: []string{"/ip4/127.0.0.1/udp/0/quic-v1"}})
		}
		if err := c.Connect(t.Context(), addr); err != nil {
			t.Fatal(err)
		}
		if got := c.Connected(); len(got) != 1 || got[0].ID != b.ID() || !strings.HasPrefix(addr, got[0].Addr) {
			t.Errorf("connected to %s: got %v", addr, got)
		}
		s, err := c.Open(t.Context(), b.ID(), "/test")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(s, "ping"); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 4)
		if _, err := io.ReadFull(s, got); err != nil || string(got) != "ping" {
			t.Errorf("over %s: got %q, %v", addr, got, err)
		}
		_ = s.Close()
		if got := <-served; got != c.ID() {
			t.Errorf("served %s, want %s", got, c.ID())
		}
		eventually(t, "traffic is counted", func() bool { in, out := c.Traffic(); return in > 0 && out > 0 })
	}
}

// Close is prompt and may be repeated.
func TestCloseTwice(t *testing.T) {
	h := open(t, "a", Config{})
	began := time.Now()
	for range 2 {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	}
	if took := time.Since(began); took > deadline/3 {
		t.Errorf("Close took %v", took)
	}
}
