package bench

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/numax-mesh/numax/node"
	"github.com/numax-mesh/numax/node/api"
	"github.com/numax-mesh/numax/node/module"
	"github.com/numax-mesh/numax/sandbox"
	wasm "github.com/numax-mesh/numax/sandbox/sandboxtest"
)

const (
	askKey    = "bench:ask"
	answerKey = "bench:answer"
)

// install has a node run a module with a manifest of more lines.
func install(ctx context.Context, n *node.Node, dir, name, manifest string, code []byte) error {
	dir = filepath.Join(dir, "source-"+name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	text := fmt.Sprintf("name = %q\nversion = \"1.0.0\"\n%s", name, manifest)
	for file, b := range map[string][]byte{module.ManifestName: []byte(text), name + ".wasm": code} {
		if err := os.WriteFile(filepath.Join(dir, file), b, 0o600); err != nil {
			return err
		}
	}
	p, err := module.Open(dir)
	if err != nil {
		return err
	}
	b, err := p.Bundle()
	if err != nil {
		return err
	}
	_, err = n.AddModule(ctx, bytes.NewReader(b), dir)
	return err
}

const (
	unlimited = "[limits]\nops = 100000\nbytes = \"64MiB\"\ncpu = \"100%\"\nmailbox = 65536\n"
	dataGrant = "[[grants.data]]\ndataset = \"" + datasetName + "\"\nprefix = \"bench:\"\nread = \"all\"\nwrite = \"all\"\n"
)

// mirror is a guest that, whenever the counter at askKey changes, writes what it is to the register at answerKey; and
// that answers web requests with a word.
func mirror() []byte {
	m := new(wasm.Module)
	i32 := wasm.I32
	four := []wasm.Type{i32, i32, i32, i32}
	value := m.Import("nx", "crdt_gcounter_value", four, []wasm.Type{i32})
	set := m.Import("nx", "crdt_lww_set", four, []wasm.Type{i32})
	write := m.Import("nx", "http_write", []wasm.Type{i32, i32}, []wasm.Type{i32})
	m.Memory(1, "memory")
	const other, out = 256, 512
	m.On(sandbox.OnChange, slices.Concat(
		wasm.Poke(keyAt, []byte(askKey)), wasm.Poke(other, []byte(answerKey)),
		wasm.Const32(keyAt), wasm.Const32(int32(len(askKey))), wasm.Const32(out), wasm.Const32(8), wasm.CallFunc(value), wasm.TrapUnless32(8),
		wasm.Const32(other), wasm.Const32(int32(len(answerKey))), wasm.Const32(out), wasm.Const32(8), wasm.CallFunc(set), wasm.TrapUnless32(0))...)
	m.On(sandbox.OnRequest, slices.Concat(wasm.Const32(out), wasm.Const32(8), wasm.CallFunc(write), wasm.TrapUnless32(0))...)
	return m.Bytes()
}

// installMirror has a node run the mirror, called for changes at askKey.
func installMirror(ctx context.Context, n *node.Node, dir string) error {
	trigger := "[[triggers]]\nchange = {dataset = \"" + datasetName + "\", prefix = \"" + askKey + "\"}\n"
	return install(ctx, n, dir, "mirror", unlimited+dataGrant+trigger, mirror())
}

// asker measures from an update on one node until the mirror on another has answered it there.
type asker struct {
	from, to *node.Node
	mirror   *watchers
	asked    int
}

func newAsker(ctx context.Context, from, to *node.Node) *asker {
	a := &asker{from: from, to: to, mirror: newWatchers(ctx, 1)}
	a.mirror.wg.Go(func() {
		_ = to.Watch(a.mirror.ctx, datasetName, "lww-register", answerKey, func(v api.Value) error {
			if v.Text == nil || len(*v.Text) != 8 {
				a.mirror.saw(0, 0)
				return nil
			}
			a.mirror.saw(0, int(binary.LittleEndian.Uint64([]byte(*v.Text))))
			return nil
		})
	})
	return a
}

// ask makes an update and waits for the answer.
func (a *asker) ask(ctx context.Context) (time.Duration, error) {
	at := time.Now()
	err := a.from.Apply(ctx, api.Change{Dataset: datasetName, Family: "gcounter", Key: askKey, Verb: "inc"})
	if err != nil {
		return 0, err
	}
	a.asked++
	a.mirror.took = a.mirror.took[:0]
	if err := a.mirror.untilAll(a.asked, at); err != nil {
		return 0, err
	}
	return a.mirror.took[0], nil
}

func (a *asker) stop() { a.mirror.stop() }

// react measures how long after an update a module on another node has reacted to it.
func react(ctx context.Context, dir string, p Params) (Result, error) {
	var r Result
	err := withNodes(ctx, dir, 2, func(nodes []*node.Node) error {
		if err := installMirror(ctx, nodes[1], dir); err != nil {
			return err
		}
		a := newAsker(ctx, nodes[0], nodes[1])
		defer a.stop()
		var took []time.Duration
		began := time.Now()
		for range p.Ops {
			t, err := a.ask(ctx)
			if err != nil {
				return err
			}
			took = append(took, t)
		}
		r.work(p.Ops, time.Since(began))
		r.latency("on_change elsewhere, and its write", took)
		return a.mirror.floor(ctx, dir, &r)
	})
	return r, err
}

// instances measures what idle services weigh, and what a function's fresh instance costs.
func instances(ctx context.Context, dir string, p Params) (Result, error) {
	var r Result
	err := alone(ctx, dir, func(n *node.Node) error {
		code := mirror()
		if err := install(ctx, n, dir, "mirror", dataGrant, code); err != nil {
			return err
		}
		debug.FreeOSMemory() // what was left by the start would hide what they take
		before := ownResidentBytes()
		began := time.Now()
		for i := range p.Objects {
			name := fmt.Sprintf("mirror-%d", i)
			trigger := fmt.Sprintf("[[triggers]]\nchange = {dataset = %q, prefix = \"bench:%d\"}\n", datasetName, i)
			if err := install(ctx, n, dir, name, dataGrant+trigger, code); err != nil {
				return err
			}
		}
		r.work(p.Objects, time.Since(began))
		r.bytes("memory of all instances", max(0, ownResidentBytes()-before))
		return nil
	})
	if err != nil {
		return r, err
	}
	rt, err := sandbox.New(ctx, sandbox.Config{})
	if err != nil {
		return r, err
	}
	defer rt.Close(ctx)
	empty := new(wasm.Module)
	empty.Memory(1, "memory")
	empty.On(sandbox.OnTick)
	m, err := rt.Compile(ctx, "empty", empty.Bytes())
	if err != nil {
		return r, err
	}
	const calls = 5000
	var took []time.Duration
	for range calls {
		at := time.Now()
		if err := m.Answer(ctx, sandbox.Call{CPU: sandbox.NewCPU(1)}, &sandbox.Event{Name: sandbox.OnTick}); err != nil {
			return r, err
		}
		took = append(took, time.Since(at))
	}
	r.latency("call of a function", took)
	i, err := m.Start(ctx, sandbox.Call{CPU: sandbox.NewCPU(1)})
	if err != nil {
		return r, err
	}
	defer i.Close(ctx)
	began := time.Now()
	for range calls {
		if err := i.Handle(ctx, &sandbox.Event{Name: sandbox.OnTick}); err != nil {
			return r, err
		}
	}
	r.of("calls of an instance that is there", PerSecond, calls/time.Since(began).Seconds(), 1/percentile(took, .5).Seconds())
	return r, nil
}

// hostiles are modules that take what they can get: what each does when it is called, and what it is told.
func hostiles() map[string][]byte {
	i32, i64 := wasm.I32, wasm.I64
	forever := func(m *wasm.Module, code []byte) []byte {
		m.Memory(1, "memory")
		loop := slices.Concat([]byte{0x03, 0x40}, code, []byte{0x0c, 0, 0x0b})
		m.On(sandbox.OnTick, loop...)
		return m.Bytes()
	}
	calls := func(name string, params, results []wasm.Type, args ...[]byte) []byte {
		m := new(wasm.Module)
		f := m.Import("nx", name, params, results)
		code := append(slices.Concat(args...), wasm.CallFunc(f)...)
		if len(results) > 0 {
			code = append(code, wasm.Drop()...)
		}
		return forever(m, code)
	}
	key := append(wasm.Const32(0), wasm.Const32(64)...)
	recursion := new(wasm.Module)
	deeper := slices.Concat([]byte{0x20, 0}, wasm.Const32(1), []byte{0x6b}, wasm.CallFunc(0))
	f := recursion.Func([]wasm.Type{i32}, nil, slices.Concat([]byte{0x20, 0, 0x04, 0x40}, deeper, deeper, []byte{0x0b})...)
	recursion.On(sandbox.OnTick, append(wasm.Const32(40), wasm.CallFunc(f)...)...)
	stack := new(wasm.Module)
	stack.On(sandbox.OnTick, wasm.CallFunc(0)...)
	trap := new(wasm.Module)
	for _, on := range []string{sandbox.OnTick, sandbox.OnChange, sandbox.OnRemoteOp, sandbox.OnShutdown} {
		trap.On(on, wasm.Trap()...)
	}
	begin := new(wasm.Module)
	begin.On(sandbox.OnInit, wasm.Forever()...)
	begin.On(sandbox.OnTick)
	return map[string][]byte{
		"loop":       forever(new(wasm.Module), nil),
		"recursion":  recursion.Bytes(),
		"stack":      stack.Bytes(),
		"memory":     forever(new(wasm.Module), append(wasm.Grow(1), wasm.Drop()...)),
		"logs":       calls("host_log", []wasm.Type{i32, i32}, nil, key),
		"calls":      calls("db_exists", []wasm.Type{i32, i32}, []wasm.Type{i32}, key),
		"ops":        calls("crdt_gcounter_inc", []wasm.Type{i32, i32, i64}, []wasm.Type{i32}, wasm.Poke(0, []byte("bench:x")), wasm.Const32(0), wasm.Const32(7), wasm.Const64(1)),
		"storm":      calls("timer_set", []wasm.Type{i32, i64, i64}, []wasm.Type{i32}, wasm.Const32(1), wasm.Const64(0), wasm.Const64(10)),
		"traps":      trap.Bytes(),
		"never-init": begin.Bytes(),
	}
}

// hostile measures what others feel of modules that take what they can get: the calls of a good module, and the time
// until it has reacted to another node, on a quiet node first and then beside all hostiles.
func hostile(ctx context.Context, dir string, p Params) (Result, error) {
	var r Result
	err := withNodes(ctx, dir, 2, func(nodes []*node.Node) error {
		if err := installMirror(ctx, nodes[1], dir); err != nil {
			return err
		}
		a := newAsker(ctx, nodes[0], nodes[1])
		defer a.stop()
		began := time.Now()
		quiet, err := a.probe(ctx, &r, "quiet: ", p.Duration/2)
		if err != nil {
			return err
		}
		before := ownResidentBytes()
		var installs sync.WaitGroup
		for name, code := range hostiles() {
			installs.Go(func() {
				// Some of them do not even start: that is what they do.
				_ = install(ctx, nodes[1], dir, name, "[restart]\nbackoff = \"100ms\"\nmax-backoff = \"1s\"\ntries = 1000000\n"+
					"[limits]\ndeadline = \"200ms\"\n"+dataGrant+"[[triggers]]\nevery = \"50ms\"\n", code)
			})
		}
		defer installs.Wait()
		beside, err := a.probe(ctx, &r, "beside hostiles: ", p.Duration)
		if err != nil {
			return err
		}
		r.work(a.asked, time.Since(began))
		r.of("p99 of a reaction on a quiet node", Nanoseconds, float64(quiet), float64(beside))
		r.bytes("memory more than before them", max(0, ownResidentBytes()-before))
		all, err := nodes[1].Modules()
		if err != nil {
			return err
		}
		failed := 0
		for _, m := range all {
			failed += int(m.Failed) + m.Restarts
		}
		r.count("hostile calls ended", failed)
		return nil
	})
	return r, err
}

// askEvery is slow enough for the asks themselves to be no load: above some hundred entries a second, windows of all
// commits widen.
const askEvery = 25 * time.Millisecond

// probe asks, and calls the module over the web, for a time. It returns the p99 of the reactions.
func (a *asker) probe(ctx context.Context, r *Result, when string, d time.Duration) (time.Duration, error) {
	var reacted, called []time.Duration
	web := a.to.Web()
	every := time.NewTicker(askEvery)
	defer every.Stop()
	for end := time.Now().Add(d); time.Now().Before(end); {
		select {
		case <-every.C:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
		t, err := a.ask(ctx)
		if err != nil {
			return 0, err
		}
		reacted = append(reacted, t)
		answer := httptest.NewRecorder()
		at := time.Now()
		web.ServeHTTP(answer, httptest.NewRequestWithContext(ctx, http.MethodGet, "/m/mirror/", nil))
		called = append(called, time.Since(at))
		if answer.Code != http.StatusOK {
			return 0, fmt.Errorf("the good module answered %d", answer.Code)
		}
	}
	r.latency(when+"reaction to another node", reacted)
	r.latency(when+"call of a module", called)
	return percentile(reacted, .99), nil
}
