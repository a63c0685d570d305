package p2p

import (
	"io"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// libp2p's metrics are there for who asks, and two hosts of a process may share
// a registry.
func TestMetrics(t *testing.T) {
	t.Parallel()
	for _, with := range []bool{true, false} {
		cfg, registry := Config{Reachability: Public}, prometheus.NewRegistry()
		if with {
			cfg.Metrics = registry
		}
		a, b := open(t, "a", cfg), open(t, "b", cfg)
		connect(t, a, b)
		got, err := registry.Gather()
		if err != nil || (len(got) > 0) != with {
			t.Errorf("metrics asked for: %t; got %d, %v", with, len(got), err)
		}
		_, _ = a.Close(), b.Close()
	}
}

// What metrics cost: a stream and an echo of one byte; a megabyte.
func BenchmarkMetrics(b *testing.B) {
	for _, listen := range []string{"/ip4/127.0.0.1/udp/0/quic-v1", "/ip4/127.0.0.1/tcp/0"} {
		for _, with := range []string{"without", "with"} {
			for _, size := range []int{1, 1 << 20} {
				name := map[bool]string{true: "quic", false: "tcp"}[listen[15] == 'u'] + "/" + with + map[int]string{1: "/stream", 1 << 20: "/MiB"}[size]
				b.Run(name, func(b *testing.B) { benchmarkEcho(b, listen, with == "with", size) })
			}
		}
	}
}

func benchmarkEcho(b *testing.B, listen string, metrics bool, size int) {
	hosts := make([]*Host, 2)
	for n := range hosts {
		cfg := Config{Key: testKey(b.Name() + string(rune('a'+n))), Tag: "bench", Listen: []string{listen}}
		if metrics {
			cfg.Metrics = prometheus.NewRegistry()
		}
		h, err := New(cfg)
		if err != nil {
			b.Fatal(err)
		}
		defer h.Close()
		hosts[n] = h
	}
	hosts[1].Handle("/test", echo(make(chan string, b.N+1<<20)), nil)
	if err := hosts[0].Connect(b.Context(), hosts[1].Addrs()[0]); err != nil {
		b.Fatal(err)
	}
	data := make([]byte, size)
	b.SetBytes(int64(size))
	for b.Loop() {
		s, err := hosts[0].Open(b.Context(), hosts[1].ID(), "/test")
		if err != nil {
			b.Fatal(err)
		}
		go func() { _, _ = s.Write(data) }()
		if _, err := io.ReadFull(s, make([]byte, size)); err != nil {
			b.Fatal(err)
		}
		_ = s.Close()
	}
}
