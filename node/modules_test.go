package node_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/numax-mesh/numax/node"
	"github.com/numax-mesh/numax/node/module"
	"github.com/numax-mesh/numax/sandbox"
	wasm "github.com/numax-mesh/numax/sandbox/sandboxtest"
)

// addModule puts a module with its grants and triggers on a node.
func (r *running) addModule(t *testing.T, name, manifest string, binary []byte) {
	t.Helper()
	dir := t.TempDir()
	text := fmt.Sprintf("name = %q\nversion = \"1.0.0\"\nwasm = \"m.wasm\"\n%s", name, manifest)
	for file, b := range map[string][]byte{module.ManifestName: []byte(text), "m.wasm": binary} {
		if err := os.WriteFile(filepath.Join(dir, file), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p, err := module.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := p.Bundle()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.AddModule(t.Context(), bytes.NewReader(bundle), dir); err != nil {
		t.Fatal(err)
	}
}

// text places text in memory and leaves pointer and length.
func text(at uint32, s string) []byte {
	return slices.Concat(wasm.Poke(at, []byte(s)), wasm.Const32(int32(at)), wasm.Const32(int32(len(s))))
}

// counter imports what increments a counter.
func counter(m *wasm.Module) (inc func(key string) []byte) {
	f := m.Import("nx", "crdt_gcounter_inc", []wasm.Type{wasm.I32, wasm.I32, wasm.I64}, []wasm.Type{wasm.I32})
	return func(key string) []byte {
		return slices.Concat(text(512, key), wasm.Const64(1), wasm.CallFunc(f), wasm.TrapUnless32(0))
	}
}

const countGrants = "[[grants.data]]\ndataset = \"default\"\nread = \"all\"\nwrite = \"all\"\n"

// What a module on one node sends is handled by a module on another, though that node stops in between, and its module
// is started anew again and again. Both count in a dataset that they share.
func TestModulesTalk(t *testing.T) {
	dir := t.TempDir()
	a := start(t, node.Config{Data: filepath.Join(dir, "a")})
	cb := node.Config{Data: filepath.Join(dir, "b"), Bootstrap: a.Addrs()}
	b := start(t, cb)

	worker := new(wasm.Module)
	inc := counter(worker)
	worker.Memory(1, "memory")
	worker.On(sandbox.OnMessage, inc("done")...)
	b.addModule(t, "worker", "[grants]\nsubscribe = [\"work.*\"]\n"+countGrants+"[[triggers]]\nmessage = \"work.*\"\n", worker.Bytes())

	sender := new(wasm.Module)
	send := sender.Import("nx", "msg_send", []wasm.Type{wasm.I32, wasm.I32, wasm.I32, wasm.I32, wasm.I32, wasm.I32}, []wasm.Type{wasm.I32})
	inc = counter(sender)
	sender.Memory(1, "memory")
	sender.On(sandbox.OnTick, slices.Concat(
		text(64, b.ID()), text(256, "work.do"), text(384, "now"), wasm.CallFunc(send), wasm.TrapUnless32(0), inc("sent"))...)
	a.addModule(t, "sender", "[grants]\npublish = [\"work.*\"]\n"+countGrants+"[[triggers]]\nevery = \"10ms\"\n", sender.Bytes())

	counted := func(key string) int {
		v, err := a.Get("default", "gcounter", key)
		if err != nil {
			t.Fatal(err)
		}
		n, _ := strconv.Atoi(v.Count)
		return n
	}
	for range 3 {
		seen := counted("done")
		until(t, "messages are handled", func() bool { return counted("done") >= seen+10 })
		if err := b.RestartModule(t.Context(), "worker"); err != nil {
			t.Fatal(err)
		}
		b.stop()
		sent := counted("sent")
		until(t, "the sender goes on alone", func() bool { return counted("sent") >= sent+10 })
		b = start(t, cb)
	}
	if err := a.StopModule(t.Context(), "sender"); err != nil {
		t.Fatal(err)
	}
	until(t, "nothing waits", func() bool { return a.Bus().Stats().Waiting == 0 })
	began := time.Now()
	until(t, "all is handled", func() bool { return counted("done") >= counted("sent") })
	t.Logf("%d sent, %d handled; %v after the last verdict", counted("sent"), counted("done"), time.Since(began))
}
