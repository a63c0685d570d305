package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/numax-mesh/numax/node"
	"github.com/numax-mesh/numax/node/api"
)

// dataAccess is what the data commands need; a running node's API and an
// opened data directory both give it.
type dataAccess interface {
	Get(ctx context.Context, dataset, family, key string) (api.Value, error)
	Change(ctx context.Context, c api.Change) (api.Value, error)
	Snapshot(ctx context.Context, dataset string, w io.Writer) error
	Export(ctx context.Context, dataset string, w io.Writer) error
	Import(ctx context.Context, dataset string, r io.Reader) (api.Imported, error)
	Members(ctx context.Context, dataset string) ([]api.Member, error)
	Forget(ctx context.Context, dataset, name string) (api.Member, error)
	Network(ctx context.Context) (api.Network, error)
	Invites(ctx context.Context) ([]api.Invite, error)
	Invite(ctx context.Context, i api.Invite) (api.Invite, error)
	Withdraw(ctx context.Context, id string) (api.Invite, error)
	Revoke(ctx context.Context, name string) (api.Member, error)
}

func newData() *cobra.Command {
	cmd := &cobra.Command{
		Use: "data", Short: "Read and change replicated objects",
		Long: "Read and change replicated objects, through the running node of --data or, with none running,\n" +
			"on the data directory itself. FAMILY is gcounter, pncounter, lww-register, lww-map, orset or rga.",
		Args: noSubcommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		dataGet(),
		dataChange("set", "set FAMILY KEY [FIELD] VALUE", "Set a register, or a field of a map", 3, 4),
		dataChange("inc", "inc FAMILY KEY [N]", "Add N (default 1) to a counter; a pncounter takes a negative N, after --", 2, 3),
		dataChange("add", "add FAMILY KEY VALUE", "Add an element to a set, or to the end of a sequence", 3, 3),
		dataChange("remove", "remove FAMILY KEY WHAT", "Remove an element of a set, a field of a map, or the nth of a sequence", 3, 3),
		dataWatch(), dataExport(), dataImport(),
	)
	return cmd
}

func noSubcommand(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("%s: unknown command %q: see %s --help", cmd.CommandPath(), args[0], cmd.CommandPath())
	}
	return nil
}

// addObject adds the flags that say which data.
func addObject(cmd *cobra.Command) {
	f := cmd.Flags()
	addSettings(f)
	for _, s := range table {
		if s.name != "data" && s.name != "dataset" && s.name != "network" {
			_ = f.MarkHidden(s.name)
		}
	}
	f.Lookup("dataset").Usage = "`name` of the dataset"
	addJSON(cmd)
}

// readOnly are the commands that begin nothing in a directory without a node.
var readOnly = []string{"get", "export", "create", "ls"}

// open finds the running node or opens the data directory.
func open(cmd *cobra.Command) (a dataAccess, dataset string, done func() error, err error) {
	s, err := loadSettings(cmd.Flags())
	if err != nil {
		return nil, "", nil, err
	}
	cfg, err := s.node()
	if err != nil {
		return nil, "", nil, err
	}
	dataset = cfg.Datasets[0]
	c, err := api.Dial(cfg.Data)
	if errors.Is(err, api.ErrNotRunning) {
		var d *node.Data
		var closer io.Closer
		if d, closer, err = node.OpenData(cfg, slices.Contains(readOnly, cmd.Name())); err == nil {
			return offlineData{d}, dataset, closer.Close, nil
		}
		if errors.Is(err, node.ErrInUse) { // a node that has just come up?
			if running, derr := api.Dial(cfg.Data); derr == nil {
				c, err = running, nil
			}
		}
	}
	if err != nil {
		return nil, "", nil, err
	}
	if s.Network != "" {
		status, err := c.Status(cmd.Context())
		if err == nil && status.Network != s.Network {
			err = fmt.Errorf("the node on %s is of network %q, not %q: leave --network out", cfg.Data, status.Network, s.Network)
		}
		if err != nil {
			return nil, "", nil, err
		}
	}
	return c, dataset, func() error { return nil }, nil
}

type offlineData struct{ *node.Data }

func (o offlineData) Get(_ context.Context, dataset, family, key string) (api.Value, error) {
	return o.Data.Get(dataset, family, key)
}

func (o offlineData) Members(_ context.Context, dataset string) ([]api.Member, error) {
	return o.Data.Members(dataset)
}

func (o offlineData) Network(context.Context) (api.Network, error) { return o.Data.Network(), nil }

func (o offlineData) Invites(context.Context) ([]api.Invite, error) { return o.Data.Invites() }

func (o offlineData) Invite(_ context.Context, i api.Invite) (api.Invite, error) {
	return o.Data.Invite(i)
}

func (o offlineData) Withdraw(_ context.Context, id string) (api.Invite, error) {
	return o.Data.Withdraw(id)
}

func printValue(cmd *cobra.Command, v api.Value) error {
	if wantsJSON(cmd) {
		return printJSON(v)
	}
	return say(stdout, "%s\n", v)
}

func dataGet() *cobra.Command {
	cmd := &cobra.Command{
		Use: "get FAMILY KEY", Short: "Print an object", Args: exactly(2, "FAMILY KEY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withData(cmd, func(a dataAccess, dataset string) (api.Value, error) {
				return a.Get(cmd.Context(), dataset, args[0], args[1])
			})
		},
	}
	addObject(cmd)
	return cmd
}

func withData(cmd *cobra.Command, act func(a dataAccess, dataset string) (api.Value, error)) error {
	a, dataset, done, err := open(cmd)
	if err != nil {
		return err
	}
	v, err := act(a, dataset)
	if err := errors.Join(err, done()); err != nil {
		return err
	}
	return printValue(cmd, v)
}

func dataChange(verb, use, short string, least, most int) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < least || len(args) > most {
				return usagef("data %s: want %s", verb, strings.TrimPrefix(use, verb+" "))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return withData(cmd, func(a dataAccess, dataset string) (api.Value, error) {
				return a.Change(cmd.Context(), api.Change{
					Dataset: dataset, Family: args[0], Key: args[1], Verb: verb, Args: args[2:],
				})
			})
		},
	}
	addObject(cmd)
	return cmd
}

func dataWatch() *cobra.Command {
	cmd := &cobra.Command{
		Use: "watch FAMILY KEY", Short: "Print an object now and whenever it changes, until stopped",
		Args: exactly(2, "FAMILY KEY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := loadSettings(cmd.Flags())
			if err != nil {
				return err
			}
			c, err := dial(&s)
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			err = c.Watch(ctx, s.Dataset[0], args[0], args[1], func(v api.Value) error { return printValue(cmd, v) })
			if ctx.Err() != nil {
				return nil
			}
			return err
		},
	}
	addObject(cmd)
	return cmd
}

func dial(s *settings) (*api.Client, error) {
	c, err := api.Dial(s.Data)
	if errors.Is(err, api.ErrNotRunning) {
		return nil, fmt.Errorf("data directory %s: %w: start one with numax-node up --data %s", s.Data, err, s.Data)
	}
	return c, err
}
