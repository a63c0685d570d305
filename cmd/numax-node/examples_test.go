package main_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// exampleTime bounds one command of a README.
const exampleTime = 2 * time.Minute

// TestExamples runs the commands of every ```console fence in the READMEs of
// examples/ and compares what they print with what the README says, exactly.
func TestExamples(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs every example, which takes minutes under the race detector; make test does")
	}
	readmes, err := filepath.Glob("../../examples/*/README.md")
	if err != nil || len(readmes) == 0 {
		t.Fatalf("READMEs of the examples: got %v, %v", readmes, err)
	}
	built := buildExamples(t)
	for _, readme := range readmes {
		name := filepath.Base(filepath.Dir(readme))
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(readme)
			if err != nil {
				t.Fatal(err)
			}
			fences := readFences(string(text))
			if len(fences) == 0 {
				t.Fatalf("%s has no console fence", readme)
			}
			for _, fence := range fences {
				runFence(t, built, fence)
			}
		})
	}
	t.Run("services", func(t *testing.T) {
		t.Parallel()
		testServices(t, built)
	})
}

// buildExamples makes a directory that looks like the repository after
// `make build`: bin/numax-node and examples/NAME/NAME.wasm, with the module's
// manifest and files beside it if it has any.
func buildExamples(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	build(t, ".", filepath.Join(dir, "bin", "numax-node"))
	sources, err := filepath.Glob("../../examples/*/main.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, source := range sources {
		from := filepath.Dir(source)
		name := filepath.Base(from)
		to := filepath.Join(dir, "examples", name)
		args := []string{"-o", filepath.Join(to, name+".wasm")}
		if _, err := os.Stat(filepath.Join(from, "module.toml")); err == nil {
			args = append(args, "-buildmode=c-shared") // it is kept running
			if err := os.CopyFS(to, os.DirFS(from)); err != nil {
				t.Fatal(err)
			}
			_ = os.Remove(filepath.Join(to, name+".wasm")) // of make build
		}
		goBuild(t, from, []string{"GOOS=wasip1", "GOARCH=wasm"}, args...)
	}
	// The C guest is kept as a binary: a compiler for it is not to be expected.
	b, err := os.ReadFile("../../examples/hello-c/hello.wasm")
	if err == nil {
		err = os.Mkdir(filepath.Join(dir, "examples", "hello-c"), 0o700)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "examples", "hello-c", "hello.wasm"), b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func build(t *testing.T, dir, output string) {
	t.Helper()
	goBuild(t, dir, nil, "-o", output)
}

func goBuild(t *testing.T, dir string, env []string, args ...string) {
	t.Helper()
	cmd := exec.Command("go", append(append([]string{"build", "-buildvcs=false"}, args...), ".")...)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), "CGO_ENABLED=0"), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build in %s: %v\n%s", dir, err, out)
	}
}

// step is a command of a README with the output below it.
type step struct{ command, want string }

// readFences takes the console fences of a README apart:
//
//	```console
//	$ command
//	output
//	```
func readFences(text string) [][]step {
	var fences [][]step
	in := false
	for line := range strings.Lines(text) {
		switch {
		case strings.HasPrefix(line, "```"):
			if in = strings.TrimSpace(line) == "```console"; in {
				fences = append(fences, nil)
			}
		case !in:
		case strings.HasPrefix(line, "$ "):
			last := &fences[len(fences)-1]
			*last = append(*last, step{command: strings.TrimSpace(line[2:])})
		default:
			fence := fences[len(fences)-1]
			if len(fence) > 0 {
				fence[len(fence)-1].want += line
			}
		}
	}
	return fences
}

// runFence runs a fence's commands one after the other in a directory in which
// no node has run. Its own TMPDIR keeps its nodes from meeting others.
func runFence(t *testing.T, built string, fence []step) {
	t.Helper()
	dir := t.TempDir()
	tmp := filepath.Join(dir, "tmp")
	if err := os.Mkdir(tmp, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"bin", "examples"} {
		if err := os.Symlink(filepath.Join(built, name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range fence {
		got, log, err := runStep(t.Context(), dir, tmp, s.command)
		if err != nil {
			t.Fatalf("$ %s\n%v\n%s%s", s.command, err, got, log)
		}
		if got != s.want {
			t.Errorf("$ %s\ngot:\n%swant:\n%slog:\n%s", s.command, got, s.want, log)
		}
	}
}

// runStep runs one command. A terminal shows stdout and stderr together; of
// stderr a README quotes what the guest logs, and only where one node runs
// alone, before what the node prints at the end.
func runStep(ctx context.Context, dir, tmp, command string) (shown, log string, err error) {
	ctx, cancel := context.WithTimeout(ctx, exampleTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", command)
	cmd.Dir = dir
	cmd.Env = append(quietEnv(), "TMPDIR="+tmp)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	// A node that outlives its shell must not hold the test.
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Run(); err != nil {
		return stdout.String(), stderr.String(), fmt.Errorf("failed: %w", err)
	}
	var guest strings.Builder
	if strings.Contains(command, "--offline") {
		for line := range strings.Lines(stderr.String()) {
			if strings.HasPrefix(line, "[guest] ") {
				guest.WriteString(line)
			}
		}
	}
	return guest.String() + stdout.String(), stderr.String(), nil
}

// quietEnv is the environment without what would configure a node or a guest.
func quietEnv() []string {
	var env []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "NUMAX_") && !strings.HasPrefix(kv, "NX_") {
			env = append(env, kv)
		}
	}
	return env
}

// The pages of examples have files in common, so that each folder is whole; they are the same.
func TestPagesAlike(t *testing.T) {
	for _, name := range []string{"numax.js", "page.css", "sw.js"} {
		files, err := filepath.Glob("../../examples/*/web/" + name)
		if err != nil || len(files) < 2 {
			t.Fatalf("files %s: got %v, %v", name, files, err)
		}
		var first []byte
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if first == nil {
				first = b
			}
			if !bytes.Equal(first, b) {
				t.Errorf("%s and %s differ: change all alike", files[0], file)
			}
		}
	}
}
