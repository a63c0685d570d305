package main

import (
	"errors"
	"fmt"
	"os"
	"runtime/pprof"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/numax-mesh/numax/node/bench"
)

const benchLong = `Measure this machine with real guests, disks and sockets on loopback.

Each scenario says how much it did and how fast, the latencies of what it names
(p50, p95, p99, max), the bytes on the wire and on disk, the memory, and how far
that is from what the same machine can do at most, measured in the same run.
Latency of a guest's call, of a durable commit, and until an update is visible
on another node are three figures. Nothing is judged.

`

const benchExample = `  numax-node bench limits
  numax-node bench replicate --nodes 10 --rate 100 --duration 300s
  numax-node bench sync --ops 1000000 --missing 100 --runs 5 --json
  numax-node bench text trace.json.gz`

// maxRuns is the most --runs.
const maxRuns = 1000

// benchOptions are the flags that are the same for every scenario.
type benchOptions struct {
	dir, profile string
	runs         int
}

func newBench() *cobra.Command {
	var o benchOptions
	var p bench.Params
	cmd := &cobra.Command{
		Use: "bench [SCENARIO…]", Short: "Measure this machine; without a scenario, all but those marked *",
		Long: benchLong + scenarioHelp(), Example: benchExample,
		ValidArgs: scenarioNames(),
		RunE: func(cmd *cobra.Command, args []string) error {
			args, err := takeFile(cmd, args)
			if err != nil {
				return err
			}
			chosen, err := chooseScenarios(args)
			if err != nil {
				return err
			}
			jobs, err := benchJobs(cmd, chosen, p)
			if err != nil {
				return err
			}
			if o.runs < 1 || o.runs > maxRuns {
				return usagef("bench: --runs %d: want 1 to %d", o.runs, maxRuns)
			}
			return runBench(cmd, jobs, o)
		},
	}
	addJSON(cmd)
	f := cmd.Flags()
	for _, param := range bench.AllParams {
		switch v := param.Of(&p).(type) {
		case *int:
			f.IntVar(v, param.Name, 0, param.Help)
		case *time.Duration:
			f.DurationVar(v, param.Name, 0, param.Help)
		case *float64:
			f.Float64Var(v, param.Name, 0, param.Help)
		case *string:
			f.StringVar(v, param.Name, "", param.Help)
		}
	}
	f.IntVar(&o.runs, "runs", 1, "run each scenario `N` times; medians, least and greatest are printed")
	f.StringVar(&o.dir, "dir", "", "`directory` on the disk to measure (default: the temporary directory)")
	f.StringVar(&o.profile, "cpuprofile", "", "write a CPU profile for go tool pprof to `FILE`")
	f.SortFlags = false
	return cmd
}

func scenarioNames() []string {
	var names []string
	for _, s := range bench.Scenarios {
		names = append(names, s.Name)
	}
	return names
}

// scenarioHelp lists the scenarios, each with the flags it takes and their
// defaults.
func scenarioHelp() string {
	var help strings.Builder
	help.WriteString("Scenarios, with the flags they take and their defaults:\n")
	for _, s := range bench.Scenarios {
		name := s.Name
		if s.ByName {
			name += " *"
		}
		fmt.Fprintf(&help, "  %-12s %s\n", name, s.Help)
		if flags := s.Flags(s.Defaults); flags != "" {
			fmt.Fprintf(&help, "  %-12s   %s\n", "", flags)
		}
	}
	return help.String()
}

// takeFile makes the FILE of `bench text FILE` its --file.
func takeFile(cmd *cobra.Command, args []string) ([]string, error) {
	if len(args) != 2 || args[0] != "text" {
		return args, nil
	}
	if _, ok := bench.Find(args[1]); ok {
		return args, nil
	}
	if cmd.Flags().Changed("file") {
		return nil, usagef("bench text: want FILE or --file, not both")
	}
	return args[:1], cmd.Flags().Set("file", args[1])
}

func chooseScenarios(names []string) (chosen []bench.Scenario, err error) {
	if len(names) == 0 {
		for _, s := range bench.Scenarios {
			if !s.ByName {
				chosen = append(chosen, s)
			}
		}
		return chosen, nil
	}
	for _, name := range names {
		s, ok := bench.Find(name)
		if !ok {
			return nil, usagef("bench: unknown scenario %q: want %s", name, strings.Join(scenarioNames(), ", "))
		}
		chosen = append(chosen, s)
	}
	return chosen, nil
}

// benchJob is a scenario with its parameters.
type benchJob struct {
	s bench.Scenario
	p bench.Params
}

// benchJobs checks every parameter before anything runs. One that none of the
// chosen scenarios takes is a mistake.
func benchJobs(cmd *cobra.Command, chosen []bench.Scenario, given bench.Params) (jobs []benchJob, err error) {
	changed := cmd.Flags().Changed
	for _, param := range bench.AllParams {
		takes := func(s bench.Scenario) bool { return s.TakesParam(param.Name) }
		if changed(param.Name) && !slices.ContainsFunc(chosen, takes) {
			return nil, usagef("bench %s: it takes no --%s: see numax-node bench --help", chosen[0].Name, param.Name)
		}
	}
	for _, s := range chosen {
		p, err := s.Params(given, changed)
		if err != nil {
			return nil, usagef("bench %s: %w", s.Name, err)
		}
		if s.TakesParam("file") && p.File == "" {
			return nil, usagef("bench %s: want FILE, an editing trace", s.Name)
		}
		jobs = append(jobs, benchJob{s, p})
	}
	return jobs, nil
}

func runBench(cmd *cobra.Command, jobs []benchJob, o benchOptions) (err error) {
	if o.profile != "" {
		stop, perr := startProfile(o.profile)
		if perr != nil {
			return fmt.Errorf("bench: profile: %w", perr)
		}
		defer func() { err = errors.Join(err, stop()) }()
	}
	for _, j := range jobs {
		r, err := bench.Measure(cmd.Context(), j.s, j.p, o.runs, o.dir)
		if err != nil {
			return err
		}
		if wantsJSON(cmd) {
			err = printJSON(r)
		} else {
			err = printReport(stdout, r)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func startProfile(file string) (stop func() error, err error) {
	f, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return f.Close()
	}, nil
}
