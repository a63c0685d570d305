package main

import (
	"runtime"
	"strings"

	"github.com/spf13/cobra"
)

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "numax-node",
		Short: "Run WebAssembly modules whose state is the same on every node",
		Long: "numax-node runs WebAssembly modules in a sandbox, keeps their state on disk, and keeps it\n" +
			"in step with every other node it can reach. It needs no server and, on a LAN, no configuration.",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noArgs,
		RunE:          runUp,
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		if cmd.Name() == "inc" && strings.Contains(err.Error(), "shorthand flag") {
			return usagef("%w: a negative N goes last, behind --, as in: data inc pncounter KEY --data DIR -- -3", err)
		}
		return usagef("%w: see %s --help", err, cmd.CommandPath())
	})
	root.SetOut(stdout)
	root.SetErr(stderr)
	addSettings(root.Flags())
	addJSON(root)
	root.AddCommand(newUp(), newRun(), newStatus(), newPeers(), newSwarm(), newBootstrap(), newPing(), newDoctor(), newData(), newSnapshot(), newMembers(), newNetwork(), newInvite(), newJoin(), newDataset(), newNew(), newBuild(), newDev(), newModule(), newConfig(), newBench(), newVersion())
	root.InitDefaultCompletionCmd()
	if c, _, err := root.Find([]string{"completion"}); err == nil {
		c.Args = noSubcommand // a shell that is not known is an error, not help for the shell to run
		c.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	}
	return root
}

func noArgs(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return nil
	case cmd.HasParent():
		return usagef("%s takes no argument, got %q", within(cmd), args[0])
	}
	return usagef("unknown command %q: see numax-node --help", args[0])
}

// within is the command without the program's name, which every error has.
func within(cmd *cobra.Command) string {
	return strings.TrimPrefix(cmd.CommandPath(), "numax-node ")
}

func exactly(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return usagef("%s: want %s", within(cmd), what)
		}
		return nil
	}
}

func addJSON(cmd *cobra.Command) { cmd.Flags().Bool("json", false, "print JSON") }

func wantsJSON(cmd *cobra.Command) bool {
	v, err := cmd.Flags().GetBool("json")
	return err == nil && v
}

// show prints a result, as JSON or as text.
func show(cmd *cobra.Command, v any, format string, args ...any) error {
	if wantsJSON(cmd) {
		return printJSON(v)
	}
	return say(stdout, format+"\n", args...)
}

func newVersion() *cobra.Command {
	cmd := &cobra.Command{
		Use: "version", Short: "Print the version", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if wantsJSON(cmd) {
				return printJSON(map[string]string{"version": version, "go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH})
			}
			return say(stdout, "numax-node %s %s %s/%s\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
		},
	}
	addJSON(cmd)
	return cmd
}
