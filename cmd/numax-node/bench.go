package main

import (
	"fmt"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/numax-mesh/numax/node/bench"
)

func newBench() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use: "bench [SCENARIO…]", Short: "Measure this machine; without a scenario, all of them",
		Long: "Measure this machine with real guests, disks and sockets on loopback.\n\nScenarios:\n" + scenarioHelp(),
		RunE: func(cmd *cobra.Command, args []string) error {
			var chosen []bench.Scenario
			for _, s := range bench.Scenarios {
				if len(args) == 0 || slices.Contains(args, s.Name) {
					chosen = append(chosen, s)
				}
			}
			if len(args) > 0 && len(chosen) < len(slices.Compact(slices.Sorted(slices.Values(args)))) {
				return usagef("bench: unknown scenario in %v: see numax-node bench --help", args)
			}
			return runBench(cmd, chosen, dir)
		},
	}
	addJSON(cmd)
	cmd.Flags().StringVar(&dir, "dir", "", "`directory` on the disk to measure (default: the temporary directory)")
	return cmd
}

func scenarioHelp() string {
	help := ""
	for _, s := range bench.Scenarios {
		help += fmt.Sprintf("  %-10s %s\n", s.Name, s.Help)
	}
	return help
}

func runBench(cmd *cobra.Command, chosen []bench.Scenario, dir string) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', tabwriter.AlignRight)
	if !wantsJSON(cmd) {
		fmt.Fprintln(w, "scenario\tnodes\tops\tops/s\tcall p50\tp95\tp99\tmax\tequal after\tdisk\tsent\ttime\tRSS\tidle RSS\t")
	}
	for _, s := range chosen {
		tmp, err := os.MkdirTemp(dir, "numax-bench-")
		if err != nil {
			return fmt.Errorf("bench: %w", err)
		}
		r, err := s.Run(cmd.Context(), tmp)
		_ = os.RemoveAll(tmp)
		if err != nil {
			return fmt.Errorf("bench %s: %w", s.Name, err)
		}
		if wantsJSON(cmd) {
			err = printJSON(r)
		} else {
			fmt.Fprintf(w, "%s\t%d\t%d\t%.0f\t%v\t%v\t%v\t%v\t%v\t%d kB\t%d kB\t%v\t%d MB\t%d MB\t\n", r.Scenario, r.Nodes, r.Ops, r.OpsPerSec,
				short(r.CallP50), short(r.CallP95), short(r.CallP99), short(r.CallMax), short(r.Converged), r.DiskBytes/1000, r.NetBytes/1000,
				short(r.Elapsed), r.RSS/1e6, r.IdleRSS/1e6)
			err = w.Flush()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func short(d time.Duration) time.Duration {
	if d > time.Millisecond {
		return d.Round(10 * time.Microsecond)
	}
	return d.Round(100 * time.Nanosecond)
}
