package p2ptest

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/numax-mesh/numax/node/api"
)

// What an attack may do to two nodes that go on: their memory is bounded, and so
// is the time until one sees what the other wrote. The ratio that is asserted
// is generous, for all share one machine; the one that was seen is logged.
const (
	floodTime     = 8 * time.Second
	maxFloodRatio = 10
	maxFloodRSS   = 400 << 20 // the network may take 128 MiB of it
)

// A peer that floods, or holds what it opened, does not keep two others from
// each other.
func TestFlood(t *testing.T) {
	for _, attack := range []string{"garbage", "entries", "streams", "half-open streams", "connections", "peers"} {
		t.Run(attack, func(t *testing.T) {
			l := newLab(t)
			l.lan("lan")
			for i, name := range []string{"a", "b", "enemy"} {
				l.machine(name, "lan", fmt.Sprintf("10.0.0.%d/24", i+1))
			}
			// Logs of every refusal would take longer than to refuse.
			a, b := l.start("a", "a", "--log-level", "info"), l.start("b", "b", "--log-level", "info")
			l.within(time.Now(), 5*time.Second, "connected", func() bool { return a.knows(b) && b.knows(a) })
			m := newMeter(t, a, b)
			m.measure(time.Second)
			usual := m.measure(floodTime / 2)
			rss := max(a.rss(), b.rss())

			busy, began := a.cpu()+b.cpu(), time.Now()
			out := l.attack("enemy", attack, a.at("/tcp"), b.at("/tcp"))
			flooded := m.measure(floodTime)
			most, load := max(a.peak(), b.peak()), (a.cpu()+b.cpu()-busy).Seconds()/2/time.Since(began).Seconds()
			ratio := float64(flooded.median) / float64(usual.median)
			t.Logf("%s: %s", attack, strings.TrimSpace(out()))
			t.Logf("latency %v, usually %v: %.1f times; RSS %d MiB, before %d MiB; %.0f%% of a CPU each",
				flooded, usual, ratio, most>>20, rss>>20, 100*load)
			if ratio > maxFloodRatio {
				t.Errorf("latency is %.1f times the usual one, want at most %d", ratio, maxFloodRatio)
			}
			if most > maxFloodRSS {
				t.Errorf("RSS %d MiB, want at most %d", most>>20, maxFloodRSS>>20)
			}
			if !a.knows(b) {
				t.Error("the nodes lost each other")
			}
		})
	}
}

// meter measures how soon one node sees what another wrote.
type meter struct {
	t     *testing.T
	from  *node
	seen  chan int
	count int
}

func newMeter(t *testing.T, from, to *node) *meter {
	m := &meter{t: t, from: from, seen: make(chan int, 1024)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = to.api.Watch(ctx, "default", "gcounter", "latency", func(v api.Value) error {
			n, err := strconv.Atoi(v.Count)
			m.seen <- n
			return err
		})
	}()
	t.Cleanup(func() { cancel(); <-done })
	return m
}

// delays are what was measured.
type delays struct {
	median, p95, worst time.Duration
	count              int
}

func (d delays) String() string {
	return fmt.Sprintf("%v (95%% %v, worst %v, of %d)", d.median, d.p95, d.worst, d.count)
}

// measure writes one after the other, for a time.
func (m *meter) measure(long time.Duration) delays {
	m.t.Helper()
	var all []time.Duration
	for end := time.Now().Add(long); time.Now().Before(end); {
		began := time.Now()
		m.from.inc("latency")
		m.count++
		giveUp := time.After(30 * time.Second)
		for seen := -1; seen < m.count; {
			select {
			case seen = <-m.seen:
			case <-giveUp:
				m.t.Fatal("a write was not seen within 30 s")
			}
		}
		all = append(all, time.Since(began).Round(10*time.Microsecond))
		time.Sleep(5 * time.Millisecond)
	}
	slices.SortFunc(all, cmp.Compare)
	return delays{all[len(all)/2], all[len(all)*95/100], all[len(all)-1], len(all)}
}

// attack runs this program on a machine, as an enemy of nodes, at a low priority:
// an enemy has a machine of its own. The returned function ends it, and says what
// it did.
func (l *lab) attack(machine, how string, addrs ...string) (end func() string) {
	l.t.Helper()
	cmd := exec.Command("ip", slices.Concat([]string{"netns", "exec", l.prefix + machine, "nice", "-n", "19", os.Args[0]}, addrs)...)
	cmd.Env = append(os.Environ(), attackEnv+"="+how, "TMPDIR="+l.dir)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	stop := func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Signal(os.Interrupt)
			_ = cmd.Wait()
		}
	}
	l.t.Cleanup(stop)
	return func() string { stop(); return out.String() }
}

// rss is the memory of the node's process; peak the most it ever was.
func (n *node) rss() int  { return n.memory("VmRSS:") }
func (n *node) peak() int { return n.memory("VmHWM:") }

func (n *node) memory(field string) int {
	n.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.cmd.Process.Pid))
	if err != nil {
		n.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), field)
	kb, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		n.t.Fatal(err)
	}
	return kb << 10
}

// cpu is the time that the node's process had.
func (n *node) cpu() time.Duration {
	n.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", n.cmd.Process.Pid))
	if err != nil {
		n.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	var ticks int
	for _, field := range strings.Fields(rest)[11:13] { // in user mode, in the kernel
		x, err := strconv.Atoi(field)
		if err != nil {
			n.t.Fatal(err)
		}
		ticks += x
	}
	return time.Duration(ticks) * time.Second / 100
}
