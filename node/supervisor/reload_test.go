package supervisor

import (
	"slices"
	"testing"
	"time"

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
