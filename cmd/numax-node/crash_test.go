package main_test

import (
	"bufio"
	"bytes"
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

// crashes is how often the node is killed.
const crashes = 20

// ackGuest increments a counter, commits and says so, for ever.
func ackGuest(key string) []byte {
	m := new(wasm.Module)
	inc := m.Import("nx", "crdt_gcounter_inc", []wasm.Type{wasm.I32, wasm.I32, wasm.I64}, []wasm.Type{wasm.I32})
	commit := m.Import("nx", "commit", nil, []wasm.Type{wasm.I32})
	say := m.Import("nx", "host_log", []wasm.Type{wasm.I32, wasm.I32}, nil)
	m.Memory(1, "memory")
	const loop, void, br, end = 0x03, 0x40, 0x0c, 0x0b
	once := slices.Concat(
		wasm.Poke(64, []byte(key)), wasm.Const32(64), wasm.Const32(int32(len(key))), wasm.Const64(1),
		wasm.CallFunc(inc), wasm.TrapUnless32(0), wasm.CallFunc(commit), wasm.TrapUnless32(0), wasm.SayCode(say, "acknowledged"))
	m.Export("run", m.Func(nil, nil, slices.Concat([]byte{loop, void}, once, []byte{br, 0, end})...))
	return m.Bytes()
}

// TestKilledNode kills a node with SIGKILL in the middle of a write load, again
// and again. What commit acknowledged is there after each restart, the counter
// never exceeds what was tried (a seq used twice would lose or double an op),
// and a peer that was there all the time ends with the same value.
func TestKilledNode(t *testing.T) {
	dir := t.TempDir()
	binary := filepath.Join(dir, "numax-node")
	build(t, ".", binary)
	guest := filepath.Join(dir, "ack.wasm")
	if err := os.WriteFile(guest, ackGuest("k"), 0o644); err != nil {
		t.Fatal(err)
	}
	env := append(os.Environ(), "TMPDIR="+filepath.Join(dir, "tmp"))
	network := fmt.Sprintf("crash-%d", os.Getpid())
	common := []string{"--network", network, "--listen", "127.0.0.1:0", "--log-level", "error", "--no-mdns"}

	up := func(data string) (addr string) {
		t.Helper()
		cmd := exec.Command(binary, append([]string{"up", "--json", "--data", filepath.Join(dir, data)}, common...)...)
		cmd.Env, cmd.Stderr = env, os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = cmd.Process.Signal(os.Interrupt)
			_ = cmd.Wait()
		})
		var ready struct{ Addrs []string }
		if err := json.NewDecoder(bufio.NewReader(out)).Decode(&ready); err != nil || len(ready.Addrs) == 0 {
			t.Fatalf("the ready line of %s: %v, %v", data, ready, err)
		}
		return ready.Addrs[0]
	}
	common = append(common, "--bootstrap", up("peer"))

	value := func(data string) (v uint64) {
		t.Helper()
		cmd := exec.Command(binary, "data", "get", "gcounter", "k", "--network", network, "--data", filepath.Join(dir, data))
		cmd.Env = env
		b, err := cmd.CombinedOutput()
		if _, serr := fmt.Sscanf(string(b), "k = %d", &v); err != nil || serr != nil {
			t.Fatalf("data get on %s: %s %v", data, b, err)
		}
		return v
	}

	var acknowledged uint64
	for i := range crashes {
		var log bytes.Buffer
		victim := exec.Command(binary, append([]string{"run", guest, "--data", filepath.Join(dir, "victim")}, common...)...)
		victim.Env, victim.Stderr = env, &log
		if err := victim.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(150*time.Millisecond + rand.N(250*time.Millisecond)) // a random moment is the point
		if err := victim.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = victim.Wait()
		acknowledged += uint64(strings.Count(log.String(), "acknowledged"))
		got := value("victim")
		// One op of each run may be on disk without its acknowledgement having
		// been seen.
		if got < acknowledged || got > acknowledged+uint64(i)+1 {
			t.Fatalf("after kill %d: k = %d, want %d acknowledged, at most %d more\n%s", i+1, got, acknowledged, i+1, log.String())
		}
	}
	if acknowledged < crashes {
		t.Fatalf("only %d ops were acknowledged in %d runs: no load", acknowledged, crashes)
	}

	up("victim")
	want := uint64(0)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) { // a poll with a deadline
		peer, victim := value("peer"), value("victim")
		if want = peer; peer == victim && peer >= acknowledged {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the peer holds %d and the victim %d, want both equal and at least %d", peer, victim, acknowledged)
		}
	}
	t.Logf("%d increments acknowledged over %d kills; the peer holds %d", acknowledged, crashes, want)
}
