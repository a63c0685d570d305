package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	wasm "github.com/numax-mesh/numax/sandbox/sandboxtest"
)

// hostile is what a guest, a peer or a file may say: it would set the title, clear the screen, turn text around, and begin
// lines that look like the node's.
const hostile = "a\x1b]0;t\x07\u009b2J\x7f\u202eb\u2066\u2028\xff\rtime=forged\nforged line\tc"

// hostileName is as much of it as a name in a file system may be.
var hostileName = strings.ReplaceAll(hostile, "/", "")

// obeyed says what of an output a terminal would obey, or take for another line.
func obeyed(out string) string {
	if !utf8.ValidString(out) {
		return "bytes that are not UTF-8"
	}
	for _, r := range out {
		if r != '\n' && (unicode.IsControl(r) && r != '\t' || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029') {
			return fmt.Sprintf("%q", r)
		}
	}
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "forged") || strings.HasPrefix(line, "time=forged") {
			return "a forged line"
		}
	}
	return ""
}

// hostileRun runs a command and holds what it prints against what may be printed.
func hostileRun(t *testing.T, dir string, args ...string) (stdout string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "numax-node", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TMPDIR="+dir, "TERM=xterm")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	_ = cmd.Run() // most of it is wrong
	if ctx.Err() != nil {
		t.Errorf("%q does not end", args)
	}
	for name, text := range map[string]string{"output": out.String(), "errors": errs.String()} {
		if what := obeyed(text); what != "" {
			t.Errorf("%q: its %s have %s: %q", args, name, what, text)
		}
	}
	if slices.Contains(args, "--json") {
		for line := range strings.Lines(out.String()) {
			if !json.Valid([]byte(line)) {
				t.Errorf("%q: no JSON: %q", args, line)
			}
		}
	}
	return out.String()
}

// leaves are the commands that do something.
func leaves(cmd *cobra.Command, path ...string) (all [][]string) {
	for _, c := range cmd.Commands() {
		all = append(all, leaves(c, append(slices.Clone(path), c.Name())...)...)
	}
	if len(path) > 0 {
		all = append(all, path)
	}
	return all
}

// No command obeys, or has a terminal obey, what it is given.
func TestHostileArguments(t *testing.T) {
	dir := t.TempDir()
	for _, path := range leaves(newRoot()) {
		if path[0] == "completion" || path[0] == "help" {
			continue
		}
		for n := range 3 {
			args := slices.Concat(path, slices.Repeat([]string{hostile}, n+1))
			if n == 2 {
				args = append(slices.Clone(path), "--"+hostile)
			}
			hostileRun(t, dir, args...)
		}
	}
	for _, args := range [][]string{
		{hostile},
		{"up", "--data", hostile + "\x00"},
		{"up", "--network", strings.Repeat(hostile, 20)},
		{"up", "--listen", hostile},
		{"up", "--log-level", hostile},
		{"up", "--bootstrap", hostile},
		{"up", "--config", hostile},
		{"run", hostile + ".wasm"},
		{"bench", hostile},
		{"up", "--history-size", hostile},
	} {
		hostileRun(t, dir, args...)
	}
}

