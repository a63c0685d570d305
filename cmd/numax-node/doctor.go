package main

import (
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/numax-mesh/numax/node"
	"github.com/numax-mesh/numax/node/api"
)

func newDoctor() *cobra.Command {
	cmd := &cobra.Command{
		Use: "doctor", Short: "Look for what keeps the node from its peers and its disk",
		Long: "Look for what keeps the node from its peers and its disk: interfaces, multicast, UDP, NAT, relay, clocks, disk.\n" +
			"Without a running node it looks at this machine alone. It fails if anything is bad.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := nodeConfig(cmd)
			if err != nil {
				return err
			}
			var found []api.Finding
			c, err := api.Dial(cfg.Data)
			switch {
			case errors.Is(err, api.ErrNotRunning):
				found, err = node.Doctor(cmd.Context(), cfg), nil
			case err == nil:
				found, err = c.Doctor(cmd.Context())
			}
			if err != nil {
				return err
			}
			if err := printFindings(cmd, found); err != nil {
				return err
			}
			bad := 0
			for _, f := range found {
				if f.Level == api.Bad {
					bad++
				}
			}
			if bad > 0 {
				return fmt.Errorf("doctor: %s bad: do what is said there", are(bad))
			}
			return nil
		},
	}
	addNode(cmd)
	return cmd
}

func are(n int) string {
	if n == 1 {
		return "1 finding is"
	}
	return fmt.Sprintf("%d findings are", n)
}

func printFindings(cmd *cobra.Command, found []api.Finding) error {
	if wantsJSON(cmd) {
		return printJSON(found)
	}
	w := tabwriter.NewWriter(stdout, 0, 4, 2, ' ', 0)
	for _, f := range found {
		_ = say(w, "%s\t%s\t%s\n", f.Level, f.Check, f.Finding)
		if f.Advice != "" {
			_ = say(w, "\t\t→ %s\n", f.Advice)
		}
	}
	return w.Flush()
}
