package p2ptest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// binary is the command, built once.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "numax-net")
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "numax-node")
	build := exec.Command("go", "build", "-o", file, "../../cmd/numax-node")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w: %s", err, out)
	}
	return file, nil
})

func TestMain(m *testing.M) {
	var part func() error // that this program plays in a test of another one
	if addr := os.Getenv(probeEnv); addr != "" {
		part = func() error { return runProbe(addr) }
	} else if how := os.Getenv(attackEnv); how != "" {
		part = func() error { return runAttack(how, os.Args[1:]) }
	}
	if part != nil {
		if err := part(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	code := m.Run()
	if os.Getenv("NUMAX_NET_TESTS") != "" {
		if file, err := binary(); err == nil {
			_ = os.RemoveAll(filepath.Dir(file))
		}
	}
	os.Exit(code)
}

// lab is a network of its own. All of it, the switches too, is in namespaces:
// the machine's own network is not touched.
type lab struct {
	t      *testing.T
	prefix string // of the namespaces' names
	dir    string
	wires  int
}

var labs int

func newLab(t *testing.T) *lab {
	t.Helper()
	switch {
	case os.Getenv("NUMAX_NET_TESTS") == "":
		t.Skip("runs with NUMAX_NET_TESTS=1, as make test-net does")
	case os.Getuid() != 0:
		t.Skip("network namespaces need root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("no ip command here: install iproute2")
	}
	if _, err := binary(); err != nil {
		t.Fatal(err)
	}
	labs++
	dir, err := os.MkdirTemp("", "nx")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	l := &lab{t: t, prefix: fmt.Sprintf("nx%d-%d-", os.Getpid(), labs), dir: dir}
	l.namespace("switch")
	return l
}

// namespace is a machine with no cable yet.
func (l *lab) namespace(name string) {
	l.t.Helper()
	l.run("ip", "netns", "add", l.prefix+name)
	l.t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", l.prefix+name).Run() })
	l.ip(name, "link set lo up")
}

// ip runs the ip command in a namespace.
func (l *lab) ip(in, args string) {
	l.t.Helper()
	l.run("ip", append([]string{"-n", l.prefix + in}, strings.Fields(args)...)...)
}

// in runs a command in a namespace.
func (l *lab) in(name string, args ...string) {
	l.t.Helper()
	l.run("ip", append([]string{"netns", "exec", l.prefix + name}, args...)...)
}

// set writes a kernel setting of a namespace.
func (l *lab) set(name, setting, value string) {
	l.t.Helper()
	l.in(name, "sh", "-c", "echo "+value+" > /proc/sys/"+setting)
}

func (l *lab) run(name string, args ...string) {
	l.t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		l.t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
}

// lan is a switch.
func (l *lab) lan(name string) {
	l.t.Helper()
	l.ip("switch", "link add "+name+" type bridge forward_delay 0")
	l.ip("switch", "link set "+name+" up")
}

// plug connects an interface of a machine to a switch, and returns the switch's
// end of the cable.
func (l *lab) plug(machine, iface, lan, address string) (port string) {
	l.t.Helper()
	l.wires++
	port = fmt.Sprintf("p%d", l.wires)
	l.ip("switch", fmt.Sprintf("link add %s type veth peer name %s netns %s", port, iface, l.prefix+machine))
	l.ip("switch", "link set "+port+" master "+lan+" up")
	l.ip(machine, "addr add "+address+" dev "+iface)
	l.ip(machine, "link set "+iface+" up")
	return port
}

// machine is a namespace on one LAN.
func (l *lab) machine(name, lan, address string) (port string) {
	l.t.Helper()
	l.namespace(name)
	return l.plug(name, "eth0", lan, address)
}

// within waits until it holds, and returns how long that took since a moment.
func (l *lab) within(since time.Time, limit time.Duration, what string, holds func() bool) time.Duration {
	l.t.Helper()
	for !holds() {
		if took := time.Since(since); took > 3*limit {
			l.t.Fatalf("%s: not after %v; want %v", what, took.Round(time.Millisecond), limit)
		}
		time.Sleep(5 * time.Millisecond)
	}
	took := time.Since(since).Round(time.Millisecond)
	if took > limit {
		l.t.Errorf("%s: took %v, want at most %v", what, took, limit)
	} else {
		l.t.Logf("%s: %v", what, took)
	}
	return took
}
