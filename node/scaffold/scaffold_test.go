package scaffold

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"go/format"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/numax-mesh/numax/node/module"
	"github.com/numax-mesh/numax/sandbox"
	"github.com/numax-mesh/numax/sandbox/sandboxtest"
)

// everywhere runs a test with a new module in each language that can be built here.
func everywhere(t *testing.T, name string, test func(t *testing.T, language, dir string)) {
	if testing.Short() {
		t.Skip("builds modules")
	}
	for _, language := range Languages() {
		t.Run(language, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), name)
			if err := New(dir, language); err != nil {
				t.Fatal(err)
			}
			test(t, language, dir)
		})
	}
}

// compiled builds the module in dir and makes it ready to run.
func compiled(t *testing.T, rt *sandbox.Runtime, dir string) *sandbox.Module {
	t.Helper()
	var log bytes.Buffer
	file, err := Build(t.Context(), dir, &log)
	if errors.Is(err, errMissing) {
		t.Skipf("make toolchains installs what this needs: %v", err)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, &log)
	}
	wasm, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	m, err := rt.Compile(t.Context(), filepath.Base(file), wasm)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func newRuntime(t *testing.T) *sandbox.Runtime {
	t.Helper()
	rt, err := sandbox.New(t.Context(), sandbox.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rt.Close(context.WithoutCancel(t.Context())) })
	return rt
}

// A new module builds as it is, and does what it says, in every language alike.
func TestNewModuleRuns(t *testing.T) {
	rt := newRuntime(t)
	everywhere(t, "hello-1", func(t *testing.T, _, dir string) {
		m := compiled(t, rt, dir)
		node := sandboxtest.NewNode()
		for _, name := range []string{"", "Ada"} {
			if name != "" {
				node.Vars["NX_NAME"] = name
			}
			if err := m.Run(t.Context(), sandbox.Call{Host: node.Host()}); err != nil {
				t.Fatal(err)
			}
		}
		i, err := m.Start(t.Context(), sandbox.Call{Host: node.Host()})
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"hello-1:greeting?", "hello-1:greetings", "hello-1:greetings2", ""} {
			if err := i.Handle(t.Context(), &sandbox.Event{Name: sandbox.OnRemoteOp, Fields: fields("key", key)}); err != nil {
				t.Errorf("change of %q: %v", key, err)
			}
		}
		if err := i.Close(t.Context()); err != nil {
			t.Error(err)
		}
		const want = "hello, world: greeting 1\nhello, Ada: greeting 2\nsomebody was greeted elsewhere: greeting 2\n"
		if got := logged(node); got != want {
			t.Errorf("logged\n%s\nwant\n%s", got, want)
		}
	})
}

// programs runs a test with a program of testdata in each language that can be built here.
func programs(t *testing.T, name string, test func(t *testing.T, m *sandbox.Module, want string)) {
	want, err := os.ReadFile(filepath.Join("testdata", name, "want.txt"))
	if err != nil {
		t.Fatal(err)
	}
	rt := newRuntime(t)
	everywhere(t, name, func(t *testing.T, language, dir string) {
		main := languages[language].main
		source, err := os.ReadFile(filepath.Join("testdata", name, filepath.Base(main)))
		if err != nil {
			t.Fatal(err)
		}
		if err := write(filepath.Join(dir, main), source); err != nil {
			t.Fatal(err)
		}
		test(t, compiled(t, rt, dir), string(want))
	})
}

func logged(n *sandboxtest.Node) string {
	return strings.ReplaceAll(strings.Join(n.Logs(), "\n"), "[guest] ", "") + "\n"
}

