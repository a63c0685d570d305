package supervisor

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/numax-mesh/numax/node/module"
	"github.com/numax-mesh/numax/sandbox"
	"github.com/numax-mesh/numax/sandbox/sandboxtest"
)

func (w *world) shelve(p *module.Package) {
	w.t.Helper()
	if err := w.super.cfg.Shelf.Put(p, p.Path); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) state(name string, want State) {
	w.t.Helper()
	w.wait(name+" to be "+string(want), func() bool { return w.super.status(name).State == string(want) })
}

// A module whose compilation ended the node is not compiled at the next start, which would end it again: the node
// starts, says so, and runs the others.
func TestKillerOnTheShelf(t *testing.T) {
	w := newWorld(t)
	killer, good := newProgram(), newProgram()
	killer.On(sandbox.OnTick)
	good.On(sandbox.OnTick)
	p := w.pack("killer", "1.0.0", all, killer.Bytes())
	w.add(w.pack("good", "1.0.0", all, good.Bytes()))
	w.halt()
	w.shelve(p)
	notes := w.super.cfg.Shelf.notes("killer", p)
	if err := notes.begin(); err != nil { // and the process is gone
		t.Fatal(err)
	}
	w.begin()
	w.state("good", Running)
	w.state("killer", GaveUp)
	why := w.super.status("killer").Failure
	if !strings.Contains(why, "compiling it ended the node last time: numax-node module restart killer tries again") {
		t.Errorf("the killer: %q", why)
	}
	if err := w.super.Restart("killer"); err != nil {
		t.Fatal(err)
	}
	w.state("killer", Running)
	if _, err := os.Stat(notes.path(compilingPrefix)); !os.IsNotExist(err) {
		t.Errorf("after it was compiled, the note: %v", err)
	}
	// Another module of the name was never compiled.
	w.halt()
	if err := notes.begin(); err != nil {
		t.Fatal(err)
	}
	killer.On(sandbox.OnChange)
	w.shelve(w.pack("killer", "1.0.1", all, killer.Bytes()))
	w.begin()
	w.state("killer", Running)
}

// What does not compile is not compiled again at each start; a user can ask for it.
func TestUnfitIsRemembered(t *testing.T) {
	w := newWorld(t)
	costly := newProgram()
	costly.On(sandbox.OnTick, bytes.Repeat([]byte{0x02, 0x40, 0x0b}, 20_000)...)
	p := w.pack("costly", "1.0.0", all, costly.Bytes())
	if _, err := w.super.Add(t.Context(), p, p.Path); err == nil || !strings.Contains(err.Error(), "too much to compile") || !strings.Contains(err.Error(), "split it") {
		t.Fatalf("added: %v", err)
	}
	w.halt()
	note := w.super.cfg.Shelf.notes("costly", p).path(unfitPrefix)
	if err := os.WriteFile(note, []byte("as was written down"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.begin()
	w.state("costly", GaveUp)
	if why := w.super.status("costly").Failure; !strings.Contains(why, "as was written down (it failed before and was not compiled again: numax-node module restart costly tries again)") {
		t.Errorf("at the next start: %q", why)
	}
	if err := w.super.Restart("costly"); err != nil {
		t.Fatal(err)
	}
	w.wait("another try", func() bool {
		s := w.super.status("costly")
		return s.State == string(GaveUp) && strings.Contains(s.Failure, "too much to compile") && !strings.Contains(s.Failure, "failed before")
	})
}

// A node that stops does not wait for a compilation, and the module is not blamed for the end.
func TestStopLeavesACompilation(t *testing.T) {
	w := newWorld(t)
	p := w.pack("slow", "1.0.0", all, sandboxtest.SlowToCompile())
	w.halt()
	w.shelve(p)
	w.begin()
	note := w.super.cfg.Shelf.notes("slow", p).path(compilingPrefix)
	w.wait("the compilation", func() bool { _, err := os.Stat(note); return err == nil })
	began := time.Now()
	w.halt()
	if took, limit := time.Since(began), 4*time.Second; took > limit {
		t.Errorf("stopped after %v, want at most %v", took, limit)
	}
	if _, err := os.Stat(note); !os.IsNotExist(err) {
		t.Errorf("the note of a compilation that was left: %v", err)
	}
}

// A stop gives each module one time for all that is left to it: what it is doing, and its shutdown. It gives it to all
// modules at once.
func TestStopIsOneTime(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"a", "b"} {
		p := newProgram()
		sleep := p.sleeps(4 * time.Second)
		p.On(sandbox.OnTick, slices.Concat(p.count(name), sleep)...)
		p.On(sandbox.OnShutdown, sandboxtest.Forever()...)
		w.add(w.pack(name, "1.0.0", "[limits]\ndeadline = \"30s\"\n"+all+"[[triggers]]\nevery = \"10ms\"\n", p.Bytes()))
		w.wait("a call", func() bool { return w.counted(name) > 0 })
	}
	began := time.Now()
	w.halt()
	if took, limit := time.Since(began), shutdownTime+2*time.Second; took > limit {
		t.Errorf("stopped after %v, want at most %v", took, limit)
	}
}
