package supervisor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/numax-mesh/numax/node/bus"
	"github.com/numax-mesh/numax/node/module"
	"github.com/numax-mesh/numax/sandbox"
	"github.com/numax-mesh/numax/sandbox/sandboxtest"
)

// A guest that fails is started again, at longer and longer times, and given up; others do not notice.
func TestRestartsAndGivesUp(t *testing.T) {
	w := newWorld(t)
	p := newProgram()
	p.On(sandbox.OnTick, append(p.say("tick", ""), sandboxtest.Trap()...)...)
	w.add(w.pack("bad", "1.0.0", "[restart]\nbackoff = \"10ms\"\nmax-backoff = \"1s\"\ntries = 3\n[[triggers]]\nevery = \"10ms\"\n", p.Bytes()))
	good := newProgram()
	good.On(sandbox.OnTick, good.count("good")...)
	w.add(w.pack("good", "1.0.0", all+"[[triggers]]\nevery = \"10ms\"\n", good.Bytes()))
	w.wait("the bad one to be given up", func() bool { return w.super.status("bad").State == string(GaveUp) })
	s := w.super.status("bad")
	if s.Restarts != 3 || s.Failed != 4 || !strings.Contains(s.Failure, "in on_tick: guest trap: unreachable") {
		t.Errorf("bad: %+v", s)
	}
	before := w.counted("good")
	w.wait("the good one to go on", func() bool { return w.counted("good") > before })
	if err := w.super.Restart("bad"); err != nil {
		t.Error(err)
	}
	w.wait("another try", func() bool { return w.super.status("bad").Failed > 0 })
}

// A module that does not compile, or follows a dataset that is not there, is not tried again.
func TestUnfitIsGivenUp(t *testing.T) {
	w := newWorld(t)
	reacts := newProgram()
	reacts.On(sandbox.OnChange)
	for _, p := range []*module.Package{
		w.pack("empty", "1.0.0", "", newProgram().Bytes()),
		w.pack("astray", "1.0.0", "[[grants.data]]\ndataset = \"other\"\nread = \"all\"\n", reacts.Bytes()),
	} {
		if _, err := w.super.Add(t.Context(), p, p.Path); err == nil {
			t.Errorf("%s was added", p.Manifest.Name)
		}
		if s := w.super.status(p.Manifest.Name); s.State != string(GaveUp) || s.Restarts != 0 {
			t.Errorf("%+v, want it given up at once", s)
		}
	}
}

// While one module is being changed others can be, and a second change of it waits.
func TestChangesOfOneModuleAreSerial(t *testing.T) {
	w := newWorld(t)
	done, err := w.super.alone(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	p := newProgram()
	p.On(sandbox.OnTick)
	w.add(w.pack("b", "1.0.0", "", p.Bytes()))
	late, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	a := w.pack("a", "1.0.0", "", p.Bytes())
	if _, err := w.super.Add(late, a, a.Path); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a change beside another: %v", err)
	}
	done()
	w.add(a)
}

// What is published while a module waits for its restart is told to the instance that comes.
func TestMessagesWaitForRestart(t *testing.T) {
	w := newWorld(t)
	p := newProgram()
	p.On(sandbox.OnTick, sandboxtest.Trap()...)
	p.On(sandbox.OnMessage, p.count("heard")...)
	w.add(w.pack("falls", "1.0.0", "[grants]\nsubscribe = [\"a\"]\n"+all+"[restart]\nbackoff = \"200ms\"\nmax-backoff = \"200ms\"\ntries = 2\n"+
		"[[triggers]]\nmessage = \"a\"\n[[triggers]]\nevery = \"50ms\"\n", p.Bytes()))
	w.wait("its fall", func() bool { return w.super.status("falls").State == string(Waiting) })
	for range 3 {
		if took, err := w.bus.tell(bus.Message{Subject: "a"}); took != 1 || err != nil {
			t.Errorf("%d took a message: %v", took, err)
		}
	}
	w.wait("the messages to be told", func() bool { return w.counted("heard") == 3 })
	w.wait("the end", func() bool { return w.super.status("falls").State == string(GaveUp) })
	if took, _ := w.bus.tell(bus.Message{Subject: "a"}); took != 0 {
		t.Error("a module that was given up took a message")
	}
}

