package supervisor

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/numax-mesh/numax/node/api"
	"github.com/numax-mesh/numax/node/module"
)

// Shelf is a folder with the modules a node is to run, and so what is wanted of them, also while no node runs:
//
//	NAME/module.nxm   the bundle, as it was added
//	NAME/source       where it was added from
//	NAME/id           random, made when the module was added first
//	NAME/stopped      there if it is not to run
//	NAME/log, log.1   what it said; the older half in log.1
//	NAME/compiling.*, NAME/unfit.*   see notes.go
//
// Its methods may be called by the node that has the data directory, or when none has.
type Shelf struct{ Dir string }

const (
	bundleFile  = "module" + module.BundleExt
	sourceFile  = "source"
	stoppedFile = "stopped"
	idFile      = "id"
	logFile     = "log"
)

func (s Shelf) path(name, file string) string { return filepath.Join(s.Dir, name, file) }

func unknown(name string) error {
	return fmt.Errorf("module %q: %w: see numax-node module ls", name, api.ErrNotFound)
}

// Put puts a package on the shelf, in place of an earlier one of its name.
func (s Shelf) Put(p *module.Package, source string) error {
	fail := func(err error) error { return fmt.Errorf("supervisor: keep module %s: %w", p.Manifest.Name, err) }
	b, err := p.Bundle()
	if err != nil {
		return fail(err)
	}
	name := p.Manifest.Name
	if !s.has(name) { // what a removal that was cut short left behind
		if err := os.RemoveAll(filepath.Join(s.Dir, name)); err != nil {
			return fail(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(s.Dir, name), 0o700); err != nil {
		return fail(err)
	}
	if !s.has(name) {
		if err := replaceFile(s.path(name, idFile), []byte(rand.Text())); err != nil {
			return fail(err)
		}
	}
	if err := replaceFile(s.path(name, sourceFile), []byte(source)); err != nil {
		return fail(err)
	}
	if err := replaceFile(s.path(name, bundleFile), b); err != nil {
		return fail(err)
	}
	return nil
}

// Remove takes a module off the shelf, with its log. Its db_* keys stay in the store.
func (s Shelf) Remove(name string) error {
	if !s.has(name) {
		return unknown(name)
	}
	// The bundle first: without it there is no module.
	if err := os.Remove(s.path(name, bundleFile)); err != nil {
		return fmt.Errorf("supervisor: remove module: %w", err)
	}
	if err := syncDir(filepath.Join(s.Dir, name)); err != nil {
		return fmt.Errorf("supervisor: remove module: %w", err)
	}
	if err := os.RemoveAll(filepath.Join(s.Dir, name)); err != nil {
		return fmt.Errorf("supervisor: remove module: %w", err)
	}
	return nil
}

// Want says whether a module is to run.
func (s Shelf) Want(name string, running bool) error {
	if !s.has(name) {
		return unknown(name)
	}
	var err error
	if running {
		if err = os.Remove(s.path(name, stoppedFile)); errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		err = errors.Join(err, s.Retry(name), syncDir(filepath.Join(s.Dir, name)))
	} else {
		err = replaceFile(s.path(name, stoppedFile), nil)
	}
	if err != nil {
		return fmt.Errorf("supervisor: module %s: %w", name, err)
	}
	return nil
}

// Wanted reports whether a module is to run.
func (s Shelf) Wanted(name string) bool {
	_, err := os.Stat(s.path(name, stoppedFile))
	return s.has(name) && errors.Is(err, fs.ErrNotExist)
}

// Names are those of the modules on the shelf, sorted.
func (s Shelf) Names() ([]string, error) {
	entries, err := os.ReadDir(s.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("supervisor: read modules: %w", err)
	}
	var names []string
	for _, e := range entries {
		if s.has(e.Name()) {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

func (s Shelf) has(name string) bool {
	if !filepath.IsLocal(name) || filepath.Base(name) != name {
		return false
	}
	info, err := os.Stat(s.path(name, bundleFile))
	return err == nil && info.Mode().IsRegular()
}

// Open reads a module.
func (s Shelf) Open(name string) (*module.Package, error) {
	if !s.has(name) {
		return nil, unknown(name)
	}
	p, err := module.Open(s.path(name, bundleFile))
	if err == nil && (p.Manifest == nil || p.Manifest.Name != name) {
		err = fmt.Errorf("%s is not the bundle of %s: add the module again", p.Path, name)
	}
	return p, err
}

// id is of the module since it was added first.
func (s Shelf) id(name string) string {
	b, _ := os.ReadFile(s.path(name, idFile)) // without one it is as if it were added now, at worst all is told again
	return string(b)
}

// Source is where a module was added from, and is still.
func (s Shelf) Source(name string) (string, error) {
	if !s.has(name) {
		return "", unknown(name)
	}
	b, err := os.ReadFile(s.path(name, sourceFile))
	if err != nil {
		return "", fmt.Errorf("supervisor: reload module: %w", err)
	}
	source := string(b)
	if _, err := os.Stat(source); errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("module %s was added from %s, which is not there any more: add it from where it is now", name, source)
	}
	return source, nil
}

// replaceFile writes a file so that a crash leaves the old or the new one.
func replaceFile(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails once it is renamed
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir puts the names in a directory on disk, where a system can.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Log is the file with what a module says; what was before it is in a file with ".1" at the end.
func (s Shelf) Log(name string) string { return s.path(name, logFile) }
