package scaffold

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/numax-mesh/numax/node/module"
	"github.com/numax-mesh/numax/sandbox/sdk"
)

// templates holds a folder of files a language, and those of every language in common. A file's name ends in .tmpl, so
// that a go.mod is none yet; one that begins with dot- begins with a dot in the module.
//
//go:embed templates
var templates embed.FS

const sdkFolder = "sdk" // where the SDK goes in a module

// ErrUsage is in the error of New when the language or the name was none.
var ErrUsage = errors.New("usage")

// New makes the folder dir, with a module of that folder's name in it. Nothing is overwritten: the folder must not be
// there yet. When New fails, it leaves nothing behind.
func New(dir, language string) error {
	lang, ok := languages[language]
	if !ok {
		return fmt.Errorf("%w: scaffold: make a module: no language %q: want %s", ErrUsage, language, strings.Join(Languages(), ", "))
	}
	name := filepath.Base(dir)
	if err := checkName(name); err != nil {
		return err
	}
	files, err := render(language, values{name, language, lang.main, lang.needs})
	if err != nil {
		return err
	}
	source, err := sdk.Source(language)
	if err != nil {
		return err
	}
	return create(dir, files, source)
}

// create makes the folder with files and the SDK in it, or nothing.
func create(dir string, files map[string][]byte, source fs.FS) (err error) {
	if err := os.Mkdir(dir, 0o755); errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("scaffold: make %s: it is already there: choose another name", dir)
	} else if err != nil {
		return fmt.Errorf("scaffold: make a module: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("scaffold: make %s: %w", dir, err), os.RemoveAll(dir))
		}
	}()
	for name, data := range files {
		if err := write(filepath.Join(dir, filepath.FromSlash(name)), data); err != nil {
			return err
		}
	}
	return os.CopyFS(filepath.Join(dir, sdkFolder), source)
}

// checkName asks the manifest, whose name it becomes.
func checkName(name string) error {
	if _, err := module.Parse(fmt.Appendf(nil, "name = %q\nversion = \"0.1.0\"\n", name)); err != nil {
		return fmt.Errorf("%w: scaffold: make a module: %w", ErrUsage, err)
	}
	return nil
}

// values are what the templates show.
type values struct{ Name, Language, Main, Needs string }

// render makes the files of a module from the templates: path → text.
func render(language string, v values) (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, root := range []string{"templates/common", "templates/" + language} {
		err := fs.WalkDir(templates, root, func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			t, err := template.ParseFS(templates, name)
			if err != nil {
				return err
			}
			var text bytes.Buffer
			if err := t.Execute(&text, v); err != nil {
				return err
			}
			to := strings.TrimSuffix(strings.TrimPrefix(name, root+"/"), ".tmpl")
			folder, base := path.Split(to)
			if rest, hidden := strings.CutPrefix(base, "dot-"); hidden {
				base = "." + rest
			}
			files[folder+base] = text.Bytes()
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("scaffold: render templates: %w", err)
		}
	}
	return files, nil
}

func write(file string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, data, 0o644)
}
