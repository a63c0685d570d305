package supervisor

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/numax-mesh/numax/node/module"
	"github.com/numax-mesh/numax/sandbox"
)

// A node must start whatever is on its shelf. So it notes there that it compiles a module, in a file that
// goes when that is over: one that is still there says that the node ended meanwhile. And it notes that
// a module does not compile, so that it is not tried at each start. Both hold for these bytes and this
// way of compiling only, and until a user asks for another try.
//
//	NAME/compiling.HASH.VERSION   empty
//	NAME/unfit.HASH.VERSION       why

const (
	compilingPrefix = "compiling."
	unfitPrefix     = "unfit."
	maxReason       = 4096 // bytes of a reason that is kept
)

// notes are those on one module as it is compiled now.
type notes struct {
	shelf Shelf
	name  string
	key   string
}

func (s Shelf) notes(name string, p *module.Package) notes {
	return notes{s, name, hex.EncodeToString(p.Hash[:]) + "." + sandbox.CompilerVersion}
}

func (n notes) path(prefix string) string { return n.shelf.path(n.name, prefix+n.key) }

// refused says why the module is not to be compiled without being asked to, or nil.
func (n notes) refused() error {
	again := fmt.Sprintf("numax-node module restart %s tries again", n.name)
	if why, err := os.ReadFile(n.path(unfitPrefix)); err == nil {
		return fmt.Errorf("%s (it failed before and was not compiled again: %s)", why, again)
	}
	if _, err := os.Stat(n.path(compilingPrefix)); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("compiling it ended the node last time: %s", again)
	}
	return nil
}

// begin notes that the module is being compiled. A module that is not on the shelf yet is not compiled at a start.
func (n notes) begin() error {
	if !n.shelf.has(n.name) {
		return nil
	}
	if err := replaceFile(n.path(compilingPrefix), nil); err != nil {
		return fmt.Errorf("supervisor: note that %s is compiled: %w", n.name, err)
	}
	return nil
}

// end notes that it is not any more, and why it does not compile, if that is so.
func (n notes) end(unfit error) error {
	var err error
	if unfit != nil && n.shelf.has(n.name) {
		why := strings.ToValidUTF8(unfit.Error(), "?")
		err = replaceFile(n.path(unfitPrefix), []byte(why[:min(len(why), maxReason)]))
	}
	if e := os.Remove(n.path(compilingPrefix)); !errors.Is(e, fs.ErrNotExist) {
		err = errors.Join(err, e)
	}
	if err != nil {
		return fmt.Errorf("supervisor: note that %s was compiled: %w", n.name, err)
	}
	return nil
}

// Retry forgets what was noted of a module, so that it is compiled again.
func (s Shelf) Retry(name string) error {
	if !s.has(name) {
		return nil
	}
	entries, err := os.ReadDir(filepath.Join(s.Dir, name))
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), compilingPrefix) || strings.HasPrefix(e.Name(), unfitPrefix) {
			err = errors.Join(err, os.Remove(s.path(name, e.Name())))
		}
	}
	if err != nil {
		return fmt.Errorf("supervisor: module %s: %w", name, err)
	}
	return nil
}
