package supervisor

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/crdt/replica"
	"github.com/numax-mesh/numax/datastore"
	"github.com/numax-mesh/numax/node/api"
	"github.com/numax-mesh/numax/node/bus"
	"github.com/numax-mesh/numax/node/guest"
	"github.com/numax-mesh/numax/node/module"
	"github.com/numax-mesh/numax/sandbox"
	"github.com/numax-mesh/numax/sandbox/sandboxtest"
)

type types = []sandboxtest.Type

const i32, i64 = sandboxtest.I32, sandboxtest.I64

// program writes guests: its log, event_get and gcounter_inc are imported.
type program struct {
	sandboxtest.Module
	log, get, inc uint32
}

func newProgram() *program {
	p := new(program)
	p.log = p.Import("nx", "host_log", types{i32, i32}, nil)
	p.get = p.Import("nx", "event_get", types{i32, i32, i32, i32}, types{i32})
	p.inc = p.Import("nx", "crdt_gcounter_inc", types{i32, i32, i64}, types{i32})
	p.Memory(1, "memory")
	return p
}

// at places text in memory and leaves pointer and length.
func at(ptr int32, text string) (place, args []byte) {
	return sandboxtest.Poke(uint32(ptr), []byte(text)), slices.Concat(sandboxtest.Const32(ptr), sandboxtest.Const32(int32(len(text))))
}

// say logs words, then a field of the event.
func (p *program) say(words, field string) []byte {
	code := sandboxtest.SayCode(p.log, words)
	if field == "" {
		return code
	}
	place, args := at(512, field)
	return slices.Concat(code, place, sandboxtest.Const32(1024), args, sandboxtest.Const32(1024), sandboxtest.Const32(256),
		sandboxtest.CallFunc(p.get), sandboxtest.CallFunc(p.log))
}

// count increments a counter.
func (p *program) count(key string) []byte {
	place, args := at(768, key)
	return slices.Concat(place, args, sandboxtest.Const64(1), sandboxtest.CallFunc(p.inc), sandboxtest.Drop())
}

// world is a node's data, a shelf, and a supervisor that may be started more than once.
type world struct {
	t     *testing.T
	dir   string
	data  *replica.Dataset
	r     *replica.Replica
	bus   *fakeBus
	super *Supervisor
	halt  func()
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w, store := stillWorld(t)
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- w.r.Run(ctx) }()
	t.Cleanup(func() {
		w.halt()
		cancel()
		if err := <-ran; err != nil {
			t.Error(err)
		}
		_ = store.Close()
	})
	return w
}

// stillWorld is a world in which nothing that is written comes to disk. Who makes it ends it and closes the store.
func stillWorld(t *testing.T) (*world, *datastore.Store) {
	t.Helper()
	store, err := datastore.Open("", datastore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := replica.Open(replica.Options{Store: store, Key: ed25519.NewKeyFromSeed(make([]byte, 32))})
	if err != nil {
		t.Fatal(err)
	}
	d, err := r.Dataset("default")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, dir: t.TempDir(), data: d, r: r, bus: new(fakeBus)}
	w.begin()
	return w, store
}

func (w *world) begin() {
	w.t.Helper()
	rt, err := sandbox.New(context.Background(), sandbox.Config{})
	if err != nil {
		w.t.Fatal(err)
	}
	w.super = New(Config{
		Shelf: Shelf{filepath.Join(w.dir, "modules")}, World: guest.World{Replica: w.r, Dataset: "default", Net: noNet{}},
		Runtime: rt, Bus: w.bus, Log: slog.New(slog.DiscardHandler),
		Value: func(_, family, key string) (api.Value, error) {
			return api.Value{Family: family, Key: key, Count: fmt.Sprint(w.counted(key))}, nil
		},
		Count: func(string) func(string, uint64, time.Duration) { return nil },
	})
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- w.super.Run(ctx) }()
	<-w.super.ready
	w.halt = sync.OnceFunc(func() {
		cancel()
		if err := <-ran; err != nil {
			w.t.Error(err)
		}
		_ = rt.Close(context.Background())
	})
}

type noNet struct{}

func (noNet) ID() string                 { return "node-1" }
func (noNet) GuestPeers() []sandbox.Peer { return nil }

// fakeBus delivers on one node, at once.
type fakeBus struct {
	mu    sync.Mutex
	users []*busUser
}

