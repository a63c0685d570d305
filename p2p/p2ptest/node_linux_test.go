package p2ptest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/numax-mesh/numax/node/api"
)

// node is the command, running on a machine of a lab.
type node struct {
	t     *testing.T
	cmd   *exec.Cmd
	api   *api.Client
	id    string
	addrs []string
	log   *tail
}

// command is the command on a machine, with the data of a name.
func (l *lab) command(machine, name string, args ...string) (cmd *exec.Cmd, data string) {
	l.t.Helper()
	file, _ := binary()
	data, tmp := filepath.Join(l.dir, name), filepath.Join(l.dir, name+"-tmp")
	if err := os.MkdirAll(tmp, 0o700); err != nil {
		l.t.Fatal(err)
	}
	cmd = exec.Command("ip", slices.Concat([]string{"netns", "exec", l.prefix + machine, file}, args, []string{"--data", data})...)
	// Nodes of one machine meet in TMPDIR; those of namespaces must not.
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
	return cmd, data
}

// do runs a command to its end.
func (l *lab) do(machine, name string, args ...string) {
	l.t.Helper()
	cmd, _ := l.command(machine, name, args...)
	if out, err := cmd.CombinedOutput(); err != nil {
		l.t.Fatalf("%s on %s: %v: %s", strings.Join(args, " "), machine, err, out)
	}
}

// start runs a node until the test ends. A node of the same name has the same
// data.
func (l *lab) start(machine, name string, args ...string) *node {
	l.t.Helper()
	n := &node{t: l.t, log: new(tail)}
	var data string
	n.cmd, data = l.command(machine, name, slices.Concat([]string{"up", "--json", "--network", "lab", "--log-level", "debug"}, args)...)
	n.cmd.Stderr = n.log
	out, err := n.cmd.StdoutPipe()
	if err != nil {
		l.t.Fatal(err)
	}
	if err := n.cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(n.stop)
	l.t.Cleanup(func() {
		if l.t.Failed() {
			l.t.Logf("the log of %s:\n%s", name, n.log)
		}
	})
	var ready struct {
		ID    string `json:"peer_id"`
		Addrs []string
	}
	if err := json.NewDecoder(bufio.NewReader(out)).Decode(&ready); err != nil {
		l.t.Fatalf("%s did not start: %v: %s", name, err, n.log)
	}
	n.id, n.addrs = ready.ID, ready.Addrs
	if n.api, err = api.Dial(data); err != nil {
		l.t.Fatal(err)
	}
	return n
}

// at is the node's address that has a part.
func (n *node) at(part string) string {
	n.t.Helper()
	for _, a := range n.addrs {
		if strings.Contains(a, part) && !strings.Contains(a, "/ws") {
			return a
		}
	}
	n.t.Fatalf("no address with %s among %v", part, n.addrs)
	return ""
}

// stop stops the node as a user does; kill as a power cut does.
func (n *node) stop() { n.end(os.Interrupt) }
func (n *node) kill() { n.end(os.Kill) }

func (n *node) end(how os.Signal) {
	if n.cmd.ProcessState == nil {
		_ = n.cmd.Process.Signal(how)
		_ = n.cmd.Wait()
		n.api.Close()
	}
}

func (n *node) peers() []api.Peer {
	peers, _ := n.api.Peers(context.Background())
	return peers
}

// knows reports whether the nodes are all connected to n.
func (n *node) knows(others ...*node) bool {
	peers := n.peers()
	for _, o := range others {
		if !slices.ContainsFunc(peers, func(p api.Peer) bool { return p.ID == o.id }) {
			return false
		}
	}
	return true
}

// reaches is how n reaches a node: lan, direct, punched, relayed or "".
func (n *node) reaches(to *node) string {
	for _, p := range n.peers() {
		if p.ID == to.id {
			return p.Way
		}
	}
	return ""
}

func (n *node) inc(key string) {
	n.t.Helper()
	_, err := n.api.Change(context.Background(), api.Change{Dataset: "default", Family: "gcounter", Key: key, Verb: "inc"})
	if err != nil {
		n.t.Error(err)
	}
}

func (n *node) counts(key string, want int) bool {
	v, err := n.api.Get(context.Background(), "default", "gcounter", key)
	return err == nil && v.Count == strconv.Itoa(want)
}

// write counts up, by many clients at a time.
func (n *node) write(key string, ops int) {
	n.t.Helper()
	var wg sync.WaitGroup
	work := make(chan struct{})
	for range 64 {
		wg.Go(func() {
			for range work {
				n.inc(key)
			}
		})
	}
	for range ops {
		work <- struct{}{}
	}
	close(work)
	wg.Wait()
}

// tail keeps the end of a log.
type tail struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

const maxTail = 4 << 20

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.b.Len() > maxTail {
		t.b.Next(t.b.Len() - maxTail/2)
	}
	return t.b.Write(p)
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var kept []string
	for line := range strings.Lines(t.b.String()) {
		if !strings.Contains(line, "level=DEBUG") || strings.Contains(line, "cannot") || strings.Contains(line, "LAN") || strings.Contains(line, "anew") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept[max(0, len(kept)-80):], "")
}

// packets is the number of packets and bytes that left a machine by an interface.
func (l *lab) sent(machine, iface string) (packets, bytes int) {
	l.t.Helper()
	out, err := exec.Command("ip", "-n", l.prefix+machine, "-s", "-j", "link", "show", iface).Output()
	var stats []struct {
		Stats64 struct{ Tx, Rx struct{ Packets, Bytes int } }
	}
	if err == nil {
		err = json.Unmarshal(out, &stats)
	}
	if err != nil || len(stats) != 1 {
		l.t.Fatal(fmt.Errorf("counters of %s: %w", iface, err))
	}
	return stats[0].Stats64.Tx.Packets, stats[0].Stats64.Tx.Bytes
}
