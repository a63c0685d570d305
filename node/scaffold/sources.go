package scaffold

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"
)

// maxSources is how many files Sources looks at.
const maxSources = 10_000

// unread are folders that builds fill, or that have nothing of a module.
var unread = map[string]bool{"node_modules": true, "target": true}

// Snapshot is what the files of a module were at a moment: path → when and how large.
type Snapshot map[string]struct {
	Changed time.Time
	Size    int64
}

// Sources looks at the files in dir that a module may be built from: all but hidden ones and what builds make. Files
// that come and go meanwhile are there or not.
func Sources(dir string) (Snapshot, error) {
	all := Snapshot{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && path != dir || err == nil && path == dir {
			return nil
		} else if err != nil {
			return err
		}
		switch name := d.Name(); {
		case d.IsDir() && (unread[name] || strings.HasPrefix(name, ".")):
			return filepath.SkipDir
		case d.IsDir() || strings.HasPrefix(name, ".") || strings.HasSuffix(name, ".wasm") || strings.HasSuffix(name, ".part"):
			return nil
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		} else if err != nil {
			return err
		}
		if len(all) == maxSources {
			return fmt.Errorf("there are over %d files: a module has a folder of its own", maxSources)
		}
		entry := all[path]
		entry.Changed, entry.Size = info.ModTime(), info.Size()
		all[path] = entry
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("scaffold: look at the files of %s: %w", dir, err)
	}
	return all, nil
}
