package sandbox_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/numax-mesh/numax/sandbox"
	"github.com/numax-mesh/numax/sandbox/sandboxtest"
)

// A guest built with the Go SDK calls every function for real.
func TestGoSDK(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a Go guest")
	}
	file := filepath.Join(t.TempDir(), "everything.wasm")
	build := exec.Command("go", "build", "-o", file, "./internal/everything")
	build.Dir = "sdk/go"
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=", "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build guest: %v\n%s", err, out)
	}
	wasm, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	m, err := newRuntime(t, sandbox.Config{}).Compile(t.Context(), "everything.wasm", wasm)
	if err != nil {
		t.Fatal(err)
	}
	node := sandboxtest.NewNode()
	node.Vars["NX_MODE"] = "abort"
	node.Addrs = []sandbox.Peer{{Addr: "b", ID: "B"}, {Addr: "a", ID: "A"}}
	var stdout, stderr bytes.Buffer
	err = m.Run(t.Context(), sandbox.Call{Host: node.Host(), Args: []string{"numax-node", "run"}, Stdout: &stdout, Stderr: &stderr})
	var abort *sandbox.AbortError
	if !errors.As(err, &abort) || abort.Msg != "as told" {
		t.Errorf("run: %v\n%s", err, stderr.String())
	}
	if got, want := stdout.String(), "to stdout\n"; got != want {
		t.Errorf("stdout %q, want %q", got, want)
	}
	got := strings.ReplaceAll(strings.Join(node.Logs(), "\n"), "[guest] ", "")
	want := strings.TrimSpace(`
grow: [] <nil>
grow: [2] <nil>
stock: [] <nil>
stock: [-5] <nil>
unset: [false] <nil>
register: [] <nil>
register: [v true] <nil>
map: [] <nil>
map a: [true] <nil>
map c: [false] <nil>
map b: [2 true] <nil>
map: [[{a 1} {b 2}]] <nil>
set: [] <nil>
set z: [false] <nil>
set: [[x y]] <nil>
list: [true] <nil>
list: [] <nil>
list: [[two]] <nil>
private: [] <nil>
private q: [false] <nil>
private p/1: [x true] <nil>
scan: [[{p/1 x} {p/2 }]] <nil>
keys: [[p/2]] <nil>
reserved: [] nx: keys under __nx/ are reserved
module: [everything.wasm] <nil>
capabilities: [61] <nil>
env: [abort true] <nil>
event: [] <nil>
now: [1700000000123] <nil>
monotonic: [true] <nil>
random: [] <nil>
sha256: [ba7816bf] <nil>
blake3: [6437b3ac] <nil>
node: [node-1] <nil>
peers: [[{a A} {b B}]] <nil>
commit: [] <nil>
args: [[numax-node run] 0] <nil>`)
	if got != want {
		t.Errorf("logged\n%s\nwant\n%s", got, want)
	}
}
