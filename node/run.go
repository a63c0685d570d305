package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/numax-mesh/numax/node/guest"
	"github.com/numax-mesh/numax/node/module"
	"github.com/numax-mesh/numax/sandbox"
)

// MaxModule is the largest module file.
const MaxModule = 256 << 20

// handModule is the db_* key space of every module that is run by hand.
const handModule = "default"

// Guest says how to run a module once.
type Guest struct {
	File     string
	Args     []string // the host's command line, as WASI gives it to the guest
	Deadline time.Duration
	Memory   uint64 // bytes; 0 = the sandbox's default
	Stdin    io.Reader
	Stdout   io.Writer
	Stderr   io.Writer
	Log      func(line string)
	// Observe, if not nil, is told how long each host call took.
	Observe func(call string, took time.Duration)
}

// ReadModule reads a module file.
func ReadModule(file string) ([]byte, error) {
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("module %s: no such file", file)
	case err != nil:
		return nil, fmt.Errorf("module %s: %w", file, err)
	case info.IsDir():
		return nil, fmt.Errorf("module %s: it is a directory: give the .wasm file, or keep it running with numax-node module add", file)
	case strings.HasSuffix(file, module.BundleExt):
		return nil, fmt.Errorf("module %s: it is a bundle: give the .wasm file, or keep it running with numax-node module add", file)
	case info.Size() > MaxModule:
		return nil, fmt.Errorf("module %s: %d bytes, at most %d", file, info.Size(), MaxModule)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("module %s: %w", file, err)
	}
	return b, nil
}

// RunModule compiles a module and calls it once. Run must be running. What the
// guest wrote is on disk when RunModule returns, also when the guest failed.
func (n *Node) RunModule(ctx context.Context, wasm []byte, g Guest) error {
	m, err := n.sandbox.Compile(ctx, g.File, wasm)
	if err != nil {
		return err
	}
	defer m.Close(context.WithoutCancel(ctx))
	err = m.Run(ctx, sandbox.Call{
		Host: n.guestHost(g), Args: g.Args, Memory: g.Memory, Deadline: g.Deadline,
		Stdin: g.Stdin, Stdout: g.Stdout, Stderr: g.Stderr,
	})
	outcome := "ok"
	if err != nil {
		outcome = "failed"
	}
	n.metrics.guestRuns.WithLabelValues(label(g.File), outcome).Inc()
	flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if serr := n.state.replica.Sync(flush); serr != nil {
		err = errors.Join(err, fmt.Errorf("not everything the guest wrote is on disk: %w", serr))
	}
	return err
}

// guestHost is for a module run by hand: the plain ABI.
func (n *Node) guestHost(g Guest) sandbox.Host {
	_, h := guest.Host(n.world(), handModule, nil, guest.Use{})
	h.Log = g.Log
	h.Emit = func(name string, payload []byte) {
		n.log.Info("event", "module", g.File, "name", name, "payload", string(payload))
	}
	h.Count, h.Observe = n.metrics.counter(g.File), g.Observe
	return h
}
