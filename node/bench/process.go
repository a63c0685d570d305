package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// process is a node that runs as a process of its own: this program, started
// with `up`.
type process struct {
	cmd   *exec.Cmd
	began time.Time     // when it was started
	ready time.Duration // until it said that it serves
}

// startProcess starts a node on a directory and waits until it is ready.
func startProcess(ctx context.Context, data string, args ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	args = append([]string{
		"up", "--json", "--data", data, "--network", networkName(), "--listen", "127.0.0.1:0", "--no-mdns", "--log-level", "error",
	}, args...)
	p := &process{cmd: exec.CommandContext(ctx, self, args...)}
	p.cmd.Stderr = os.Stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.began = time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	giveUp := time.AfterFunc(convergeTime, func() { _ = p.cmd.Process.Kill() })
	defer giveUp.Stop()
	line, err := bufio.NewReader(out).ReadBytes('\n')
	p.ready = time.Since(p.began)
	var said struct{ Event string }
	if err == nil && (json.Unmarshal(line, &said) != nil || said.Event != "ready") {
		err = fmt.Errorf("it said %q", line)
	}
	if err != nil {
		_ = p.kill()
		return nil, fmt.Errorf("start a node: %w", err)
	}
	return p, nil
}

func (p *process) residentBytes() int64 { return residentBytes(p.cmd.Process.Pid) }

// stop ends the node in good order.
func (p *process) stop() error { return errors.Join(p.cmd.Process.Signal(os.Interrupt), p.cmd.Wait()) }

// kill ends it at once, in the middle of whatever it does.
func (p *process) kill() error {
	err := p.cmd.Process.Kill()
	_ = p.cmd.Wait() // says that it was killed
	return err
}

func ownResidentBytes() int64 { return residentBytes(os.Getpid()) }

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
