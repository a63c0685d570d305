package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/numax-mesh/numax/node"
	"github.com/numax-mesh/numax/node/api"
)

// restart measures this program itself, as a process of its own: the time from
// exec to the line `ready`, and the resident memory then.
func restart(ctx context.Context, dir string, p Params) (Result, error) {
	p = p.or(Params{Keys: 100_000})
	r := Result{Scenario: "restart", Nodes: 1, Ops: p.Keys}
	cfg := node.Config{Data: filepath.Join(dir, "data"), Network: "bench-" + strconv.Itoa(os.Getpid()), Datasets: []string{"default"}}
	d, closer, err := node.OpenData(cfg, false)
	if err != nil {
		return r, err
	}
	err = fill(ctx, d, p.Keys)
	if err := errors.Join(err, closer.Close()); err != nil {
		return r, err
	}
	idle, _, err := startSelf(ctx, node.Config{Data: filepath.Join(dir, "empty"), Network: cfg.Network})
	if err != nil {
		return r, err
	}
	r.IdleRSS = idle
	began := time.Now()
	r.RSS, r.Elapsed, err = startSelf(ctx, cfg)
	if err != nil {
		return r, fmt.Errorf("after %v: %w", time.Since(began), err)
	}
	r.OpsPerSec = float64(r.Ops) / r.Elapsed.Seconds()
	return r, nil
}

// startSelf starts a node, waits until it is ready, reads an object through
// its API, and stops it.
func startSelf(ctx context.Context, cfg node.Config) (rss int64, ready time.Duration, err error) {
	self, err := os.Executable()
	if err != nil {
		return 0, 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, convergeTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, self, "up", "--data", cfg.Data, "--network", cfg.Network, "--listen", "127.0.0.1:0", "--no-mdns", "--log-level", "error")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, 0, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	ready = time.Since(began)
	if err == nil && !strings.HasPrefix(line, "ready ") {
		err = fmt.Errorf("the node said %q", line)
	}
	if err == nil {
		err = readOne(ctx, cfg.Data)
	}
	rss = residentBytes(cmd.Process.Pid)
	return rss, ready, errors.Join(err, cmd.Process.Signal(os.Interrupt), cmd.Wait())
}

func readOne(ctx context.Context, data string) error {
	c, err := api.Dial(data)
	if err != nil {
		return err
	}
	_, err = c.Get(ctx, "default", "gcounter", "fill:0")
	return err
}

// residentBytes is the memory a process has in RAM; 0 where the system does
// not say it in /proc.
func residentBytes(pid int) int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return kb << 10
		}
	}
	return 0
}

func fill(ctx context.Context, d *node.Data, n int) error {
	for i := range n {
		c := api.Change{Dataset: "default", Family: "gcounter", Key: "fill:" + strconv.Itoa(i), Verb: "inc"}
		if err := d.Apply(ctx, c); err != nil {
			return err
		}
	}
	return d.Sync(ctx)
}
