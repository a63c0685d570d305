package supervisor

import (
	"net/http"
	"slices"
	"testing"

	"github.com/numax-mesh/numax/node/bus"
	"github.com/numax-mesh/numax/sandbox"
	"github.com/numax-mesh/numax/sandbox/sandboxtest"
)

// A function has a fresh instance for each event, and more of them at once.
func TestFunction(t *testing.T) {
	w := newWorld(t)
	p := newProgram()
	once := slices.Concat([]byte{0x41, 0xe4, 0x00, 0x28, 2, 0, 0x04, 0x40, 0x00, 0x0b}, sandboxtest.Const32(100), sandboxtest.Const32(1), []byte{0x36, 2, 0})
	p.On(sandbox.OnMessage, append(once, p.count("calls")...)...) // traps if it was called before
	w.add(w.pack("f", "1.0.0", "kind = \"function\"\n[grants]\nsubscribe = [\"e\"]\n"+all+"[[triggers]]\nmessage = \"e\"\n", p.Bytes()))
	const events = 50
	for range events {
		if took, err := w.bus.tell(bus.Message{Subject: "e"}); took != 1 {
			t.Fatal(err)
		}
	}
	w.wait("all calls", func() bool { return w.super.status("f").Calls["on_message"] == events })
	if s := w.super.status("f"); s.Failed > 0 || w.counted("calls") != events {
		t.Errorf("%d counted; %+v", w.counted("calls"), s)
	}
}

// An instance of a function hears of its one event and of nothing more.
func TestFunctionAsksForNothing(t *testing.T) {
	w := newWorld(t)
	p := newProgram()
	timer := p.Import("nx", "timer_set", types{i32, i64, i64}, types{i32})
	watch := p.Import("nx", "crdt_watch", types{i32, i32}, types{i32})
	p.On(sandbox.OnMessage, slices.Concat(
		sandboxtest.Const32(1), sandboxtest.Const64(0), sandboxtest.Const64(10), sandboxtest.CallFunc(timer), sandboxtest.TrapUnless32(-6),
		sandboxtest.Const32(0), sandboxtest.Const32(0), sandboxtest.CallFunc(watch), sandboxtest.TrapUnless32(-6))...)
	w.add(w.pack("f", "1.0.0", "kind = \"function\"\n[grants]\nsubscribe = [\"e\"]\n"+all+"[[triggers]]\nmessage = \"e\"\n", p.Bytes()))
	if took, err := w.bus.tell(bus.Message{Subject: "e"}); took != 1 {
		t.Fatal(err)
	}
	w.wait("the call", func() bool { return w.super.status("f").Calls["on_message"] == 1 })
	if s := w.super.status("f"); s.Failed > 0 {
		t.Errorf("%+v", s)
	}
}

// A change that a function fails on is told again.
func TestFunctionRetries(t *testing.T) {
	w := newWorld(t)
	p := newProgram()
	value := p.Import("nx", "crdt_gcounter_value", types{i32, i32, i32, i32}, types{i32})
	place, args := at(64, "out")
	p.On(sandbox.OnChange, slices.Concat(p.count("out"), place, // fails until it was called three times
		args, sandboxtest.Const32(128), sandboxtest.Const32(8), sandboxtest.CallFunc(value), sandboxtest.Drop(),
		sandboxtest.Const32(128), []byte{0x28, 2, 0}, sandboxtest.TrapUnless32(3))...)
	w.inc("in/1")
	w.add(w.pack("f", "1.0.0", "kind = \"function\"\n[restart]\nbackoff = \"10ms\"\n"+all+"[[triggers]]\nchange = {dataset = \"default\", prefix = \"in/\"}\n", p.Bytes()))
	w.wait("three calls", func() bool { return w.super.status("f").Calls["on_change"] == 3 })
	if s := w.super.status("f"); s.Failed != 2 {
		t.Errorf("%+v", s)
	}
}

// A function is called for whatever its manifest names, also by one entry for all of it.
func TestFunctionTriggers(t *testing.T) {
	w := newWorld(t)
	p := newProgram()
	p.On("run", append(p.say("for", "event"), p.count("out")...)...)
	w.addSite("f", "kind = \"function\"\n[grants]\nsubscribe = [\"e\"]\n"+all+
		"[[triggers]]\nmessage = \"e\"\n[[triggers]]\nhttp = \"/f\"\n[[triggers]]\nevery = \"20ms\"\n[[triggers]]\nchange = {dataset = \"default\", prefix = \"in/\"}\n",
		p.Bytes(), nil)
	s := w.serve()
	if status, _, _ := ask(t, "GET", s.URL+"/f/x", ""); status != http.StatusOK {
		t.Errorf("a web request: %d", status)
	}
	if err := w.bus.Publish(t.Context(), "e", nil); err != nil {
		t.Fatal(err)
	}
	w.inc("in/1")
	w.wait("each of four events", func() bool {
		said := w.said("f")
		return !slices.ContainsFunc([]string{"on_request", "on_message", "on_tick", "on_change"}, func(e string) bool {
			return !slices.Contains(said, e)
		})
	})
	if s := w.super.status("f"); s.Failed > 0 {
		t.Errorf("%+v", s)
	}
}
