package scaffold

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/numax-mesh/numax/node/module"
)

// build is one build under way.
type build struct {
	dir  string    // the module's folder, absolute
	wasm string    // where the compiler puts the module, outside dir
	log  io.Writer // what the compiler says
}

// errMissing is a compiler, or a part of one, that is not on this machine.
var errMissing = errors.New("not found")

// Build compiles the module in dir, whose language it sees by its files, and returns the path of the binary, which its
// manifest names. What the compiler says goes to log. A binary that is there is replaced at once, when the new one is
// whole.
func Build(ctx context.Context, dir string, log io.Writer) (string, error) {
	manifest, err := os.ReadFile(filepath.Join(dir, module.ManifestName))
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("scaffold: build %s: there is no %s: give the folder of a module, or make one with numax-node new", dir, module.ManifestName)
	} else if err != nil {
		return "", fmt.Errorf("scaffold: build: %w", err)
	}
	m, err := module.Parse(manifest)
	if err != nil {
		return "", fmt.Errorf("scaffold: build %s: %w", dir, err)
	}
	name, lang, err := languageOf(dir)
	if err != nil {
		return "", err
	}
	b := &build{log: log}
	if b.dir, err = filepath.Abs(dir); err != nil {
		return "", fmt.Errorf("scaffold: build: %w", err)
	}
	temp, err := os.MkdirTemp("", "numax-build-")
	if err != nil {
		return "", fmt.Errorf("scaffold: build: %w", err)
	}
	defer func() { _ = os.RemoveAll(temp) }()
	b.wasm = filepath.Join(temp, "module.wasm")

	err = lang.compile(ctx, b)
	if errors.Is(err, errMissing) {
		return "", fmt.Errorf("scaffold: build %s: %w: a module in %s needs %s", dir, err, name, lang.needs)
	} else if err != nil {
		return "", fmt.Errorf("scaffold: build %s: %w", dir, err)
	}
	out := filepath.Join(dir, filepath.FromSlash(m.Wasm))
	if err := replace(out, b.wasm); err != nil {
		return "", fmt.Errorf("scaffold: build %s: %w", dir, err)
	}
	return out, nil
}

// languageOf tells the language of the module in dir.
func languageOf(dir string) (string, *language, error) {
	var markers []string
	for _, name := range Languages() {
		lang := languages[name]
		for _, marker := range lang.markers {
			if found, _ := filepath.Glob(filepath.Join(escape(dir), marker)); len(found) > 0 {
				return name, lang, nil
			}
		}
		markers = append(markers, lang.markers...)
	}
	return "", nil, fmt.Errorf("scaffold: build %s: cannot tell its language: want one of %s in it", dir, strings.Join(markers, ", "))
}

// escape makes a pattern that only the path itself matches.
func escape(path string) string {
	if filepath.Separator == '\\' {
		return path // there the separator is what would escape
	}
	return strings.NewReplacer("*", `\*`, "?", `\?`, "[", `\[`, `\`, `\\`).Replace(path)
}

// replace copies a file over another such that nobody sees half of it.
func replace(to, from string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return fmt.Errorf("the compiler left no module: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	part := to + ".part"
	if err := os.WriteFile(part, data, 0o644); err != nil {
		return err
	}
	if err := os.Rename(part, to); err != nil {
		return errors.Join(err, os.Remove(part))
	}
	return nil
}

// run runs a compiler in the module's folder, with env added to the environment.
func (b *build) run(ctx context.Context, env []string, stdout io.Writer, name string, args ...string) error {
	path, err := exec.LookPath(name)
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(name), errMissing)
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = b.dir, append(os.Environ(), env...), stdout, b.log
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s failed, see above: %w", filepath.Base(name), errors.Join(err, ctx.Err()))
	}
	return nil
}
