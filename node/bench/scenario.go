package bench

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"time"
)

// Scenario is something to measure. Run keeps its data below dir, which it
// finds empty.
type Scenario struct {
	Name     string
	Help     string
	Takes    string // names of the Params it takes, separated by spaces
	Defaults Params
	// ByName scenarios run only when they are named: they need a file, or take
	// long.
	ByName bool
	Run    func(ctx context.Context, dir string, p Params) (Result, error)
}

// Scenarios are all there are.
var Scenarios = []Scenario{
	{
		Name: "limits", Run: limits,
		Help: "what nothing here can exceed: Ed25519, BLAKE3, LevelDB with and without fsync, streams",
	},
	{
		Name: "apply", Run: apply, Takes: "ops", Defaults: Params{Ops: 1_000_000},
		Help: "join ops of every family in memory, on one core",
	},
	{
		Name: "local", Run: local, Takes: "ops", Defaults: Params{Ops: 200_000},
		Help: "a guest increments a counter and commits at the end",
	},
	{
		Name: "store", Run: store, Takes: "rate duration value-size key-space",
		Defaults: Params{Rate: 10_000, Duration: 5 * time.Second, ValueSize: 256, KeySpace: 1_000_000},
		Help:     "a guest writes db_* rows at a rate and commits 100 times a second",
	},
	{
		Name: "restart", Run: restart, Takes: "keys", Defaults: Params{Keys: 100_000},
		Help: "start this program on a directory with data: time until ready, and memory",
	},
	{
		Name: "remote", Run: catchUp(64), Takes: "ops keys", Defaults: Params{Ops: 500_000, Keys: 500_000},
		Help: "another node's ops, 64 to an entry: verify, apply, fsync",
	},
	{
		Name: "remote-hot", Run: catchUp(64), Takes: "ops keys", Defaults: Params{Ops: 500_000, Keys: 100},
		Help: "the same on few keys",
	},
	{
		Name: "remote-1", Run: catchUp(1), Takes: "ops keys", Defaults: Params{Ops: 20_000, Keys: 20_000},
		Help: "the same, one op to an entry",
	},
	{
		Name: "sync", Run: syncMissing, Takes: "ops objects missing", Defaults: Params{Ops: 1_000_000, Objects: 1000, Missing: 100},
		Help: "two replicas with ops of three authors, one lacks some: bytes, round trips, time; and the same with 1,000 ops",
	},
	{
		Name: "heal", Run: heal, Takes: "ops keys", Defaults: Params{Ops: 100_000, Keys: 100_000},
		Help: "two replicas that wrote --ops ops each while apart: time until equal",
	},
	{
		Name: "relink", Run: relink, Takes: "cuts duration", Defaults: Params{Cuts: 5, Duration: 3 * time.Second},
		Help: "the link between two nodes is down for --duration: time from its return until the first op is seen",
	},
	{
		Name: "replicate", Run: replicate, Takes: "nodes rate duration", Defaults: Params{Nodes: 3, Rate: 1000, Duration: 10 * time.Second},
		Help: "a guest on each node increments at a rate; watchers on all others; then until all are equal",
	},
	{
		Name: "burst", Run: burst, Takes: "nodes ops", Defaults: Params{Nodes: 3, Ops: 100_000},
		Help: "a guest on each node increments --ops times without a pause, until all are equal",
	},
	{
		Name: "latency", Run: latency, Takes: "nodes ops loss", Defaults: Params{Nodes: 3, Ops: 300},
		Help: "one update at a time, until all other nodes show it; with --loss they lose gossip messages",
	},
	{
		Name: "react", Run: react, Takes: "ops", Defaults: Params{Ops: 500},
		Help: "an update on one node, until a module on another has been called for it and has written something",
	},
	{
		Name: "instances", Run: instances, Takes: "objects", Defaults: Params{Objects: 1000},
		Help: "--objects idle services on one node: memory; and calls of a function, each with an instance of its own",
	},
	{
		Name: "hostile", Run: hostile, Takes: "duration", Defaults: Params{Duration: 10 * time.Second},
		Help: "ten modules that take what they can get: what a good module and another node feel of them",
	},
	{
		Name: "chaos", Run: chaos, Takes: "nodes rate duration every",
		Defaults: Params{Nodes: 3, Rate: 100, Duration: 35 * time.Second, Every: 10 * time.Second},
		Help:     "nodes under load, one of them a process that is killed and restarted: what is lost, and time until equal",
	},
	{
		Name: "reclaim", Run: reclaim, Takes: "keys value-size", Defaults: Params{Keys: 100_000, ValueSize: 256},
		Help: "write to maps, sets and texts, delete nine of ten: what is left on disk, by a replica that had only the rest",
	},
	{
		Name: "bootstrap", Run: catchUp(64), Takes: "ops keys", Defaults: Params{Ops: 1_000_000, Keys: 1_000_000}, ByName: true,
		Help: "a new replica fetches a large dataset, as its log",
	},
	{
		Name: "join", Run: joinState, Takes: "ops keys", Defaults: Params{Ops: 1_000_000, Keys: 1_000_000}, ByName: true,
		Help: "a new replica fetches a large dataset whose log is cut, as a state",
	},
	{
		Name: "text", Run: text, Takes: "file", ByName: true,
		Help: "replay the editing trace FILE on one replica, and merge it on another",
	},
}

// Find returns the scenario called name.
func Find(name string) (Scenario, bool) {
	i := slices.IndexFunc(Scenarios, func(s Scenario) bool { return s.Name == name })
	if i < 0 {
		return Scenario{}, false
	}
	return Scenarios[i], true
}

// Measure runs a scenario a number of times, each in a new directory below
// dir, which is removed after it.
func Measure(ctx context.Context, s Scenario, p Params, runs int, dir string) (Report, error) {
	var all []Result
	for range runs {
		r, err := measureOnce(ctx, s, p, dir)
		if err != nil {
			return Report{}, fmt.Errorf("bench %s: %w", s.Name, err)
		}
		all = append(all, r)
	}
	return report(s, p, all), nil
}

func measureOnce(ctx context.Context, s Scenario, p Params, dir string) (Result, error) {
	tmp, err := os.MkdirTemp(dir, "numax-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)
	debug.FreeOSMemory() // what an earlier one took is not this one's
	return s.Run(ctx, tmp, p)
}