// The same program gives the same state and sees the same answers in every language: all functions, all families, the
// largest numbers, texts beyond ASCII, answers of no byte and of a MiB, and every error that a plain node gives.
func TestSameProgramSameState(t *testing.T) {
	var first *sandboxtest.Node
	programs(t, "everything", func(t *testing.T, m *sandbox.Module, want string) {
		node := sandboxtest.NewNode()
		node.Vars["NX_MODE"] = "abort"
		node.Addrs = []sandbox.Peer{{Addr: "b", ID: "B"}, {Addr: "a", ID: "A"}}
		err := m.Run(t.Context(), sandbox.Call{Host: node.Host()})
		var abort *sandbox.AbortError
		if !errors.As(err, &abort) || abort.Msg != "as told" {
			t.Errorf("run: %v", err)
		}
		if got := logged(node); got != want {
			t.Errorf("logged\n%s\nwant\n%s", got, want)
		}
		if first == nil {
			first = node
		} else if !reflect.DeepEqual(node, first) {
			t.Error("left another state than the same program in another language")
		}
	})
}

// So does a program that lives on: it asks for the same, hears the same and answers the same.
func TestSameProgramLives(t *testing.T) {
	programs(t, "lives", func(t *testing.T, m *sandbox.Module, want string) {
		node := sandboxtest.NewNode()
		service := &sandboxtest.Service{Node: node, Reply: []byte("answer")}
		host := node.Host()
		host.Service, host.Messages, host.Fetch, host.Blobs = service, service, service, service.Blobs()
		i, err := m.Start(t.Context(), sandbox.Call{Host: host})
		if err != nil {
			t.Fatal(err)
		}
		var reply string
		var page page
		for _, e := range []sandbox.Event{
			{Name: sandbox.OnChange, Fields: fields("dataset", "other", "family", "lww-map", "key", "a/1")},
			{Name: sandbox.OnRemoteOp, Fields: fields("dataset", "other", "family", "rga", "key", "a/2")},
			{Name: sandbox.OnTick, Fields: fields("timer", "7")},
			{
				Name: sandbox.OnMessage, Fields: fields("subject", "s.x", "from", "node-2", "reply", "1"), Body: strings.NewReader("hello"),
				Reply: func(payload []byte) error { reply = string(payload); return nil },
			},
			{Name: sandbox.OnMessage, Fields: fields("subject", "s.x", "from", "node-2"), Body: strings.NewReader("again")},
			{
				Name: sandbox.OnRequest, Body: strings.NewReader(strings.Repeat("text ", 20_000)), Response: &page,
				Fields: fields("method", "GET", "path", "/p", "query", "q=1", "host", "h", "remote", "1.2.3.4", "header.accept", "text/html"),
			},
			{Name: sandbox.OnPeerConnected, Fields: fields("addr", "addr", "peer", "id")},
			{Name: sandbox.OnPeerDisconnected, Fields: fields("addr", "addr", "peer", "id")},
		} {
			if err := i.Handle(t.Context(), &e); err != nil {
				t.Fatal(err)
			}
		}
		if err := i.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if got := logged(node); got != want {
			t.Errorf("logged\n%s\nwant\n%s", got, want)
		}
		asked := strings.Join(service.Asked, "\n")
		if want := strings.Join([]string{
			"watch a/", "unwatch b/", "timer 7 100ms 1s", "use other", "subscribe s.x", "unsubscribe s.y",
			"publish s.p hi", "send node-2 s.s x", "request s.q ?", "POST http://h/ [[A b] [C d]] body",
			"blob write a blob", "blob finish", "blob size", "blob read at 0", "blob drop",
		}, "\n"); asked != want {
			t.Errorf("asked for\n%s\nwant\n%s", asked, want)
		}
		if want := "echo hello"; reply != want {
			t.Errorf("replied %q, want %q", reply, want)
		}
		if got, want := page.String(), "201 Kind: x\ngot text"; got != want {
			t.Errorf("answered %q, want %q", got, want)
		}
	})
}

func fields(pairs ...string) map[string]string {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return m
}

// page is the answer to a web request.
type page struct{ bytes.Buffer }

func (p *page) Status(code int) error { _, err := fmt.Fprint(p, code, " "); return err }
func (p *page) Header(name, value string) error {
	_, err := fmt.Fprintf(p, "%s: %s\n", name, value)
	return err
}

