package scaffold

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// What each language's compiler is asked for. Every result is a module without a start of its own: the node calls what
// it exports.

func compileGo(ctx context.Context, b *build) error {
	env := []string{"GOOS=wasip1", "GOARCH=wasm", "GOWORK=off", "CGO_ENABLED=0"}
	return b.run(ctx, env, b.log, "go", "build", "-buildmode=c-shared", "-trimpath", "-ldflags=-s -w", "-o", b.wasm, ".")
}

const rustTarget = "wasm32-unknown-unknown"

func compileRust(ctx context.Context, b *build) error {
	rustc, cargo, err := findRust(ctx)
	if err != nil {
		return err
	}
	var messages bytes.Buffer
	err = b.run(ctx, []string{"RUSTC=" + rustc}, &messages, cargo,
		"build", "--release", "--target", rustTarget, "--message-format", "json-render-diagnostics")
	if err != nil {
		return err
	}
	file, err := rustArtifact(&messages)
	if err != nil {
		return err
	}
	return replace(b.wasm, file)
}

// findRust finds a compiler that has the target, and its cargo: the two must fit each other. A machine may have several,
// as from rustup and from its distribution.
func findRust(ctx context.Context) (rustc, cargo string, err error) {
	for _, name := range []string{os.Getenv("RUSTC"), "rustc", "/usr/bin/rustc"} {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		lib, err := exec.CommandContext(ctx, path, "--print", "target-libdir", "--target", rustTarget).Output()
		if err != nil {
			continue
		}
		if _, err := os.Stat(strings.TrimSpace(string(lib))); err != nil {
			continue
		}
		beside := filepath.Join(filepath.Dir(path), "cargo")
		if _, err := exec.LookPath(beside); err == nil {
			return path, beside, nil
		}
		return path, "cargo", nil
	}
	return "", "", fmt.Errorf("a rustc for %s: %w", rustTarget, errMissing)
}

// rustArtifact reads what cargo reports, a JSON object a line, for the module it made.
func rustArtifact(messages io.Reader) (string, error) {
	file := ""
	for d := json.NewDecoder(messages); ; {
		var m struct{ Filenames []string }
		if err := d.Decode(&m); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return "", fmt.Errorf("read what cargo reports: %w", err)
		}
		for _, f := range m.Filenames {
			if strings.HasSuffix(f, ".wasm") {
				file = f // the last is the module's own
			}
		}
	}
	if file == "" {
		return "", errors.New(`cargo made no module: Cargo.toml needs [lib] with crate-type = ["cdylib"]`)
	}
	return file, nil
}

const mainTS = "main.ts"

func compileAssemblyScript(ctx context.Context, b *build) error {
	asc := filepath.Join(b.dir, "node_modules", ".bin", "asc")
	if _, err := exec.LookPath(asc); err != nil {
		asc = "asc"
	}
	return b.run(ctx, nil, b.log, asc, mainTS, "-o", b.wasm)
}

func compileC(ctx context.Context, b *build) error {
	if _, err := exec.LookPath("wasm-ld"); err != nil {
		return fmt.Errorf("wasm-ld: %w", errMissing)
	}
	sources, err := filepath.Glob(filepath.Join(escape(b.dir), "*.c"))
	if err != nil {
		return err
	}
	// No libc; with bulk memory there is none needed for copies.
	args := []string{
		"--target=wasm32", "-mbulk-memory", "-nostdlib", "-O2", "-Wall", "-Wextra",
		"-Wl,--no-entry", "-Wl,--strip-all", "-o", b.wasm,
	}
	return b.run(ctx, nil, b.log, "clang", append(args, sources...)...)
}
