package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/numax-mesh/numax/node"
	"github.com/numax-mesh/numax/node/api"
	"github.com/numax-mesh/numax/node/module"
	"github.com/numax-mesh/numax/node/supervisor"
)

// moduleAccess is what the commands need that change which modules run; a running node's API and the shelf of a data
// directory both give it.
type moduleAccess interface {
	Modules(ctx context.Context) ([]api.Module, error)
	AddModule(ctx context.Context, bundle io.Reader, source string) (api.Module, error)
	ReloadModule(ctx context.Context, name string) (api.Module, error)
	RemoveModule(ctx context.Context, name string, purge bool) (api.Leftover, error)
	StartModule(ctx context.Context, name string) error
	StopModule(ctx context.Context, name string) error
	RestartModule(ctx context.Context, name string) error
}

// openModules finds the running node, or the shelf of the data directory.
func openModules(cmd *cobra.Command) (moduleAccess, supervisor.Shelf, error) {
	s, err := loadSettings(cmd.Flags())
	if err != nil {
		return nil, supervisor.Shelf{}, err
	}
	cfg, err := s.node()
	if err != nil {
		return nil, supervisor.Shelf{}, err
	}
	shelf := cfg.Shelf()
	c, err := api.Dial(cfg.Data)
	if errors.Is(err, api.ErrNotRunning) {
		return offlineModules{shelf, cfg}, shelf, nil
	}
	return c, shelf, err
}

// offlineModules changes what a node will find when it starts.
type offlineModules struct {
	shelf supervisor.Shelf
	cfg   node.Config
}

func (o offlineModules) Modules(context.Context) ([]api.Module, error) {
	if data := filepath.Dir(o.shelf.Dir); absent(data) {
		return nil, fmt.Errorf("data directory %s: no node has ever run there: name another with --data", data)
	}
	names, err := o.shelf.Names()
	if err != nil {
		return nil, err
	}
	var all []api.Module
	for _, name := range names {
		m := o.shelf.Status(name)
		if m.Failure == "" && o.shelf.Wanted(name) {
			m.State = "no node"
		}
		all = append(all, m)
	}
	return all, nil
}

func (o offlineModules) AddModule(_ context.Context, bundle io.Reader, source string) (api.Module, error) {
	b, err := io.ReadAll(bundle)
	if err != nil {
		return api.Module{}, err
	}
	p, err := module.Decode(b)
	if err != nil {
		return api.Module{}, err
	}
	if err := o.shelf.Put(p, source); err != nil {
		return api.Module{}, err
	}
	m := o.shelf.Status(p.Manifest.Name)
	if o.shelf.Wanted(p.Manifest.Name) {
		m.State = "no node"
	}
	return m, nil
}

func (o offlineModules) ReloadModule(ctx context.Context, name string) (api.Module, error) {
	source, err := o.shelf.Source(name)
	if err != nil {
		return api.Module{}, err
	}
	_, b, err := packed(source)
	if err != nil {
		return api.Module{}, err
	}
	return o.AddModule(ctx, b, source)
}

func (o offlineModules) StartModule(_ context.Context, name string) error {
	return o.shelf.Want(name, true)
}

func (o offlineModules) StopModule(_ context.Context, name string) error {
	return o.shelf.Want(name, false)
}

func (o offlineModules) RestartModule(context.Context, string) error {
	return fmt.Errorf("module restart: %w: its modules begin anew when it starts", api.ErrNotRunning)
}

func absent(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// packed is what lies at a path, and its bundle.
func packed(path string) (*module.Package, io.Reader, error) {
	p, err := module.Open(path)
	if err != nil {
		return nil, nil, err
	}
	if p.Manifest == nil {
		return nil, nil, fmt.Errorf("%s has no %s, which says what a module may do: write one (numax-node new makes one), or call it once with numax-node run",
			path, module.ManifestName)
	}
	b, err := p.Bundle()
	return p, bytes.NewReader(b), err
}

// onNode adds the flags that say which node.
func onNode(cmd *cobra.Command) *cobra.Command {
	addSettings(cmd.Flags())
	for _, s := range table {
		if s.name != "data" {
			_ = cmd.Flags().MarkHidden(s.name)
		}
	}
	addJSON(cmd)
	return cmd
}

func moduleAdd() *cobra.Command {
	return onNode(&cobra.Command{
		Use: "add PATH", Short: "Keep a module and run it, in place of an earlier version of its name",
		Long: "Keep a module and run it. A version that runs already goes on until the new one has started, and goes on if that\n" +
			"does not start; what waits in its mailbox is for the new one. What the module may do is printed first.",
		Example: "  numax-node module add ./sensor\n  numax-node module add sensor.nxm --data ./numax-data",
		Args:    exactly(1, "PATH"),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, b, err := packed(args[0])
			if err != nil {
				return err
			}
			source, err := filepath.Abs(args[0])
			if err != nil {
				return err
			}
			a, _, err := openModules(cmd)
			if err != nil {
				return err
			}
			if !wantsJSON(cmd) { // before it runs
				_ = say(stdout, "%s %s (%s)\n%s", p.Manifest.Name, p.Manifest.Version, string(p.Manifest.Kind), asked(p.Manifest))
			}
			m, err := a.AddModule(cmd.Context(), b, source)
			if err != nil {
				return err
			}
			return showModule(cmd, m)
		},
	})
}