// A guest that fails again and again has the dataset read anew for none of it: its changes wait.
func TestChangesWaitForRestart(t *testing.T) {
	w := newWorld(t)
	p := newProgram()
	p.On(sandbox.OnChange, sandboxtest.Trap()...)
	w.add(w.pack("falls", "1.0.0", all+"[restart]\nbackoff = \"10ms\"\nmax-backoff = \"10ms\"\ntries = 1000000\n", p.Bytes()))
	u := w.super.unit("falls")
	following := func() *feed {
		u.mu.Lock()
		defer u.mu.Unlock()
		for _, f := range u.feeds {
			return f.feed
		}
		return nil
	}
	first := following()
	w.inc("x")
	w.wait("it to fall", func() bool {
		if f := following(); f != first {
			t.Fatalf("followed by %p first, by %p now", first, f)
		}
		return w.super.status("falls").Restarts >= 5
	})
}

// A new version takes over between two events: of a stream of messages each is counted once, also while versions that
// do not start are tried.
func TestReload(t *testing.T) {
	const events, every = 1000, time.Millisecond
	w := newWorld(t)
	version := func(n int, init ...byte) *module.Package {
		p := newProgram()
		p.On(sandbox.OnInit, init...)
		p.On(sandbox.OnMessage, p.count("seen")...)
		return w.pack("counter", fmt.Sprintf("1.0.%d", n), "[limits]\nmailbox = 10000\nops = 100000\n[grants]\nsubscribe = [\"e\"]\n"+all+"[[triggers]]\nmessage = \"e\"\n", p.Bytes())
	}
	w.add(version(0))
	var sent sync.WaitGroup
	refused := 0
	sent.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for range events {
			<-tick.C
			if took, _ := w.bus.tell(bus.Message{Subject: "e"}); took != 1 {
				refused++
			}
		}
	})
	for n := range 6 {
		bad := n%3 == 2
		var init []byte
		if bad {
			init = sandboxtest.Trap()
		}
		_, err := w.super.Add(t.Context(), version(n+1, init...), "")
		if bad != (err != nil) {
			t.Errorf("version %d: %v", n+1, err)
		}
		if bad && !strings.Contains(err.Error(), "goes on") {
			t.Errorf("error does not say that the old version goes on: %v", err)
		}
	}
	sent.Wait()
	w.wait("all to be counted", func() bool { return w.counted("seen") >= events })
	if got := w.counted("seen"); got != events || refused > 0 {
		t.Errorf("%d events counted of %d, %d refused", got, events, refused)
	}
	if s := w.super.status("counter"); s.Version != "1.0.5" || s.Restarts != 0 {
		t.Errorf("runs %+v", s)
	}
}

// A module that runs without end gives way to its next version.
func TestJobIsReplaced(t *testing.T) {
	w := newWorld(t)
	p := newProgram()
	p.On("run", append(p.count("one"), sandboxtest.Forever()...)...)
	w.add(w.pack("job", "1.0.0", all, p.Bytes()))
	w.wait("the first", func() bool { return w.counted("one") == 1 })
	q := newProgram()
	q.On("run", q.count("two")...)
	w.add(w.pack("job", "1.1.0", all, q.Bytes()))
	w.wait("the second", func() bool { return w.counted("two") == 1 && w.super.status("job").State == string(Finished) })
}

// What is added before Run has begun waits for it.
func TestAddBeforeRun(t *testing.T) {
	w := newWorld(t)
	w.halt()
	super := New(w.super.cfg)
	rt, err := sandbox.New(t.Context(), sandbox.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer rt.Close(context.Background())
	super.cfg.Runtime = rt
	p := newProgram()
	p.On(sandbox.OnTick)
	added := make(chan error, 1)
	pkg := w.pack("early", "1.0.0", "", p.Bytes())
	go func() { _, err := super.Add(t.Context(), pkg, ""); added <- err }()
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- super.Run(ctx) }()
	if err := <-added; err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-ran; err != nil {
		t.Error(err)
	}
}
