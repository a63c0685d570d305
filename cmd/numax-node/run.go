package main

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/numax-mesh/numax/node"
)

// printFamilies are the families of --print-FAMILY.
var printFamilies = []string{"gcounter", "pncounter", "lww-register", "lww-map", "orset", "rga"}

// printed is one --print-FAMILY KEY, in the order of the command line.
type printed struct{ family, key string }

type printFlag struct {
	family string
	list   *[]printed
}

func (p printFlag) String() string { return "" }
func (p printFlag) Type() string   { return "key" }
func (p printFlag) Set(key string) error {
	*p.list = append(*p.list, printed{p.family, key})
	return nil
}

var _ pflag.Value = printFlag{}

func newRun() *cobra.Command {
	var (
		prints       []printed
		wait, settle time.Duration
		deadline     time.Duration
		memory       string
	)
	cmd := &cobra.Command{
		Use:   "run MODULE",
		Short: "Start a node and call a module once, then serve until stopped or settled",
		Args:  exactly(1, "MODULE: the .wasm file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			size, err := parseSize("memory", memory, 4<<30)
			if err != nil {
				return err
			}
			if wait < 0 || settle < 0 || deadline < 0 {
				return usagef("run: durations must not be negative")
			}
			wasm, err := node.ReadModule(args[0])
			if err != nil {
				return err
			}
			n, err := openNode(cmd)
			if err != nil {
				return err
			}
			r := moduleRun{
				openedNode: n, wasm: wasm, wait: wait, prints: prints, json: wantsJSON(cmd), settle: -1,
				guest: node.Guest{
					File: args[0], Args: os.Args, Deadline: deadline, Memory: size,
					Stdin: os.Stdin, Stdout: guestOut(), Stderr: &marked{w: stderr},
					Log: guestLog,
				},
			}
			if cmd.Flags().Changed("settle-for") || n.cfg.Offline || n.cfg.NoSync {
				r.settle = settle
			}
			return n.serve(context.Background(), r.act)
		},
	}
	f := cmd.Flags()
	addSettings(f)
	addJSON(cmd)
	f.DurationVar(&wait, "wait-before-run", 0, "wait so long before the call, for peers to be found")
	f.DurationVar(&settle, "settle-for", 0, "exit so long after the call (default: serve until stopped; with --offline or --no-sync: at once)")
	f.DurationVar(&deadline, "deadline", 0, "stop the module after so long (default none)")
	f.StringVar(&memory, "memory", "256MiB", "`size` of the module's memory at most")
	for _, family := range printFamilies {
		f.Var(printFlag{family, &prints}, "print-"+family, "print this "+family+" at the end; repeatable")
	}
	return cmd
}

// moduleRun is one `numax-node run`.
type moduleRun struct {
	*openedNode
	wasm   []byte
	guest  node.Guest
	wait   time.Duration
	settle time.Duration // < 0: until stopped
	prints []printed
	json   bool
}

func (r *moduleRun) act(ctx context.Context) error {
	if r.json {
		if err := r.printReady(true); err != nil {
			return err
		}
	}
	if r.wait > 0 {
		waiting(ctx, r.wait, "waiting before the run")
	}
	if ctx.Err() != nil {
		return nil
	}
	runErr := r.RunModule(ctx, r.wasm, r.guest)
	stopped := ctx.Err() != nil
	if stopped && runErr != nil {
		runErr = errors.New("stopped before the module had finished: what it wrote is kept")
	}
	switch {
	case stopped || r.settle < 0 && runErr != nil:
	case r.settle < 0:
		r.log.Info("the module has run; serving until stopped")
		<-ctx.Done()
	default:
		waiting(ctx, r.settle, "settling")
	}
	for _, p := range r.prints {
		v, err := r.Get(r.cfg.Datasets[0], p.family, p.key)
		if err != nil {
			return err
		}
		if r.json {
			err = printJSON(v)
		} else {
			err = say(stdout, "%s\n", v)
		}
		if err != nil {
			return err
		}
	}
	return runErr
}

// parseSize reads 64MiB, 1GiB, 65536, for a setting.
func parseSize(what, s string, most uint64) (uint64, error) {
	units := []struct {
		suffix string
		bytes  uint64
	}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1}, {"", 1}}
	for _, u := range units {
		number, ok := strings.CutSuffix(s, u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(strings.TrimSpace(number), 10, 64)
		if err != nil || n == 0 || n > most/u.bytes {
			break
		}
		return n * u.bytes, nil
	}
	return 0, usagef("%s %q: want a size of at most %dGiB such as 64MiB", what, s, most>>30)
}