// A name that is no name of a module, or a folder that is there, is refused, and nothing is written.
func TestNewRefuses(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "taken"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct{ name, language, want string }{
		{"Hello", "go", `name: got "Hello"`},
		{"", "go", "name"},
		{"a\"b\n", "go", "name"},
		{"default", "go", "choose another"},
		{"hello", "zig", `no language "zig": want assemblyscript, c, go, rust`},
		{"taken", "c", "already there"},
		{"no/hello", "c", "no such file"},
	} {
		err := New(filepath.Join(dir, filepath.FromSlash(x.name)), x.language)
		if err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("New(%q, %q) = %v, want %q in it", x.name, x.language, err, x.want)
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("left %v, %v: want only what was there", left, err)
	}
}

// What is written for Go is as gofmt writes it, whatever the name.
func TestNewGoIsFormatted(t *testing.T) {
	files, err := render("go", values{Name: "a-1", Main: "main.go"})
	if err != nil {
		t.Fatal(err)
	}
	want, err := format.Source(files["main.go"])
	if err != nil || !bytes.Equal(files["main.go"], want) {
		t.Errorf("%v: got\n%s\nwant\n%s", err, files["main.go"], want)
	}
}

// A folder that cannot be finished is not left half made.
func TestCreateLeavesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "hello")
	files := map[string][]byte{"main": nil, "main/main.go": nil} // no name of a file is one of a folder too
	if err := create(dir, files, fstest.MapFS{}); err == nil || !strings.Contains(err.Error(), "make "+dir) {
		t.Errorf("create: %v", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder is still there: %v", err)
	}
}

// The manifest of a new module grants it its own keys and no others.
func TestNewManifest(t *testing.T) {
	for _, language := range Languages() {
		dir := filepath.Join(t.TempDir(), "hello")
		if err := New(dir, language); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(dir, module.ManifestName))
		if err != nil {
			t.Fatal(err)
		}
		m, err := module.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if m.Wasm != "hello.wasm" || len(m.Grants.Data) != 1 || m.Grants.Data[0].Prefix != "hello:" {
			t.Errorf("%s: %+v", language, m)
		}
	}
}

func TestBuildRefuses(t *testing.T) {
	const manifest = "name = \"x\"\nversion = \"0.1.0\"\n"
	for _, x := range []struct {
		why, want string
		files     map[string]string
	}{
		{"empty folder", "there is no module.toml", nil},
		{"bad manifest", "version", map[string]string{"module.toml": `name = "x"`}},
		{"no language", "want one of asconfig.json, *.c, go.mod, *.go, Cargo.toml", map[string]string{"module.toml": manifest}},
		{"no source", "go failed, see above", map[string]string{"module.toml": manifest, "go.mod": "module x\n"}},
	} {
		dir := t.TempDir()
		for name, text := range x.files {
			if err := write(filepath.Join(dir, name), []byte(text)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := Build(t.Context(), dir, new(bytes.Buffer)); err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: %v, want %q in it", x.why, err, x.want)
		}
	}
}

// Without a compiler the error names it and says where it comes from.
func TestBuildNamesWhatIsMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv("RUSTC", "")
	for _, language := range Languages() {
		dir := filepath.Join(t.TempDir(), "hello")
		if err := New(dir, language); err != nil {
			t.Fatal(err)
		}
		if language == "rust" {
			if _, _, err := findRust(t.Context()); err == nil {
				continue // the distribution's, which is found without a PATH
			}
		}
		_, err := Build(t.Context(), dir, new(bytes.Buffer))
		if err == nil || !strings.Contains(err.Error(), languages[language].needs) {
			t.Errorf("%s: %v, want what it needs", language, err)
		}
		if _, err := os.Stat(filepath.Join(dir, "hello.wasm")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: left a binary", language)
		}
	}
}

// A path is a pattern of itself alone.
func TestEscape(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "[a]*?")
	if err := write(filepath.Join(dir, "go.mod"), nil); err != nil {
		t.Fatal(err)
	}
	if name, _, err := languageOf(dir); name != "go" || err != nil {
		t.Errorf("in %s: %q, %v", dir, name, err)
	}
}
