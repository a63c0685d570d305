package supervisor

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/numax-mesh/numax/node/bus"
	"github.com/numax-mesh/numax/sandbox"
	"github.com/numax-mesh/numax/sandbox/sandboxtest"
)

// A module that was given up and comes back as a new version hears of what the init of that asked for, though the init
// takes its time.
func TestComesBack(t *testing.T) {
	w := newWorld(t)
	w.inc("x")
	bad := newProgram()
	bad.On(sandbox.OnInit, sandboxtest.Trap()...)
	bad.On(sandbox.OnTick)
	if _, err := w.super.Add(t.Context(), w.pack("back", "1.0.0", all+"[restart]\npolicy = \"never\"\n", bad.Bytes()), ""); err == nil {
		t.Fatal("it began")
	}
	w.wait("its end", func() bool { return w.super.status("back").State == string(GaveUp) })
	good := newProgram()
	watch := good.Import("nx", "crdt_watch", types{i32, i32}, types{i32})
	timer := good.Import("nx", "timer_set", types{i32, i64, i64}, types{i32})
	sleep := good.sleeps(100 * time.Millisecond)
	good.On(sandbox.OnInit, slices.Concat(
		sandboxtest.Const32(0), sandboxtest.Const32(0), sandboxtest.CallFunc(watch), sandboxtest.TrapUnless32(0),
		sandboxtest.Const32(1), sandboxtest.Const64(0), sandboxtest.Const64(0), sandboxtest.CallFunc(timer), sandboxtest.TrapUnless32(0),
		sleep)...)
	good.On(sandbox.OnChange, good.say("change", "key")...)
	good.On(sandbox.OnTick, good.say("tick", "timer")...)
	w.add(w.pack("back", "1.0.1", all, good.Bytes()))
	w.wait("the change", func() bool { return slices.Contains(w.said("back"), "change") })
	w.wait("the tick", func() bool { return slices.Contains(w.said("back"), "tick") })
}

// While a new version is compiled, which may take minutes, the one that runs goes on.
func TestCompilesBeside(t *testing.T) {
	for _, kind := range []string{"service", "function"} {
		w := newWorld(t)
		version := func(n string, functions int) error {
			p := newProgram()
			p.On(sandbox.OnMessage)
			for range functions {
				p.Func(nil, nil, bytes.Repeat([]byte{0x41, 0, 0x28, 2, 0, 0x1a}, 500)...)
			}
			_, err := w.super.Add(t.Context(), w.pack("beside", n, "kind = \""+kind+"\"\n[grants]\nsubscribe = [\"m\"]\n[[triggers]]\nmessage = \"m\"\n", p.Bytes()), "")
			return err
		}
		if err := version("1.0.0", 0); err != nil {
			t.Fatal(err)
		}
		added := make(chan error, 1)
		go func() { added <- version("1.0.1", 300) }()
		told := 0
		for done := false; !done; told++ {
			if took, err := w.bus.tell(bus.Message{Subject: "m"}); took != 1 {
				t.Fatal(err)
			}
			w.wait("a call, or the new version", func() bool {
				select {
				case err := <-added:
					if err != nil {
						t.Fatal(err)
					}
					done = true
				default:
				}
				return done || w.super.status("beside").Calls[sandbox.OnMessage] > uint64(told)
			})
		}
		if told < 5 {
			t.Errorf("a %s was told of %d messages meanwhile", kind, told)
		}
	}
}

// A new version may have the code of the one before.
func TestSameCode(t *testing.T) {
	for _, kind := range []string{"service", "function"} {
		w := newWorld(t)
		p := newProgram()
		p.On(sandbox.OnMessage, p.count("heard")...)
		for n, version := range []string{"1.0.0", "1.0.1", "1.0.2"} {
			w.add(w.pack("same", version, "kind = \""+kind+"\"\n[grants]\nsubscribe = [\"m\"]\n"+all+"[[triggers]]\nmessage = \"m\"\n", p.Bytes()))
			if took, err := w.bus.tell(bus.Message{Subject: "m"}); took != 1 {
				t.Fatal(err)
			}
			w.wait("the message to be told", func() bool { return w.counted("heard") == uint64(n+1) })
		}
	}
}