type busUser struct {
	wants   func(string) bool
	deliver func(bus.Message) error
}

func (b *fakeBus) Attach(wants func(string) bool, deliver func(bus.Message) error) func() {
	u := &busUser{wants, deliver}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.users = append(b.users, u)
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.users = slices.DeleteFunc(b.users, func(x *busUser) bool { return x == u })
	}
}

func (b *fakeBus) tell(m bus.Message) (took int, err error) {
	b.mu.Lock()
	users := slices.Clone(b.users)
	b.mu.Unlock()
	for _, u := range users {
		if u.wants(m.Subject) {
			if err = u.deliver(m); err == nil {
				took++
			}
		}
	}
	return took, err
}

func (b *fakeBus) Publish(_ context.Context, subject string, payload []byte) error {
	_, _ = b.tell(bus.Message{Subject: subject, From: "node-1", Payload: payload})
	return nil
}

func (b *fakeBus) Send(ctx context.Context, _, _, subject string, payload []byte) error {
	return b.Publish(ctx, subject, payload)
}

func (b *fakeBus) Request(ctx context.Context, subject string, payload []byte) ([]byte, error) {
	answer := make(chan []byte, 1)
	_, _ = b.tell(bus.Message{Subject: subject, Payload: payload, Reply: func(p []byte) error { answer <- p; return nil }})
	select {
	case p := <-answer:
		return p, nil
	case <-ctx.Done():
		return nil, sandbox.ErrNotFound
	}
}

