package supervisor

import (
	"bufio"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/numax-mesh/numax/node/bus"
	"github.com/numax-mesh/numax/sandbox"
)

// A version that is granted less than the one before hears of nothing by what that one had asked for: not of what waits
// in the mailbox, nor of changes, timers, peers, and pages that follow a dataset. A function was told of messages that it
// may not subscribe to any more, and both of peers.
func TestGrantsThatShrink(t *testing.T) {
	for _, kind := range []string{"service", "function"} {
		t.Run(kind, func(t *testing.T) {
			w := newWorld(t)
			data := func(prefix string) string {
				return "[[grants.data]]\ndataset = \"default\"\nprefix = \"" + prefix + "\"\nread = \"all\"\n"
			}
			version := func(n string, wasm []byte, grants string) {
				w.add(w.pack("m", n, "kind = \""+kind+"\"\n[limits]\ninstances = 1\n[grants]\n"+grants, wasm))
			}
			old := newProgram()
			old.On(sandbox.OnMessage, slices.Concat(old.say("begun", ""), old.sleeps(time.Second))...)
			for _, event := range []string{sandbox.OnChange, sandbox.OnTick, sandbox.OnPeerConnected} {
				old.On(event)
			}
			version("1.0.0", old.Bytes(), "subscribe = [\"s\"]\npeers = true\n"+data("a/")+
				"[[triggers]]\nmessage = \"s\"\n[[triggers]]\nevery = \"1h\"\n[[triggers]]\nevery = \"10ms\"\n[[triggers]]\nchange = {dataset = \"default\", prefix = \"a/\"}\n")
			server := w.serve()
			r, err := http.NewRequestWithContext(t.Context(), "GET", server.URL+"/m/m/.live?prefix=a/", nil)
			if err != nil {
				t.Fatal(err)
			}
			page, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer page.Body.Close()
			lines := bufio.NewScanner(page.Body)
			next := func(want string) {
				t.Helper()
				for lines.Scan() {
					if text := lines.Text(); strings.Contains(text, want) {
						return
					} else if strings.Contains(text, "key") {
						t.Errorf("the page is told %s", text)
						return
					}
				}
				t.Errorf("the page is not told of %s", want)
			}
			next("ready")

			for range 2 { // one is told, and one waits
				if took, err := w.bus.tell(bus.Message{Subject: "s"}); took != 1 {
					t.Fatal(err)
				}
				w.wait("the first message", func() bool { return slices.Contains(w.said("m"), "begun") })
			}
			w.super.PeerChanged(true, "peer", "addr")
			w.inc("a/1")
			next("a/1")

			p := newProgram()
			p.On(sandbox.OnMessage, p.say("message", "subject")...)
			p.On(sandbox.OnPeerConnected, p.say("peer", "peer")...)
			p.On(sandbox.OnChange, p.say("change", "key")...)
			p.On(sandbox.OnTick, p.say("tick", "timer")...)
			version("1.0.1", p.Bytes(), data("a/b/")+
				"[[triggers]]\nevery = \"20ms\"\n[[triggers]]\nchange = {dataset = \"default\", prefix = \"a/b/\"}\n")
			if n := len(slices.DeleteFunc(w.said("m"), func(l string) bool { return l != "begun" })); n != 1 {
				t.Fatalf("the old version was told of %d messages", n)
			}
			if took, _ := w.bus.tell(bus.Message{Subject: "s"}); took != 0 {
				t.Error("it takes messages still")
			}
			w.super.PeerChanged(true, "peer", "addr")
			w.inc("a/2")
			w.inc("a/b/1")
			next("a/b/1")
			ticks := func() (n int) {
				for _, l := range w.said("m") {
					if l == "tick" {
						n++
					}
				}
				return n
			}
			w.wait("the change it may read", func() bool { return slices.Contains(w.said("m"), "a/b/1") })
			told := ticks()
			w.wait("ticks, which stand behind all that waited", func() bool { return ticks() >= told+3 })
			for _, l := range w.said("m") {
				switch l {
				case "begun", "change", "a/b/1", "tick", "2147483648":
				default:
					if !strings.HasPrefix(l, "[node]") {
						t.Errorf("it is told %q", l)
					}
				}
			}
		})
	}
}
