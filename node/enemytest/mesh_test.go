package enemytest

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/numax-mesh/numax/node"
	"github.com/numax-mesh/numax/node/api"
)

const (
	dataset  = "default"
	stopTime = 10 * time.Second // within which a node stops
)

// honest is a node of the mesh, over its restarts.
type honest struct {
	*node.Node
	name   string
	cfg    node.Config
	client *api.Client
	stop   func()
	own    *own // what it wrote
}

// mesh is three honest nodes that talk to each other.
type mesh struct {
	t     *testing.T
	dir   string
	nodes []*honest

	mu    sync.Mutex // guards lines
	lines []string   // the last warnings of the nodes
}

var names = []string{"a", "b", "c"}

func newMesh(t *testing.T) *mesh {
	t.Helper()
	dir, err := os.MkdirTemp("", "enemy") // t.TempDir is too long a name for a socket in it
	if err != nil {
		t.Fatal(err)
	}
	m := &mesh{t: t, dir: dir}
	t.Cleanup(func() {
		for _, x := range m.nodes {
			x.stop()
		}
		_ = os.RemoveAll(dir)
		if t.Failed() {
			m.mu.Lock()
			defer m.mu.Unlock()
			for _, l := range m.lines {
				t.Log(l)
			}
		}
	})
	return m
}

// openMesh starts three nodes of an open network.
func openMesh(t *testing.T, network string) *mesh {
	t.Helper()
	m := newMesh(t)
	for _, name := range names {
		cfg := m.config(name)
		cfg.Network = network
		m.add(name, cfg)
	}
	m.meet()
	return m
}

// config is of a node that looks for nobody but the nodes before it.
func (m *mesh) config(name string) node.Config {
	cfg := node.Config{
		Data: filepath.Join(m.dir, name), Datasets: []string{dataset}, API: "127.0.0.1:0", Version: "test",
		Listen: []string{"127.0.0.1:0"},
	}
	for _, x := range m.nodes {
		cfg.Bootstrap = append(cfg.Bootstrap, x.Addrs()...)
	}
	return cfg
}

func (m *mesh) add(name string, cfg node.Config) *honest {
	m.t.Helper()
	x := &honest{name: name, cfg: cfg, own: newOwn(name), stop: func() {}}
	m.nodes = append(m.nodes, x)
	m.start(x)
	return x
}

// start starts a node on its directory.
func (m *mesh) start(x *honest) {
	m.t.Helper()
	n, err := node.Open(x.cfg, slog.New(slog.NewTextHandler(&tail{m, x.name}, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		m.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	x.Node = n
	x.stop = sync.OnceFunc(func() {
		x.client.Close()
		cancel()
		began := time.Now()
		select {
		case err := <-done:
			if err != nil {
				m.t.Errorf("%s: %v", x.name, err)
			}
		case <-time.After(stopTime):
			m.t.Errorf("%s does not stop within %v:\n%s", x.name, stopTime, stacks())
			<-done
		}
		m.t.Logf("%s stopped within %v", x.name, time.Since(began).Round(time.Millisecond))
	})
	if x.client, err = api.Dial(x.cfg.Data); err != nil {
		m.t.Fatal(err)
	}
}

// meet waits until all talk to all.
func (m *mesh) meet() {
	m.t.Helper()
	for _, x := range m.nodes {
		until(m.t, x.name+" syncs with the others", func() error {
			talking := 0
			for _, p := range x.Peers() {
				if p.Sync && slices.ContainsFunc(m.nodes, func(y *honest) bool { return y.ID() == p.ID }) {
					talking++
				}
			}
			if talking < len(m.nodes)-1 {
				return fmt.Errorf("with %d of them", talking)
			}
			return nil
		})
	}
}

// until waits until check has no objection.
func until(t *testing.T, what string, check func() error) {
	t.Helper()
	var err error
	for began := time.Now(); time.Since(began) < deadline; time.Sleep(20 * time.Millisecond) {
		if err = check(); err == nil {
			return
		}
	}
	t.Fatalf("after %v: not yet: %s: %v", deadline, what, err)
}

// settle waits until all show what the honest wrote, and have equal logs.
func (m *mesh) settle(when string) {
	m.t.Helper()
	began := time.Now()
	for m.equal() != nil {
		if time.Since(began) > deadline {
			for _, x := range m.nodes {
				m.t.Logf("%s (%s): %+v\npeers %+v", x.name, x.ID(), x.Status(), x.Peers())
				all, _ := x.Members(dataset)
				for _, a := range all {
					if a.Self || slices.ContainsFunc(m.nodes, func(y *honest) bool { return strings.Contains(y.ID(), a.Name) }) {
						m.t.Logf("%s has %+v", x.name, a)
					}
				}
			}
			m.t.Fatalf("%v after %s: %v", deadline, when, m.equal())
		}
		time.Sleep(20 * time.Millisecond)
	}
	m.t.Logf("equal %v after %s", time.Since(began).Round(time.Millisecond), when)
}

// equal says how the nodes differ in what the honest wrote, or in their logs.
func (m *mesh) equal() error {
	for _, writer := range m.nodes {
		want := writer.own.show()
		for _, reader := range m.nodes {
			got, err := writer.own.read(reader.Node)
			if err != nil {
				return err
			}
			if got != want {
				return fmt.Errorf("of what %s wrote %s shows\n%s\nwant\n%s", writer.name, reader.name, got, want)
			}
		}
	}
	first := m.nodes[0].Status().Datasets[0]
	for _, x := range m.nodes[1:] {
		if s := x.Status().Datasets[0]; s.Digest != first.Digest {
			return fmt.Errorf("logs of %s (%d authors, %d ops, %d forked) and %s (%d, %d, %d) have unequal heads",
				m.nodes[0].name, first.Authors, first.Ops, len(first.Forked), x.name, s.Authors, s.Ops, len(s.Forked))
		}
	}
	return nil
}

func stacks() string {
	buf := make([]byte, 1<<20)
	return string(buf[:runtime.Stack(buf, true)])
}

// tail keeps the last lines that nodes log.
type tail struct {
	m    *mesh
	node string
}

const maxLines = 60

var _ io.Writer = (*tail)(nil)

func (l *tail) Write(b []byte) (int, error) {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	if len(l.m.lines) == maxLines {
		l.m.lines = l.m.lines[1:]
	}
	l.m.lines = append(l.m.lines, fmt.Sprintf("%s: %.300s", l.node, b))
	return len(b), nil
}
