package p2p

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Each wrong form of --bootstrap is told what is wrong with it.
func TestCheckBootstrap(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("peers", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	id := open(t, "peer", Config{}).ID()
	for _, c := range []struct{ value, wrong string }{
		{"/ip4/203.0.113.7/tcp/4001/p2p/" + id, ""},
		{"/dns4/example.org/udp/4001/quic-v1/p2p/" + id, ""},
		{"/dnsaddr/example.org/p2p/" + id, ""},
		{"/dnsaddr/example.org", ""},
		{"example.org", ""},
		{"_x.example.org.", ""},
		{"./later.txt", ""},
		{"/etc/numax/peers", ""},
		{"peers", ""}, // a file that is there
		{"", "empty"},
		{"example", "neither"},
		{"example..org", "neither"},
		{"203.0.113.7", "which port"},
		{"203.0.113.7:4001", "peer id"},
		{"example.org:4001", "peer id"},
		{id, "not where"},
		{"/ip4/203.0.113.7/tcp/4001", "203.0.113.7"},
		{"/ip4/203.0.113.7/tcp/99999/p2p/" + id, "99999"},
		{"/p2p/" + id, "not where"},
	} {
		err := CheckBootstrap(c.value)
		if (err == nil) != (c.wrong == "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("CheckBootstrap(%q) = %v, want an error with %q", c.value, err, c.wrong)
		}
	}
}

// A file of addresses is read at start, where a mistake is an error with its
// line, and anew while the node runs, where what it said last holds.
func TestBootstrapFile(t *testing.T) {
	t.Parallel()
	first, second := open(t, "first", Config{}), open(t, "second", Config{})
	file := filepath.Join(t.TempDir(), "peers")
	write := func(lines ...string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := parseBootstrap([]string{file}); err == nil {
		t.Error("a file that is not there: got no error")
	}
	write("# ours", first.Addrs()[0]+" # the first", "", "203.0.113.7:4001")
	if _, err := parseBootstrap([]string{file}); err == nil || !strings.Contains(err.Error(), file+":4") {
		t.Errorf("a wrong line 4: got %v", err)
	}
	write("# ours", first.Addrs()[0])
	h := open(t, "reader", Config{Bootstrap: []string{file}})
	run(t, h)
	eventually(t, "connected to the first", func() bool { return connected(h, first) })
	source := h.bootstrap.sources[0]
	write("oops")
	if err := h.bootstrap.read(t.Context(), source); err == nil || !h.bootstrap.names(peerOf(t, first)) {
		t.Errorf("a file that became wrong: got %v, and the first is forgotten: %t", err, !h.bootstrap.names(peerOf(t, first)))
	}
	write(second.Addrs()[0])
	if err := h.bootstrap.read(t.Context(), source); err != nil {
		t.Fatal(err)
	}
	h.known.setBootstrap(h.bootstrap.peers())
	eventually(t, "connected to the second", func() bool { return connected(h, second) })
}

func FuzzSources(f *testing.F) {
	f.Add([]byte("# none\n/dnsaddr/example.org\nexample.org # b\n\n"))
	f.Add([]byte("/ip4/1.2.3.4/tcp/1/p2p/12D3KooWHCnKKiTt3h3hLWRKrhiZWTNpsYs19hLqoh2t3TbWAsr9"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := parseSources("file", b)
		if err == nil && len(got) > maxBootstrap {
			t.Errorf("%d sources", len(got))
		}
		for _, s := range got {
			if s.file != "" || (s.name == "") == (s.info.ID == "") {
				t.Errorf("source %+v is none or more than one", s)
			}
		}
	})
}
