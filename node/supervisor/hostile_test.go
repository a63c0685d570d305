package supervisor

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/numax-mesh/numax/crdt/replica"
	"github.com/numax-mesh/numax/node/bus"
	"github.com/numax-mesh/numax/sandbox"
	"github.com/numax-mesh/numax/sandbox/sandboxtest"
)

// sleeps is code that polls one clock.
func (p *program) sleeps(d time.Duration) []byte {
	poll := p.Import("wasi_snapshot_preview1", "poll_oneoff", types{i32, i32, i32, i32}, types{i32})
	return slices.Concat(sandboxtest.Const32(4096+24), sandboxtest.Const64(int64(d)), []byte{0x37, 3, 0}, sandboxtest.Const32(4096),
		sandboxtest.Const32(8192), sandboxtest.Const32(1), sandboxtest.Const32(9000), sandboxtest.CallFunc(poll), sandboxtest.TrapUnless32(0))
}

// A guest that follows its data anew while it is told of it has one batch of changes in its mailbox, not one more each
// time.
func TestWatchesAnew(t *testing.T) {
	w := newWorld(t)
	for _, key := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s", "t"} {
		w.inc(key)
	}
	p := newProgram()
	watch := p.Import("nx", "crdt_watch", types{i32, i32}, types{i32})
	unwatch := p.Import("nx", "crdt_unwatch", types{i32, i32}, types{i32})
	sleep := p.sleeps(2 * time.Millisecond)
	prefix := append(sandboxtest.Const32(0), sandboxtest.Const32(0)...)
	name, args := at(512, "key")
	p.On(sandbox.OnChange, slices.Concat(name, args, sandboxtest.Const32(1024), sandboxtest.Const32(256), sandboxtest.CallFunc(p.get), sandboxtest.Drop(),
		sandboxtest.Const32(1024), []byte{0x2d, 0, 0}, sandboxtest.Const32('a'), []byte{0x46, 0x04, 0x40}, // the first key
		prefix, sandboxtest.CallFunc(unwatch), sandboxtest.TrapUnless32(0), prefix, sandboxtest.CallFunc(watch), sandboxtest.TrapUnless32(0),
		[]byte{0x0b}, sleep)...)
	w.add(w.pack("anew", "1.0.0", all, p.Bytes()))
	w.wait("some calls", func() bool { return w.super.status("anew").Calls[sandbox.OnChange] >= 300 })
	if s := w.super.status("anew"); s.Waiting > 2 || s.Failed > 0 {
		t.Errorf("%d items wait: %+v", s.Waiting, s)
	}
}

// A guest that follows very many objects in some places at once has only some of them listed for it at a time, and is
// told of all.
func TestWatchesOften(t *testing.T) {
	const objects, places = replica.MaxWatched + 100, 4
	w := newWorld(t)
	name := strings.Repeat("a", places)
	for n := range objects {
		w.inc(fmt.Sprint(name, n))
	}
	p := newProgram()
	watch := p.Import("nx", "crdt_watch", types{i32, i32}, types{i32})
	place, _ := at(64, name)
	for n := range int32(places) {
		place = slices.Concat(place, sandboxtest.Const32(64), sandboxtest.Const32(n), sandboxtest.CallFunc(watch), sandboxtest.TrapUnless32(0))
	}
	p.On(sandbox.OnInit, append(place, p.sleeps(200*time.Millisecond)...)...)
	p.On(sandbox.OnChange)
	w.add(w.pack("often", "1.0.0", all, p.Bytes()))
	box, most := w.super.unit("often").box, 0
	w.wait("all to be told", func() bool {
		listed := 0
		box.mu.Lock()
		for _, i := range box.items {
			listed += len(i.changes.left)
		}
		box.mu.Unlock()
		most = max(most, listed)
		return w.super.status("often").Calls[sandbox.OnChange] == objects*places
	})
	if most == 0 || most > places*maxBatch {
		t.Errorf("%d changes were listed at once", most)
	}
}

// What a guest tells others waits until what it wrote is on disk, but not beyond its deadline, whatever the disk does.
func TestDiskStalls(t *testing.T) {
	w, store := stillWorld(t)
	defer store.Close()
	defer w.halt()
	p := newProgram()
	reply := p.Import("nx", "msg_reply", types{i32, i32}, types{i32})
	write := p.Import("nx", "http_write", types{i32, i32}, types{i32})
	nothing := append(sandboxtest.Const32(0), sandboxtest.Const32(0)...)
	p.On(sandbox.OnMessage, slices.Concat(p.count("n"), nothing, sandboxtest.CallFunc(reply), sandboxtest.Drop())...)
	p.On(sandbox.OnRequest, slices.Concat(p.count("n"), nothing, sandboxtest.CallFunc(write), sandboxtest.Drop())...)
	w.add(w.pack("tells", "1.0.0", "[limits]\ndeadline = \"100ms\"\n[restart]\nbackoff = \"10ms\"\ntries = 100\n[grants]\nsubscribe = [\"m\"]\n"+all+"[[triggers]]\nmessage = \"m\"\n", p.Bytes()))
	if took, err := w.bus.tell(bus.Message{Subject: "m", Reply: func([]byte) error { return nil }}); took != 1 {
		t.Fatal(err)
	}
	w.wait("the end of on_message", func() bool { return w.super.status("tells").Failed == 1 })
	server := w.serve()
	defer server.Close()
	w.wait("its restart", func() bool { return w.super.status("tells").State == string(Running) })
	if status, _, _ := ask(t, "GET", server.URL+"/m/tells/", ""); status != http.StatusGatewayTimeout {
		t.Errorf("answered %d", status)
	}
}

// What a guest has the node write for it counts as its own writes: messages, and cursors.
func TestWritesAreCounted(t *testing.T) {
	w := newWorld(t)
	p := newProgram()
	send := p.Import("nx", "msg_send", slices.Repeat(types{i32}, 6), types{i32})
	publish := p.Import("nx", "msg_publish", slices.Repeat(types{i32}, 4), types{i32})
	watch := p.Import("nx", "crdt_watch", types{i32, i32}, types{i32})
	unwatch := p.Import("nx", "crdt_unwatch", types{i32, i32}, types{i32})
	subject, args := at(512, "m")
	none := append(sandboxtest.Const32(0), sandboxtest.Const32(0)...)
	sends := func(want int32) []byte { // 600 bytes
		return slices.Concat(none, args, sandboxtest.Const32(1024), sandboxtest.Const32(600), sandboxtest.CallFunc(send), sandboxtest.TrapUnless32(want))
	}
	p.On(sandbox.OnInit, slices.Concat(subject, none, sandboxtest.CallFunc(watch), sandboxtest.TrapUnless32(0), sends(0), sends(-7),
		args, none, sandboxtest.CallFunc(publish), sandboxtest.TrapUnless32(-7),
		none, sandboxtest.CallFunc(unwatch), sandboxtest.TrapUnless32(-7))...)
	p.On(sandbox.OnChange)
	w.add(w.pack("sends", "1.0.0", "[limits]\nops = 1\nbytes = \"1KiB\"\n[grants]\npublish = [\"m\"]\n"+all, p.Bytes()))
	if s := w.super.status("sends"); s.State != string(Running) || s.Ops != 1 || s.Refused != 3 {
		t.Errorf("%+v", s)
	}
}
