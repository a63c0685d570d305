package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/numax-mesh/numax/node/bench"
)

func newBench() *cobra.Command {
	var dir string
	var p bench.Params
	cmd := &cobra.Command{
		Use: "bench [SCENARIO…]", Short: "Measure this machine; without a scenario, all that need no file",
		Long: "Measure this machine with real guests, disks and sockets on loopback.\n\nScenarios:\n" + scenarioHelp(),
		RunE: func(cmd *cobra.Command, args []string) error {
			var chosen []bench.Scenario
			for _, s := range bench.Scenarios {
				if len(args) == 0 && !s.ByName || slices.Contains(args, s.Name) {
					chosen = append(chosen, s)
				}
			}
			if len(args) > 0 && len(chosen) < len(slices.Compact(slices.Sorted(slices.Values(args)))) {
				return usagef("bench: unknown scenario in %v: see numax-node bench --help", args)
			}
			return runBench(cmd, chosen, dir, p)
		},
	}
	addJSON(cmd)
	f := cmd.Flags()
	f.IntVar(&p.Nodes, "nodes", 0, "number of nodes")
	f.IntVar(&p.Rate, "rate", 0, "ops a second on each node")
	f.DurationVar(&p.Duration, "duration", 0, "how long")
	f.IntVar(&p.Ops, "ops", 0, "number of ops")
	f.IntVar(&p.Keys, "keys", 0, "number of keys")
	f.IntVar(&p.Missing, "missing", 0, "ops that one replica lacks")
	f.StringVar(&p.File, "file", "", "editing trace, gzip JSON")
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

func runBench(cmd *cobra.Command, chosen []bench.Scenario, dir string, p bench.Params) error {
	for _, s := range chosen {
		tmp, err := os.MkdirTemp(dir, "numax-bench-")
		if err != nil {
			return fmt.Errorf("bench: %w", err)
		}
		r, err := s.Run(cmd.Context(), tmp, p)
		_ = os.RemoveAll(tmp)
		if err != nil {
			return fmt.Errorf("bench %s: %w", s.Name, err)
		}
		if wantsJSON(cmd) {
			err = printJSON(r)
		} else {
			err = printResult(r)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// printResult prints a line of figures; those that do not apply are left out.
func printResult(r bench.Result) error {
	line := fmt.Sprintf("%-10s", r.Scenario)
	add := func(format string, args ...any) { line += fmt.Sprintf("  "+format, args...) }
	if r.Ops > 0 {
		add("%d ops on %d nodes", r.Ops, r.Nodes)
	}
	if r.Elapsed > 0 {
		add("in %v", short(r.Elapsed))
	}
	if r.OpsPerSec > 0 {
		add("%.0f ops/s", r.OpsPerSec)
	}
	if r.CallMax > 0 {
		add("call p50 %v p95 %v p99 %v max %v", short(r.CallP50), short(r.CallP95), short(r.CallP99), short(r.CallMax))
	}
	if r.Converged > 0 {
		add("equal %v after the end", short(r.Converged))
	}
	if r.Visible > 0 {
		add("visible elsewhere p50 %v p99 %v", short(r.Visible), short(r.VisibleP99))
	}
	if r.DiskBytes > 0 {
		add("disk %d kB", r.DiskBytes/1000)
	}
	if r.NetBytes > 0 {
		add("sent %d kB", r.NetBytes/1000)
	}
	if r.RSS > 0 {
		add("RSS %d MB", r.RSS/1e6)
	}
	if r.IdleRSS > 0 {
		add("idle RSS %d MB", r.IdleRSS/1e6)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Limits)) {
		line += fmt.Sprintf("\n            %12.0f  %s", r.Limits[name], name)
	}
	_, err := fmt.Println(line)
	return err
}

func short(d time.Duration) time.Duration {
	if d > time.Millisecond {
		return d.Round(10 * time.Microsecond)
	}
	return d.Round(100 * time.Nanosecond)
}
