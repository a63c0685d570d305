package node

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/numax-mesh/numax/node/api"
	"github.com/numax-mesh/numax/p2p"
)

// What was said of peers with the command is kept in files of the data
// directory, one a line, so that it can be read and edited while no node runs.
// What is behind a # is a comment, until the command changes the file.
const (
	bootstrapFile = "bootstrap"
	blockedFile   = "blocked"
	maxListed     = 1024
	maxListFile   = 256 << 10
)

// list is such a file.
type list struct {
	file  string
	check func(string) error
}

// read are the entries; none, if there is no file. Whatever is wrong is an error
// with its line.
func (l list) read() ([]string, error) {
	f, err := os.Open(l.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxListFile+1))
	if err != nil {
		return nil, err
	}
	return l.parse(b)
}

func (l list) parse(b []byte) ([]string, error) {
	if len(b) > maxListFile {
		return nil, fmt.Errorf("%s: it is larger than %d bytes", l.file, maxListFile)
	}
	var entries []string
	for n, line := range bytes.Split(b, []byte("\n")) {
		text, _, _ := strings.Cut(string(line), "#")
		text = strings.TrimSpace(text)
		if text == "" || slices.Contains(entries, text) {
			continue
		}
		err := l.check(text)
		if err == nil && len(entries) == maxListed {
			err = fmt.Errorf("more than %d entries", maxListed)
		}
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", l.file, n+1, err)
		}
		entries = append(entries, text)
	}
	return entries, nil
}

// write replaces the file whole: a node may read it at any time.
func (l list) write(entries []string) error {
	f, err := os.CreateTemp(filepath.Dir(l.file), ".list-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(strings.Join(append(slices.Clone(entries), ""), "\n"))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), l.file)
}

// Lists are what the data directory says of peers: where to begin, beside the
// settings, and who is blocked. They do without a running node, which takes what
// they say when it starts.
type Lists struct {
	given []string // of the settings

	mu        sync.Mutex // guards the files
	bootstrap list
	blocked   list
}

// OpenLists makes the data directory if there is none.
func OpenLists(cfg Config) (*Lists, error) {
	if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
		return nil, explainData(cfg.Data, err)
	}
	return newLists(&cfg), nil
}

func newLists(cfg *Config) *Lists {
	return &Lists{
		given:     cfg.Bootstrap,
		bootstrap: list{cfg.file(bootstrapFile), p2p.CheckBootstrap},
		blocked:   list{cfg.file(blockedFile), p2p.CheckPeerID},
	}
}

// Bootstrap is where a node begins.
func (l *Lists) Bootstrap() ([]api.Bootstrap, error) {
	kept, err := l.bootstrap.read()
	all := []api.Bootstrap{}
	for _, s := range l.given {
		all = append(all, api.Bootstrap{Addr: s, Given: true})
	}
	for _, s := range kept {
		all = append(all, api.Bootstrap{Addr: s})
	}
	return all, err
}

// AddBootstrap keeps one more.
func (l *Lists) AddBootstrap(addr string) error { return l.changeBootstrap(addr, true, nothing) }

// RemoveBootstrap forgets one that was added.
func (l *Lists) RemoveBootstrap(addr string) error { return l.changeBootstrap(addr, false, nothing) }

func nothing([]string) error { return nil }

// changeBootstrap has apply take the new values, all of them, before they are
// kept.
func (l *Lists) changeBootstrap(addr string, add bool, apply func([]string) error) error {
	if !add && slices.Contains(l.given, addr) {
		return fmt.Errorf("bootstrap %q is of the settings: leave it out where they are given: --bootstrap, NUMAX_BOOTSTRAP or the config file", addr)
	}
	return l.change(l.bootstrap, addr, add, func(kept []string) error { return apply(slices.Concat(l.given, kept)) })
}

// Blocked are the blocked peers.
func (l *Lists) Blocked() ([]string, error) {
	ids, err := l.blocked.read()
	return append([]string{}, ids...), err
}

// Block keeps a peer as blocked, Unblock forgets it.
func (l *Lists) Block(peer string) error { return l.change(l.blocked, peer, true, nothing) }

// Unblock undoes Block.
func (l *Lists) Unblock(peer string) error { return l.change(l.blocked, peer, false, nothing) }

func (l *Lists) change(x list, entry string, add bool, apply func([]string) error) error {
	entry = strings.TrimSpace(entry)
	if err := x.check(entry); add && err != nil {
		return fmt.Errorf("%w: %w", api.ErrUsage, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	was, err := x.read()
	if err != nil {
		return err
	}
	var will []string
	switch at := slices.Index(was, entry); {
	case add && at >= 0:
		will = was
	case add && len(was) >= maxListed:
		return fmt.Errorf("%s: it has %d entries, which is the limit: remove some", x.file, maxListed)
	case add:
		will = append(slices.Clone(was), entry)
	case at < 0:
		return fmt.Errorf("%q: %w in %s", entry, api.ErrNotFound, x.file)
	default:
		will = slices.Delete(slices.Clone(was), at, at+1)
	}
	if err := apply(will); err != nil {
		return err
	}
	if err := x.write(will); err != nil {
		return errors.Join(err, apply(was))
	}
	return nil
}