// What others wrote, named and said is shown as text by every command that prints it, with and without a node.
func TestHostileData(t *testing.T) {
	dir, err := os.MkdirTemp("", "hostile") // short enough for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	data := filepath.Join(dir, "n")
	mod := filepath.Join(dir, "m"+hostileName)
	if err := os.Mkdir(mod, 0o700); err != nil {
		t.Skip("no such names here:", err)
	}
	p := new(wasm.Module)
	say := p.Import("nx", "host_log", []wasm.Type{wasm.I32, wasm.I32}, nil)
	abort := p.Import("nx", "abort", []wasm.Type{wasm.I32, wasm.I32}, nil)
	p.Memory(1, "memory")
	words := slices.Concat(wasm.Poke(0, []byte(hostile)), wasm.Const32(0), wasm.Const32(int32(len(hostile))))
	p.Export("run", p.Func(nil, nil, slices.Concat(words, wasm.CallFunc(say), words[len(wasm.Poke(0, []byte(hostile))):], wasm.CallFunc(abort))...))
	for name, b := range map[string][]byte{
		"m.wasm":      p.Bytes(),
		"module.toml": []byte("name = \"m\"\nversion = \"1.0.0\"\nwasm = \"m.wasm\"\n[[grants.data]]\ndataset = \"\\u001b[2J\\u202e\\nforged\"\nread = \"all\"\n[restart]\ntries = 1\n"),
		"bad.json":    []byte(`{"family":"` + hostile + `"}`),
	} {
		if err := os.WriteFile(filepath.Join(mod, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	common := []string{"--data", data, "--dataset", hostile}
	with := func(args ...string) []string { return append(args, common...) }
	walk := func(node bool) {
		for _, args := range [][]string{
			with("data", "set", "lww-register", hostile, hostile), with("data", "get", "lww-register", hostile), with("data", "inc", "gcounter", hostile),
			with("data", "set", "lww-map", hostile, hostile, hostile), with("data", "add", "orset", hostile, hostile), with("data", "add", "rga", hostile, hostile),
			with("data", "get", "rga", hostile), with("data", "get", hostile, hostile), with("data", "get", "lww-map", hostile, "--json"),
			with("data", "export"), with("data", "import", filepath.Join(mod, "bad.json")), with("members", "ls"), with("members", "ls", "--json"),
			with("members", "forget", hostile), with("members", "revoke", hostile), with("network", "show"), with("snapshot", "create"), with("snapshot", "list"),
			with("snapshot", "verify", filepath.Join(mod, "bad.json")), with("status"), with("status", "--json"), with("peers"), with("invite", "create", "--role", hostile),
			with("dataset", "resync", "--from", hostile), with("swarm", "block", hostile), with("bootstrap", "ls"), with("doctor"),
			{"module", "inspect", mod},
			{"module", "inspect", mod, "--json"},
			{"module", "add", mod, "--data", data},
			{"module", "ls", "--data", data},
			{"module", "ls", "--json", "--data", data},
			{"module", "logs", "m", "--data", data},
			{"module", "reload", hostile, "--data", data},
			{"module", "verify", mod, "--key", hostile},
		} {
			out := hostileRun(t, dir, args...)
			if args[0] == "data" && args[1] == "get" && args[2] == "rga" && !strings.Contains(out, `\x1b`) {
				t.Errorf("%q shows nothing of it: %q (node: %v)", args, out, node)
			}
		}
	}
	walk(false)
	hostileRun(t, dir, with("run", filepath.Join(mod, "m.wasm"), "--offline", "--print-rga", hostile, "--print-lww-register", hostile)...)
	hostileRun(t, dir, with("run", filepath.Join(mod, "m.wasm"), "--offline", "--json", "--log-format", "json", "--print-rga", hostile)...)

	up := exec.Command("numax-node", with("up", "--no-mdns", "--listen", "127.0.0.1:0", "--api", "127.0.0.1:0", "--log-format", "json", "--log-level", "debug")...)
	up.Env = append(os.Environ(), "TMPDIR="+dir)
	var log bytes.Buffer
	up.Stderr = &log
	out, err := up.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := up.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 4<<10)); err != nil { // ready
		t.Error(err)
	}
	walk(true)
	if err := up.Process.Signal(os.Interrupt); err != nil {
		t.Error(err)
	}
	if err := up.Wait(); err != nil {
		t.Errorf("%v: %s", err, log.String())
	}
	if what := obeyed(log.String()); what != "" {
		t.Errorf("the node's log has %s: %q", what, log.String())
	}
	kept := false
	_ = filepath.WalkDir(data, func(path string, _ fs.DirEntry, _ error) error {
		kept = kept || filepath.Base(path) == "log"
		return nil
	})
	if !kept {
		t.Error("the module has said nothing")
	}
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"plain ü 漢 👩‍🚀": "plain ü 漢 👩‍🚀", "\x1b[2J": `\x1b[2J`, "a\nb\r\t": `a\x0ab\x0d\x09`, "\u009b": `\x9b`, "\x9b": `\x9b`, "\x7f": `\x7f`,
		"\u202e": `\u202e`, "\u2028": `\u2028`, "\ufeff": `\ufeff`, "\U000e0041": `\U000e0041`, "�": "�", "\u00a0": "\u00a0",
	} {
		if got := printable(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	var out strings.Builder
	p := &printer{w: &out}
	for _, b := range []byte("ü\r\n\x1b\tx\r\r\n👩\n\xff\xe2\x82") { // in pieces
		_, _ = p.Write([]byte{b})
	}
	if got, want := out.String(), "ü\n\\x1b\tx\\x0d\n👩\n\\xff"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	b, _ := json.Marshal("\x7f\u009b\u202e\U000e0041ü\n")
	safe := safeJSON(b)
	var back string
	if err := json.Unmarshal(safe, &back); err != nil || back != "\x7f\u009b\u202e\U000e0041ü\n" || obeyed(string(safe)) != "" {
		t.Errorf("%s: %q %v", safe, back, err)
	}
	out.Reset()
	m := &marked{w: &out}
	for _, s := range []string{"a", "b\nc", "\n\n", "d"} {
		_, _ = m.Write([]byte(s))
	}
	if got, want := out.String(), "[guest] ab\n[guest] c\n[guest] \n[guest] d"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Nothing is printed past terminal.go.
func TestOnePlacePrints(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") || file == "terminal.go" {
			continue
		}
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			s, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			x, ok := s.X.(*ast.Ident)
			if !ok {
				return true
			}
			switch name := x.Name + "." + s.Sel.Name; name {
			case "os.Stdout", "os.Stderr", "fmt.Print", "fmt.Printf", "fmt.Println":
				t.Errorf("%s uses %s: print with say, stdout or stderr", set.Position(n.Pos()), name)
			}
			return true
		})
	}
}
