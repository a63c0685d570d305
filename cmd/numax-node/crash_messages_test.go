package main_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	wasm "github.com/numax-mesh/numax/sandbox/sandboxtest"
)

// process is a node that can be killed.
type process struct {
	PeerID string `json:"peer_id"`
	Addrs  []string
	kill   func()
}

// up starts a node and waits until it is ready.
func up(t *testing.T, binary string, args ...string) *process {
	t.Helper()
	cmd := exec.Command(binary, append([]string{"up", "--json", "--log-level", "error", "--no-mdns"}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{kill: func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}}
	t.Cleanup(p.kill)
	if err := json.NewDecoder(bufio.NewReader(out)).Decode(p); err != nil || len(p.Addrs) == 0 {
		t.Fatalf("the ready line: %+v, %v", p, err)
	}
	return p
}

// talkers writes two modules: one sends to a node every 10 ms, and counts what is sent; one counts what it handles.
func talkers(t *testing.T, dir, to string) (sender, worker string) {
	t.Helper()
	text := func(at uint32, s string) []byte {
		return slices.Concat(wasm.Poke(at, []byte(s)), wasm.Const32(int32(at)), wasm.Const32(int32(len(s))))
	}
	write := func(name, grants string, code func(m *wasm.Module) func(count []byte)) string {
		m := new(wasm.Module)
		inc := m.Import("nx", "crdt_gcounter_inc", []wasm.Type{wasm.I32, wasm.I32, wasm.I64}, []wasm.Type{wasm.I32})
		finish := code(m)
		m.Memory(1, "memory")
		finish(slices.Concat(text(512, name), wasm.Const64(1), wasm.CallFunc(inc), wasm.TrapUnless32(0)))
		at := filepath.Join(dir, name)
		if err := os.Mkdir(at, 0o700); err != nil {
			t.Fatal(err)
		}
		manifest := fmt.Sprintf("name = %q\nversion = \"1.0.0\"\nwasm = \"m.wasm\"\n[grants]\n%s", name, grants)
		for file, b := range map[string][]byte{"module.toml": []byte(manifest), "m.wasm": m.Bytes()} {
			if err := os.WriteFile(filepath.Join(at, file), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return at
	}
	const data = "[[grants.data]]\ndataset = \"default\"\nread = \"all\"\nwrite = \"all\"\n[[triggers]]\n"
	sender = write("sent", "publish = [\"work\"]\n"+data+"every = \"10ms\"\n", func(m *wasm.Module) func([]byte) {
		send := m.Import("nx", "msg_send", slices.Repeat([]wasm.Type{wasm.I32}, 6), []wasm.Type{wasm.I32})
		return func(count []byte) {
			m.On("on_tick", slices.Concat(text(64, to), text(256, "work"), text(384, "now"), wasm.CallFunc(send), wasm.TrapUnless32(0), count)...)
		}
	})
	worker = write("done", "subscribe = [\"work\"]\n"+data+"message = \"work\"\n", func(m *wasm.Module) func([]byte) {
		return func(count []byte) { m.On("on_message", count...) }
	})
	return sender, worker
}

// TestKilledMessages kills two nodes in turn with SIGKILL while a module on one sends to a module on the other. What was
// sent is handled in the end: what counts as sent was on disk before, and what is handled is before the sender hears so.
func TestKilledMessages(t *testing.T) {
	dir := t.TempDir()
	binary := filepath.Join(dir, "numax-node")
	build(t, ".", binary)
	t.Setenv("TMPDIR", filepath.Join(dir, "tmp"))
	network := fmt.Sprintf("crash-messages-%d", os.Getpid())
	options := func(data string, more ...string) []string {
		return append([]string{"--network", network, "--data", filepath.Join(dir, data)}, more...)
	}
	command := func(args ...string) string {
		t.Helper()
		b, err := exec.Command(binary, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s %v", args, b, err)
		}
		return string(b)
	}

	a := up(t, binary, options("a", "--listen", "127.0.0.1:0")...)
	var listen []string // where it was, for b
	for _, addr := range a.Addrs {
		at, _, _ := strings.Cut(addr, "/p2p/")
		listen = append(listen, "--listen", at)
	}
	b := up(t, binary, options("b", "--listen", "127.0.0.1:0", "--bootstrap", a.Addrs[0])...)
	sender, worker := talkers(t, dir, b.PeerID)
	command("module", "add", worker, "--data", filepath.Join(dir, "b"))
	command("module", "add", sender, "--data", filepath.Join(dir, "a"))
	counted := func(key string) (n int) {
		t.Helper()
		if _, err := fmt.Sscanf(command("data", "get", "gcounter", key, "--data", filepath.Join(dir, "a")), key+" = %d", &n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	handled := func(n int) {
		t.Helper()
		for began := time.Now(); counted("done") < n; time.Sleep(20 * time.Millisecond) { // a poll with a deadline
			if time.Since(began) > 90*time.Second {
				t.Fatalf("%d were handled, want %d", counted("done"), n)
			}
		}
	}
	for i := range 6 {
		handled(counted("done") + 10)
		time.Sleep(rand.N(100 * time.Millisecond)) // a random moment is the point
		if i%2 == 0 {
			a.kill()
			a = up(t, binary, options("a", listen...)...)
		} else {
			b.kill()
			b = up(t, binary, options("b", "--listen", "127.0.0.1:0", "--bootstrap", a.Addrs[0])...)
		}
	}
	command("module", "stop", "sent", "--data", filepath.Join(dir, "a"))
	handled(counted("sent"))
	t.Logf("%d sent, %d handled", counted("sent"), counted("done"))
}