// asked is what a module may do, in lines.
func asked(m *module.Manifest) text {
	var b strings.Builder
	for _, g := range m.Grants.Describe() {
		_ = say(&b, "  may %s\n", g)
	}
	_ = say(&b, "  limits: %s\n", m.Limits.String())
	return text(b.String())
}

func moduleReload() *cobra.Command {
	return onNode(&cobra.Command{
		Use: "reload NAME", Short: "Take a module anew from where it was added from",
		Long: "Take a module anew from the path it was added from, as module add does.",
		Args: exactly(1, "NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, _, err := openModules(cmd)
			if err != nil {
				return err
			}
			m, err := a.ReloadModule(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return showModule(cmd, m)
		},
	})
}

func showModule(cmd *cobra.Command, m api.Module) error {
	if wantsJSON(cmd) {
		return printJSON(m)
	}
	state := m.State
	switch state {
	case "no node":
		state = "runs when a node starts here"
	case string(supervisor.Stopped):
		state += ", as it was: numax-node module start " + m.Name
	}
	return say(stdout, "%s %s: %s\n", m.Name, m.Version, state)
}

func moduleLs() *cobra.Command {
	return onNode(&cobra.Command{
		Use: "ls", Short: "List the modules of a node, and how they are",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, _, err := openModules(cmd)
			if err != nil {
				return err
			}
			all, err := a.Modules(cmd.Context())
			if err != nil {
				return err
			}
			if wantsJSON(cmd) {
				return printJSON(append([]api.Module{}, all...))
			}
			w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
			_ = say(w, "NAME\tVERSION\tKIND\tSTATE\tCALLS\tFAILED\tDENIED\tCPU\tNOTE\n")
			for _, m := range all {
				var calls, denied uint64
				for _, n := range m.Calls {
					calls += n
				}
				for _, n := range m.Denied {
					denied += n
				}
				note, _, _ := strings.Cut(m.Failure, "\n")
				_ = say(w, "%s\t%s\t%s\t%s\t%d\t%d\t%d\t%.1fs\t%s\n", m.Name, m.Version, m.Kind, m.State, calls, m.Failed, denied, m.CPU, note)
			}
			return w.Flush()
		},
	})
}

func moduleAct(verb, short string, do func(moduleAccess, context.Context, string) error) *cobra.Command {
	return onNode(&cobra.Command{
		Use: verb + " NAME", Short: short, Args: exactly(1, "NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, _, err := openModules(cmd)
			if err != nil {
				return err
			}
			return do(a, cmd.Context(), args[0])
		},
	})
}

func moduleLogs() *cobra.Command {
	var follow bool
	var lines int
	cmd := onNode(&cobra.Command{
		Use: "logs NAME", Short: "Show what a module said; -f goes on",
		Long: "Show what a module said: its log and what it prints; lines of the node begin with [node]. About the last\n" +
			"two megabytes are kept.",
		Args: exactly(1, "NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if lines < 0 {
				return usagef("module logs: --lines %d: want 0 or more", lines)
			}
			_, shelf, err := openModules(cmd)
			if err != nil {
				return err
			}
			if names, err := shelf.Names(); err != nil || !slices.Contains(names, args[0]) {
				return errors.Join(err, fmt.Errorf("module %q: no such module: see numax-node module ls", args[0]))
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return tail(ctx, shelf.Log(args[0]), lines, follow, stdout)
		},
	})
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on as the module goes on, until stopped")
	cmd.Flags().IntVarP(&lines, "lines", "n", 200, "so many `lines` from before")
	return cmd
}

// tailEvery is how often a log that is followed is looked at.
const tailEvery = 100 * time.Millisecond

// tail writes the last lines of a log, which may go on in a new file of its name, and follows it.
func tail(ctx context.Context, path string, lines int, follow bool, w io.Writer) error {
	var text []byte
	for _, p := range []string{path + ".1", path} {
		b, err := os.ReadFile(p)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		text = append(text, b...)
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) { // it never ran
		if follow {
			return followLog(ctx, path, nil, w)
		}
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := f.Seek(0, io.SeekEnd); err != nil {
		return errors.Join(err, f.Close())
	}
	all := bytes.SplitAfter(text, []byte("\n"))
	if _, err := w.Write(bytes.Join(all[max(0, len(all)-1-lines):], nil)); err != nil || !follow {
		return errors.Join(err, f.Close())
	}
	return followLog(ctx, path, f, w)
}

// followLog writes what comes to a log until ctx ends: from where f stands, which is nil if there is no log yet, and
// goes on in new files of that name. It closes f.
func followLog(ctx context.Context, path string, f *os.File, w io.Writer) error {
	defer func() { _ = f.Close() }() // of nil too
	tick := time.NewTicker(tailEvery)
	defer tick.Stop()
	for {
		if f != nil {
			if _, err := io.Copy(w, f); err != nil {
				return err
			}
		}
		next, err := os.Open(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err == nil {
			if f == nil || !same(f, next) {
				_ = f.Close()
				f = next
				continue
			}
			_ = next.Close()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if f != nil {
				_, err = io.Copy(w, f) // the last words
				return err
			}
			return nil
		}
	}
}

func same(a, b *os.File) bool {
	x, err1 := a.Stat()
	y, err2 := b.Stat()
	return err1 == nil && err2 == nil && os.SameFile(x, y)
}
