package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/numax-mesh/numax/node"
	"github.com/numax-mesh/numax/node/api"
)

// addNode adds the flags that say which node.
func addNode(cmd *cobra.Command) {
	addObject(cmd)
	for _, name := range []string{"dataset", "network"} {
		_ = cmd.Flags().MarkHidden(name)
	}
}

func newSwarm() *cobra.Command {
	cmd := &cobra.Command{
		Use: "swarm", Short: "Connect to a peer, disconnect or block one", Args: noSubcommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		swarmAct("connect ADDR", "Connect the running node to a peer",
			"Connect the running node to a peer, now. ADDR is an address as that node prints it. To begin there at every start,\nsee numax-node bootstrap add.",
			"connected to", func(ctx context.Context, c *api.Client, addr string) error { return c.Connect(ctx, addr) }),
		swarmAct("disconnect PEER", "Close the running node's connections to a peer",
			"Close the running node's connections to a peer. It may connect again, and a node on the same LAN is found again:\nto keep a peer away, see numax-node swarm block.",
			"disconnected from", func(ctx context.Context, c *api.Client, peer string) error { return c.Disconnect(ctx, peer) }),
		listAct("block PEER", "Have no connection with a peer, now and after a restart", "blocked", peerLists.Block),
		listAct("unblock PEER", "Undo block", "unblocked", peerLists.Unblock),
		swarmBlocked(),
	)
	return cmd
}

// swarmAct is a command that a running node carries out.
func swarmAct(use, short, long, done string, act func(context.Context, *api.Client, string) error) *cobra.Command {
	_, what, _ := strings.Cut(use, " ")
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long, Args: exactly(1, what),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := client(cmd)
			if err != nil {
				return err
			}
			if err := act(cmd.Context(), c, args[0]); err != nil {
				return err
			}
			return show(cmd, map[string]string{strings.ToLower(what): args[0]}, "%s %s", done, args[0])
		},
	}
	addNode(cmd)
	return cmd
}

// peerLists are what a node keeps of peers; a running node's API and a data
// directory both give it.
type peerLists interface {
	Block(ctx context.Context, peer string) error
	Unblock(ctx context.Context, peer string) error
	Blocked(ctx context.Context) ([]string, error)
	AddBootstrap(ctx context.Context, addr string) error
	RemoveBootstrap(ctx context.Context, addr string) error
	Bootstrap(ctx context.Context) ([]api.Bootstrap, error)
}

// offlineLists are those of a directory on which no node runs.
type offlineLists struct{ *node.Lists }

func (l offlineLists) Block(_ context.Context, peer string) error   { return l.Lists.Block(peer) }
func (l offlineLists) Unblock(_ context.Context, peer string) error { return l.Lists.Unblock(peer) }
func (l offlineLists) Blocked(context.Context) ([]string, error)    { return l.Lists.Blocked() }
func (l offlineLists) AddBootstrap(_ context.Context, addr string) error {
	return l.Lists.AddBootstrap(addr)
}

func (l offlineLists) RemoveBootstrap(_ context.Context, addr string) error {
	return l.Lists.RemoveBootstrap(addr)
}

func (l offlineLists) Bootstrap(context.Context) ([]api.Bootstrap, error) {
	return l.Lists.Bootstrap()
}

// openLists finds the running node, or else the lists of the data directory.
func openLists(cmd *cobra.Command) (peerLists, error) {
	cfg, err := nodeConfig(cmd)
	if err != nil {
		return nil, err
	}
	c, err := api.Dial(cfg.Data)
	if !errors.Is(err, api.ErrNotRunning) {
		return c, err
	}
	l, err := node.OpenLists(cfg)
	return offlineLists{l}, err
}

// listAct is a command that changes a list, with or without a running node.
func listAct(use, short, done string, act func(peerLists, context.Context, string) error) *cobra.Command {
	_, what, _ := strings.Cut(use, " ")
	cmd := &cobra.Command{
		Use: use, Short: short, Args: exactly(1, what),
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := openLists(cmd)
			if err == nil {
				err = act(l, cmd.Context(), args[0])
			}
			if err != nil {
				return err
			}
			return show(cmd, map[string]string{strings.ToLower(what): args[0]}, "%s %s", done, args[0])
		},
	}
	addNode(cmd)
	return cmd
}

func swarmBlocked() *cobra.Command {
	cmd := &cobra.Command{
		Use: "blocked", Short: "List the blocked peers", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := openLists(cmd)
			if err != nil {
				return err
			}
			ids, err := l.Blocked(cmd.Context())
			if err != nil {
				return err
			}
			return show(cmd, ids, "%s", lines(ids, "no peer is blocked"))
		},
	}
	addNode(cmd)
	return cmd
}

// lines are some of anybody, or what is said if there are none.
func lines(all []string, none string) text {
	if len(all) == 0 {
		return text(none)
	}
	safe := make([]string, len(all))
	for i, line := range all {
		safe[i] = printable(line)
	}
	return text(strings.Join(safe, "\n"))
}

func newBootstrap() *cobra.Command {
	cmd := &cobra.Command{
		Use: "bootstrap", Short: "Say where the node begins to look for others",
		Long: "Say where the node begins to look for others. What is added is kept in the data directory, beside what --bootstrap\n" +
			"and the config file say, and taken at once by a running node. ADDR is what --bootstrap takes.",
		Args: noSubcommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		listAct("add ADDR", "Begin there too", "added", peerLists.AddBootstrap),
		listAct("rm ADDR", "Begin there no more", "removed", peerLists.RemoveBootstrap),
		bootstrapList(),
	)
	return cmd
}

func bootstrapList() *cobra.Command {
	cmd := &cobra.Command{
		Use: "ls", Short: "List where the node begins", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := openLists(cmd)
			if err != nil {
				return err
			}
			all, err := l.Bootstrap(cmd.Context())
			if err != nil {
				return err
			}
			var addrs []string
			for _, b := range all {
				if b.Given {
					b.Addr += "  (of the settings)"
				}
				addrs = append(addrs, b.Addr)
			}
			return show(cmd, all, "%s", lines(addrs, "nowhere: nodes are found on this machine and the LAN; see numax-node bootstrap add"))
		},
	}
	addNode(cmd)
	return cmd
}

// maxPings is what one command may ask for.
const maxPings = 10_000

func newPing() *cobra.Command {
	var times int
	var pause time.Duration
	cmd := &cobra.Command{
		Use: "ping PEER", Short: "Measure the round-trip time to a connected peer", Args: exactly(1, "PEER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if times < 1 || times > maxPings || pause < 0 {
				return usagef("ping: want --count from 1 to %d, and a pause that is not negative", maxPings)
			}
			c, err := client(cmd)
			if err != nil {
				return err
			}
			for n := range times {
				if n > 0 {
					select {
					case <-cmd.Context().Done():
						return cmd.Context().Err()
					case <-time.After(pause):
					}
				}
				p, err := c.Ping(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				if err := show(cmd, p, "%s answered in %.2f ms", p.Peer, p.RTT); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().IntVar(&times, "count", 1, "how `often`")
	cmd.Flags().DurationVar(&pause, "pause", time.Second, "between two")
	addNode(cmd)
	return cmd
}
