package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/numax-mesh/numax/node/api"
	"github.com/numax-mesh/numax/node/module"
	"github.com/numax-mesh/numax/node/scaffold"
	"github.com/numax-mesh/numax/node/supervisor"
)

// lookEvery is how often the files of a module are looked at. That needs nothing of the system, also on network and
// container file systems, which do not tell of changes.
const lookEvery = 200 * time.Millisecond

func newDev() *cobra.Command {
	cmd := &cobra.Command{
		Use: "dev [DIR]", Short: "Build a module, run it and show its log; --watch does so again when its files change",
		Long: "Build the module in DIR, the current folder by default, run it on the node of --data, and show its log until\n" +
			"stopped. Where no node runs, one is started for as long as this command runs, with the flags of numax-node up, and\n" +
			"serves the module's pages on a free port of this machine unless --serve says where. With --watch the module is\n" +
			"built and reloaded when a file in DIR has changed; a version that does not build or start changes nothing, and the\n" +
			"one before goes on. The module stays on the node: numax-node module rm takes it off.",
		Example: "  numax-node new --lang go thermo && numax-node dev thermo --watch",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("dev: want at most one folder, got %d", len(args))
			}
			return nil
		},
	}
	watch := cmd.Flags().Bool("watch", false, "build and reload when a file has changed")
	addSettings(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		dir, err := filepath.Abs(append(args, ".")[0])
		if err != nil {
			return err
		}
		if _, err := os.Stat(filepath.Join(dir, module.ManifestName)); err != nil {
			return fmt.Errorf("dev: no %s in %s: give the folder of a module, or make one with numax-node new", module.ManifestName, dir)
		}
		s, err := loadSettings(cmd.Flags())
		if err != nil {
			return err
		}
		cfg, err := s.node()
		if err != nil {
			return err
		}
		d := &developer{dir: dir, shelf: cfg.Shelf(), watch: *watch}
		d.node, err = api.Dial(cfg.Data)
		if !errors.Is(err, api.ErrNotRunning) {
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return d.run(ctx)
		}
		if s.Serve == "" {
			if err := cmd.Flags().Set("serve", "127.0.0.1:0"); err != nil {
				return err
			}
		}
		n, err := openNode(cmd)
		if err != nil {
			return err
		}
		return n.serve(context.Background(), func(ctx context.Context) error {
			if err := n.printReady(false); err != nil {
				return err
			}
			if d.node, err = api.Dial(cfg.Data); err != nil {
				return err
			}
			d.serving = n.Serving()
			return d.run(ctx)
		})
	}
	return cmd
}

// developer builds and reloads one module.
type developer struct {
	dir     string
	watch   bool
	node    *api.Client
	shelf   supervisor.Shelf
	serving string // host:port of pages, if it is known

	name string // of the module, once it was built
	may  text   // what it was last shown to be allowed
	tail sync.WaitGroup
}

// run does so until ctx ends.
func (d *developer) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer d.tail.Wait()
	defer cancel()
	for {
		files, err := scaffold.Sources(d.dir)
		if err == nil {
			err = d.renew(ctx)
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && !d.watch:
			return err
		case err != nil:
			_ = say(stderr, "numax-node: %s\n", oneLine(err.Error()))
		}
		if !d.watch {
			<-ctx.Done()
			return nil
		}
		if !d.changed(ctx, files) {
			return nil
		}
	}
}

// renew builds the module, and has the node run it.
func (d *developer) renew(ctx context.Context) error {
	began := time.Now()
	if _, err := scaffold.Build(ctx, d.dir, stderr); err != nil {
		return err
	}
	p, b, err := packed(d.dir)
	if err != nil {
		return err
	}
	switch name := p.Manifest.Name; d.name {
	case name:
	case "":
		if err := d.follow(ctx, name); err != nil {
			return err
		}
	default:
		return fmt.Errorf("dev: module %s is named %s now: stop this and begin again", d.name, name)
	}
	if may := asked(p.Manifest); may != d.may { // before it runs
		d.may = may
		_ = say(stderr, "dev: %s\n%s", p.Manifest.Name, may)
	}
	m, err := d.node.AddModule(ctx, b, d.dir)
	if err != nil {
		return err
	}
	if m.State == string(supervisor.Stopped) { // as it was left; here it is to run
		if err := d.node.StartModule(ctx, m.Name); err != nil {
			return err
		}
		m.State = string(supervisor.Running)
	}
	_ = say(stderr, "dev: %s %s is %s, built and loaded in %v\n", m.Name, m.Version, m.State, time.Since(began).Round(time.Millisecond))
	return nil
}

// follow begins to show what the module says from now on.
func (d *developer) follow(ctx context.Context, name string) error {
	path := d.shelf.Log(name)
	f, err := os.Open(path)
	if err == nil {
		if _, err := f.Seek(0, io.SeekEnd); err != nil {
			return errors.Join(err, f.Close())
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	d.name = name
	d.tail.Go(func() {
		if err := followLog(ctx, path, f, stdout); err != nil {
			_ = say(stderr, "dev: show the log: %v\n", err)
		}
	})
	if d.serving != "" {
		_ = say(stderr, "dev: its pages are at http://%s/m/%s/\n", d.serving, name)
	}
	return nil
}

// changed waits until files are others than they were, and stay so for a look; false if ctx ended.
func (d *developer) changed(ctx context.Context, was scaffold.Snapshot) bool {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	last := was
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
		now, err := scaffold.Sources(d.dir)
		if err != nil {
			continue // the folder is being replaced; if it is not, a build will say so
		}
		if !maps.Equal(now, was) && maps.Equal(now, last) {
			return true
		}
		last = now
	}
}
