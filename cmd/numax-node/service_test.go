package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/numax-mesh/numax/node/api"
)

// Nodes with modules, as people start them, for tests.

// patience is what a busy machine may take for what should take milliseconds.
const patience = time.Minute

// service is a node with modules.
type service struct {
	*api.Client
	t    *testing.T
	data string
	args []string
	cmd  *exec.Cmd
	log  *bytes.Buffer

	PeerID string `json:"peer_id"`
	Addrs  []string
	Serve  string
}

// startService adds modules to a data directory and starts a node there. On a cleanup it is stopped.
func startService(t *testing.T, built, data string, modules []string, args ...string) *service {
	t.Helper()
	for _, name := range modules {
		add := exec.Command("numax-node", "module", "add", filepath.Join(built, "examples", name), "--data", data)
		add.Env = quietEnv()
		if out, err := add.CombinedOutput(); err != nil {
			t.Fatalf("module add %s: %v\n%s", name, err, out)
		}
	}
	s := &service{t: t, data: data, args: args, log: new(bytes.Buffer), Serve: "127.0.0.1:0"}
	s.start()
	t.Cleanup(s.stop)
	return s
}

// start starts the node; again, after stop, at the same address.
func (s *service) start() {
	s.t.Helper()
	s.cmd = exec.Command("numax-node", append([]string{
		"up", "--json", "--data", s.data, "--listen", "127.0.0.1:0", "--api", "127.0.0.1:0", "--serve", s.Serve, "--no-mdns",
		"--network", filepath.Base(filepath.Dir(s.data)),
	}, s.args...)...)
	s.cmd.Env, s.cmd.Stderr = append(quietEnv(), "NX_OVER=50"), s.log
	out, err := s.cmd.StdoutPipe()
	if err == nil {
		err = s.cmd.Start()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	if err := json.NewDecoder(out).Decode(s); err != nil || s.Serve == "" {
		s.t.Fatalf("the ready line: %v\n%s", err, s.log)
	}
	if s.Client, err = api.Dial(s.data); err != nil {
		s.t.Fatal(err)
	}
}

// run waits until the modules run.
func (s *service) run() {
	s.t.Helper()
	until(s.t, func() error {
		all, err := s.Modules(s.t.Context())
		for _, m := range all {
			if err == nil && m.State != "running" {
				err = fmt.Errorf("%s is %s: %s", m.Name, m.State, m.Failure)
			}
		}
		return err
	})
}

func (s *service) stop() {
	_ = s.cmd.Process.Signal(os.Interrupt)
	_ = s.cmd.Wait()
}

// until waits until act has no error.
func until(t *testing.T, act func() error) {
	t.Helper()
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) { // a poll with a deadline
		err := act()
		if err == nil {
			return
		}
		if time.Since(began) > patience {
			t.Fatalf("after %v: %v", patience, err)
		}
	}
}

// page is the address of something that a module serves.
func (s *service) page(path string) string { return "http://" + s.Serve + "/m/" + path }

// ask makes a web request.
func (s *service) ask(method, path, body string) (status int, answer string) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.page(path), strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return a.StatusCode, strings.TrimSpace(string(b))
}

// answers waits until a request is answered like that.
func (s *service) answers(method, path, body, want string) {
	s.t.Helper()
	until(s.t, func() error {
		if status, got := s.ask(method, path, body); status != 200 || got != want {
			return fmt.Errorf("%s %s: got %d %s, want %s", method, path, status, got, want)
		}
		return nil
	})
}

// cut and join the nodes: with a blocked peer there is no connection, however it is found.
func cut(t *testing.T, a, b *service) {
	t.Helper()
	for _, x := range [][2]*service{{a, b}, {b, a}} {
		if err := x[0].Block(t.Context(), x[1].PeerID); err != nil {
			t.Fatal(err)
		}
	}
	connected(t, a, b, false)
}

func join(t *testing.T, a, b *service) {
	t.Helper()
	for _, x := range [][2]*service{{a, b}, {b, a}} {
		if err := x[0].Unblock(t.Context(), x[1].PeerID); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Connect(t.Context(), a.Addrs[0]); err != nil {
		t.Fatal(err)
	}
	connected(t, a, b, true)
}

func connected(t *testing.T, a, b *service, want bool) {
	t.Helper()
	until(t, func() error {
		peers, err := a.Peers(context.Background())
		if got := slices.ContainsFunc(peers, func(p api.Peer) bool { return p.ID == b.PeerID }); err == nil && got != want {
			err = fmt.Errorf("connected: %v, want %v", got, want)
		}
		return err
	})
}
