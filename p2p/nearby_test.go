package p2p

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// meeting is a directory of its own for the nodes of a test.
func meeting(t *testing.T) string { return filepath.Join(t.TempDir(), "nearby") }

// Hosts that were told nothing find each other through the directory alone,
// those of another tag do not; and nothing is left there.
func TestNearby(t *testing.T) {
	t.Parallel()
	dir := meeting(t)
	cfg := Config{Discover: true, Nearby: dir, Tag: "one", Listen: []string{"127.0.0.1:0"}}
	a, b := open(t, "a", cfg), open(t, "b", cfg)
	cfg.Tag = "two"
	c, d := open(t, "c", cfg), open(t, "d", cfg)
	hosts := []*Host{a, b, c, d}
	var stops []func()
	for _, h := range hosts {
		stops = append(stops, run(t, h))
	}
	eventually(t, "hosts of a tag meet", func() bool {
		return connected(a, b) && connected(b, a) && connected(c, d) && connected(d, c)
	})
	for _, h := range hosts {
		if got := h.Connected(); len(got) != 1 {
			t.Errorf("connected to %v, want the one host of the same tag", got)
		}
	}
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm() != 0o700 {
		t.Errorf("mode of the directory: got %04o, want 0700", info.Mode().Perm())
	}
	for _, stop := range stops {
		stop()
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("after Run the directory holds %v, %v, want nothing", left, err)
	}
}

// What others leave in the directory does no harm: it is passed over, and two
// hosts meet beside it.
func TestNearbyRubbish(t *testing.T) {
	t.Parallel()
	dir := meeting(t)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	outside := filepath.Join(t.TempDir(), "outside")
	write := func(file, data string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(outside, "mine")
	ids := 0
	name := func() string {
		ids++
		id, err := PeerID(testKey(fmt.Sprint("dead", ids)))
		if err != nil {
			t.Fatal(err)
		}
		return filepath.Join(dir, "test-"+id)
	}
	old := time.Now().Add(-2 * nearbyStale)
	write(name(), "not JSON")
	write(name(), "")
	write(name(), `{"addrs": 7}`)
	write(name(), `{"addrs": ["", "/", "x", "/ip4/127.0.0.1/tcp/1", null]}`)
	write(name(), `{"addrs": ["`+strings.Repeat("x", nearbySize)+`"]}`)
	write(filepath.Join(dir, "test-nobody"), "{}")
	readme := filepath.Join(dir, "read-me")
	write(readme, "keep")
	must(t, os.Chtimes(readme, old, old))
	if err := os.Mkdir(name(), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, name()); err != nil {
		t.Fatal(err)
	}
	stale := name()
	write(stale, `{"addrs": ["/ip4/127.0.0.1/tcp/1"]}`)
	// Files of dead nodes of another network, and of one killed while it wrote:
	// nobody else cleans up, and in number they hid the living.
	files := []string{stale}
	for i := range maxNearby + 1 {
		dead := filepath.Join(dir, fmt.Sprintf("a%03d-%s", i, somePeer))
		write(dead, "{}")
		files = append(files, dead)
	}
	killed := filepath.Join(dir, ".test-"+somePeer+"-123")
	write(killed, "{")
	files = append(files, killed)
	for _, f := range files {
		if err := os.Chtimes(f, old, old); err != nil {
			t.Fatal(err)
		}
	}
	cfg := Config{Discover: true, Nearby: dir}
	a, b := open(t, "a", cfg), open(t, "b", cfg)
	run(t, a)
	run(t, b)
	eventually(t, "two hosts meet", func() bool { return connected(a, b) })
	for _, f := range files {
		eventually(t, filepath.Base(f)+" is gone", func() bool {
			_, err := os.Lstat(f)
			return errors.Is(err, fs.ErrNotExist)
		})
	}
	if b, err := os.ReadFile(outside); err != nil || string(b) != "mine" {
		t.Errorf("the file outside: got %q, %v", b, err)
	}
	if _, err := os.Stat(readme); err != nil {
		t.Errorf("a file that is none of ours is gone: %v", err)
	}
}

// A directory that others could write to is not used, nor changed.
func TestNearbyNotOurs(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no modes here")
	}
	for _, c := range []struct {
		name string
		make func(t *testing.T, dir string)
	}{
		{"others can read", func(t *testing.T, dir string) { must(t, os.Mkdir(dir, 0o700), os.Chmod(dir, 0o755)) }},
		{"others can write", func(t *testing.T, dir string) { must(t, os.Mkdir(dir, 0o700), os.Chmod(dir, 0o777)) }},
		{"a symbolic link", func(t *testing.T, dir string) {
			must(t, os.Mkdir(dir+"-real", 0o700), os.Symlink(dir+"-real", dir))
		}},
		{"a link to nowhere", func(t *testing.T, dir string) { must(t, os.Symlink(dir+"-none", dir)) }},
		{"a file", func(t *testing.T, dir string) { must(t, os.WriteFile(dir, nil, 0o600)) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := meeting(t)
			c.make(t, dir)
			before, err := os.Lstat(dir)
			must(t, err)
			h := open(t, "a", Config{Discover: true, Nearby: dir})
			ctx, cancel := context.WithTimeout(t.Context(), deadline)
			defer cancel()
			if h.runNearby(ctx); ctx.Err() != nil {
				t.Error("the directory is used")
			}
			after, err := os.Lstat(dir)
			must(t, err)
			if after.Mode() != before.Mode() {
				t.Errorf("mode: got %v, was %v", after.Mode(), before.Mode())
			}
			if left, _ := os.ReadDir(dir); len(left) != 0 {
				t.Errorf("it holds %v, want nothing", left)
			}
		})
	}
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A nearby file never makes more addresses than its bytes can hold.
func FuzzNearbyFile(f *testing.F) {
	good, err := json.Marshal(nearbyFile{Addrs: []string{"/ip4/127.0.0.1/tcp/4001", "/ip4/127.0.0.1/udp/4001/quic-v1"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"addrs":["/ip4/1.1.1.1/tcp/1/p2p/` + somePeer + `","",null]}`))
	f.Add([]byte(`{"addrs":{}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		addrs := parseNearby(b)
		if len(addrs) > len(b) {
			t.Errorf("%d addresses in %d bytes", len(addrs), len(b))
		}
		for _, a := range addrs {
			_ = a.String()
		}
	})
}