// pack makes a package of a manifest, without name and version, and a binary.
func (w *world) pack(name, version, manifest string, wasm []byte) *module.Package {
	w.t.Helper()
	dir := filepath.Join(w.dir, "source", name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		w.t.Fatal(err)
	}
	text := fmt.Sprintf("name = %q\nversion = %q\nwasm = \"m.wasm\"\n%s", name, version, manifest)
	for file, b := range map[string][]byte{module.ManifestName: []byte(text), "m.wasm": wasm} {
		if err := os.WriteFile(filepath.Join(dir, file), b, 0o600); err != nil {
			w.t.Fatal(err)
		}
	}
	p, err := module.Open(dir)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

func (w *world) add(p *module.Package) {
	w.t.Helper()
	if _, err := w.super.Add(w.t.Context(), p, p.Path); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) inc(key string) {
	w.t.Helper()
	_, err := w.data.Update(w.t.Context(), crdt.GCounter, key, func(o crdt.Object, now replica.Now) (crdt.Op, bool) {
		return o.(*crdt.GCounterState).Inc(now.Author, 1), true
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) counted(key string) (n uint64) {
	w.t.Helper()
	if err := w.data.View(crdt.GCounter, key, func(o crdt.Object) { n = o.(*crdt.GCounterState).Value() }); err != nil {
		w.t.Fatal(err)
	}
	return n
}

// said is what the module logged, without times.
func (w *world) said(name string) (lines []string) {
	b, err := os.ReadFile(filepath.Join(w.dir, "modules", name, "log"))
	if err != nil {
		w.t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		_, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		lines = append(lines, strings.TrimPrefix(text, "[guest] "))
	}
	return lines
}

func (w *world) wait(what string, ok func() bool) {
	w.t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); {
		if time.Now().After(end) {
			all, _ := w.super.List()
			w.t.Fatalf("waited for %s; modules %+v", what, all)
		}
		time.Sleep(time.Millisecond) // a poll with a deadline
	}
}

const all = "[[grants.data]]\ndataset = \"default\"\nread = \"all\"\nwrite = \"all\"\n"

// A service hears of changes, ticks and messages, and after a restart of what it has not heard, and only of that.
func TestServiceHears(t *testing.T) {
	w := newWorld(t)
	w.inc("before")
	p := newProgram()
	p.On(sandbox.OnInit, p.say("init", "")...)
	p.On(sandbox.OnChange, p.say("change", "key")...)
	p.On(sandbox.OnTick, p.say("tick", "timer")...)
	p.On(sandbox.OnMessage, p.say("message", "subject")...)
	p.On(sandbox.OnShutdown, p.say("shutdown", "")...)
	w.add(w.pack("ears", "1.0.0", "[grants]\nsubscribe = [\"a.*\"]\n"+all+
		"[[triggers]]\nmessage = \"a.*\"\n[[triggers]]\nevery = \"20ms\"\n", p.Bytes()))
	has := func(lines ...string) func() bool {
		return func() bool {
			said := w.said("ears")
			return !slices.ContainsFunc(lines, func(l string) bool { return !slices.Contains(said, l) })
		}
	}
	w.wait("the object from before", has("init", "change", "before"))
	w.inc("now")
	if took, err := w.bus.tell(bus.Message{Subject: "a.b"}); took != 1 || err != nil {
		t.Errorf("%d took a message: %v", took, err)
	}
	if took, _ := w.bus.tell(bus.Message{Subject: "b"}); took != 0 {
		t.Error("a message that nobody subscribed to was taken")
	}
	w.wait("a change, a tick and a message", has("now", "tick", "message", "a.b"))
	w.halt()
	if said := w.said("ears"); said[len(said)-1] != "shutdown" {
		t.Errorf("last said %q", said[len(said)-1])
	}
	w.inc("meanwhile")
	changes := func(key string) (n int) {
		for _, l := range w.said("ears") {
			if l == key {
				n++
			}
		}
		return n
	}
	w.begin()
	w.wait("what changed while nothing ran", has("meanwhile"))
	w.inc("after")
	w.wait("a change after the restart", has("after"))
	for key, want := range map[string]int{"before": 1, "now": 1, "meanwhile": 1, "after": 1} {
		if got := changes(key); got != want {
			t.Errorf("told of %q %d times, want %d; said %q", key, got, want, w.said("ears"))
		}
	}
}

// A module is not told of this node's own changes as if they were of another: not when it follows a place for the
// first time either.
func TestFirstLookKnowsWhoseChanges(t *testing.T) {
	w := newWorld(t)
	w.inc("mine")
	p := newProgram()
	p.On(sandbox.OnRemoteOp)
	p.On(sandbox.OnChange)
	w.add(w.pack("m", "1.0.0", all, p.Bytes()))
	w.wait("the change to be told", func() bool { return w.super.status("m").Calls[sandbox.OnChange] == 1 })
	if got := w.super.status("m").Calls[sandbox.OnRemoteOp]; got != 0 {
		t.Errorf("%d calls of on_remote_op, which comes first, want none", got)
	}
}

// A mailbox is bounded in bytes too.
func TestMailboxBytes(t *testing.T) {
	m := newMailbox(1000)
	const size = 1 << 20
	for range maxWaiting / size {
		if err := m.push(&item{event: &sandbox.Event{Name: sandbox.OnMessage}, size: size}); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.push(&item{event: &sandbox.Event{Name: sandbox.OnMessage}, size: 1}); !errors.Is(err, ErrFull) {
		t.Errorf("one byte more: %v", err)
	}
	m.next()
	if err := m.push(&item{event: &sandbox.Event{Name: sandbox.OnMessage}, size: size}); err != nil {
		t.Errorf("after one was handled: %v", err)
	}
}

// Nothing that was not granted works, and each try is counted.
func TestDenied(t *testing.T) {
	w := newWorld(t)
	p := new(sandboxtest.Module)
	inc := p.Import("nx", "crdt_gcounter_inc", types{i32, i32, i64}, types{i32})
	pub := p.Import("nx", "msg_publish", types{i32, i32, i32, i32}, types{i32})
	sub := p.Import("nx", "msg_subscribe", types{i32, i32}, types{i32})
	now := p.Import("nx", "time_now", nil, types{i64})
	random := p.Import("nx", "random_bytes", types{i32, i32}, types{i32})
	peers := p.Import("nx", "net_peers", types{i32, i32}, types{i32})
	use := p.Import("nx", "dataset_use", types{i32, i32}, types{i32})
	env := p.Import("nx", "env_get", types{i32, i32, i32, i32}, types{i32})
	watch := p.Import("nx", "crdt_watch", types{i32, i32}, types{i32})
	fetch := p.Import("nx", "fetch", types{i32, i32, i32, i32, i32, i32, i32, i32}, types{i32})
	p.Memory(1, "memory")
	place, key := at(64, "other/k")
	_, name := at(64, "other")
	nx, nxArgs := at(80, "NX_X")
	empty := slices.Concat(sandboxtest.Const32(0), sandboxtest.Const32(0))
	must := func(code []byte) []byte { return slices.Concat(code, sandboxtest.TrapUnless32(-6)) }
	p.On(sandbox.OnInit, slices.Concat(place, nx,
		must(slices.Concat(key, sandboxtest.Const64(1), sandboxtest.CallFunc(inc))),
		must(slices.Concat(name, empty, sandboxtest.CallFunc(pub))),
		must(slices.Concat(name, sandboxtest.CallFunc(sub))),
		must(slices.Concat(sandboxtest.CallFunc(now), []byte{0xa7})),
		must(slices.Concat(key, sandboxtest.CallFunc(random))),
		must(slices.Concat(key, sandboxtest.CallFunc(peers))),
		must(slices.Concat(name, sandboxtest.CallFunc(use))),
		must(slices.Concat(nxArgs, sandboxtest.Const32(200), sandboxtest.Const32(100), sandboxtest.CallFunc(env))),
		must(slices.Concat(name, sandboxtest.CallFunc(watch))),
		must(slices.Concat(name, name, empty, empty, sandboxtest.CallFunc(fetch))),
	)...)
	p.On(sandbox.OnTick)
	w.add(w.pack("nosy", "1.0.0", "[[grants.data]]\ndataset = \"default\"\nprefix = \"mine/\"\nread = \"all\"\nwrite = \"all\"\n", p.Bytes()))
	s := w.super.status("nosy")
	for _, call := range []string{
		"crdt_gcounter_inc", "msg_publish", "msg_subscribe", "time_now", "random_bytes", "net_peers",
		"dataset_use", "env_get", "crdt_watch", "fetch",
	} {
		if s.Denied[call] != 1 {
			t.Errorf("%s was denied %d times, want once", call, s.Denied[call])
		}
	}
	if w.counted("other/k") != 0 {
		t.Error("a key outside the grant was written")
	}
	const want = "[node] crdt_gcounter_inc is denied: no grants.data in module.toml writes gcounter under that key"
	if got := w.said(s.Name); !slices.Contains(got, want) {
		t.Errorf("the log says\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
}

// However often a timer is set, one tick of it waits, and a timer that is gone does not tick.
func TestOneTickWaits(t *testing.T) {
	w := newWorld(t)
	p := newProgram()
	set := p.Import("nx", "timer_set", types{i32, i64, i64}, types{i32})
	cancel := p.Import("nx", "timer_cancel", types{i32}, types{i32})
	now := slices.Concat(sandboxtest.Const32(1), sandboxtest.Const64(0), sandboxtest.Const64(0), sandboxtest.CallFunc(set), sandboxtest.Drop())
	p.On(sandbox.OnInit, slices.Concat(slices.Repeat(now, 2000), sandboxtest.Const32(2), sandboxtest.Const64(0), sandboxtest.Const64(0),
		sandboxtest.CallFunc(set), sandboxtest.Drop(), sandboxtest.Const32(2), sandboxtest.CallFunc(cancel), sandboxtest.Drop())...)
	p.On(sandbox.OnTick, p.say("tick", "timer")...)
	p.On(sandbox.OnChange, p.say("change", "")...)
	w.inc("k")
	w.add(w.pack("t", "1.0.0", all, p.Bytes()))
	w.wait("a change and a tick", func() bool { s := w.super.status("t"); return s.Calls["on_change"] > 0 && s.Calls["on_tick"] > 0 })
	if s := w.super.status("t"); s.Calls["on_tick"] > 2 { // one may fire while another is told
		t.Errorf("%d ticks of one timer", s.Calls["on_tick"])
	}
	if slices.Contains(w.said("t"), "2") {
		t.Error("a timer that was cancelled ticked")
	}
}

// A version with other grants is told of all that it may read now.
func TestGrantsThatGrow(t *testing.T) {
	w := newWorld(t)
	w.inc("a/1")
	w.inc("b/1")
	p := newProgram()
	p.On(sandbox.OnChange, p.say("change", "key")...)
	grant := func(prefix string) string {
		return "[[grants.data]]\ndataset = \"default\"\nprefix = \"" + prefix + "\"\nread = \"all\"\n"
	}
	w.add(w.pack("m", "1.0.0", grant("a/"), p.Bytes()))
	has := func(key string) func() bool { return func() bool { return slices.Contains(w.said("m"), key) } }
	w.wait("the first place", has("a/1"))
	w.add(w.pack("m", "1.1.0", grant("a/")+grant("b/"), p.Bytes()))
	w.wait("the second place", has("b/1"))
	w.inc("b/2")
	w.wait("a change there", has("b/2"))
}
