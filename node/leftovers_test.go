package node_test

import (
	"errors"
	"path/filepath"
	"slices"
	"testing"

	"github.com/numax-mesh/numax/node"
	"github.com/numax-mesh/numax/node/api"
	"github.com/numax-mesh/numax/sandbox"
	wasm "github.com/numax-mesh/numax/sandbox/sandboxtest"
)

// keeper is a module that sets a private key, makes a blob, and sends to a node.
func keeper(to string) []byte {
	m := new(wasm.Module)
	c := importing(m, "db_set", "blob_write", "blob_finish", "msg_send")
	m.Memory(1, "memory")
	m.On(sandbox.OnInit, slices.Concat(
		text(64, "key"), text(128, "value"), c["db_set"], wasm.TrapUnless32(0),
		text(256, "a blob"), c["blob_write"], wasm.TrapUnless32(0), span(0, 32), c["blob_finish"], wasm.TrapUnless32(32),
		text(512, to), text(320, "s"), text(384, "a message"), c["msg_send"], wasm.TrapUnless32(0))...)
	m.On(sandbox.OnTick)
	return m.Bytes()
}

const keeperGrants = "[grants]\nblobs = true\npublish = [\"s\"]\n"

// gone is the id of a node that never comes.
func gone(t *testing.T) string {
	n := start(t, node.Config{})
	n.stop()
	return n.ID()
}

// kept is what is left of removed modules.
func kept(n *running, name string) (l api.Leftover) {
	for _, x := range n.Status().Leftovers {
		if x.Module == name {
			return x
		}
	}
	return l
}

// What a removed module sent is not sent any more; its keys and blobs stay if they are kept, are shown, and go if they
// are purged, also later and without a node. Those of another module, which has the same blob, stay.
func TestModuleRemoved(t *testing.T) {
	cfg := node.Config{Data: filepath.Join(t.TempDir(), "data")}
	to := gone(t)
	n := start(t, cfg)
	for _, name := range []string{"other", "thing"} {
		n.addModule(t, name, keeperGrants, keeper(to))
	}
	if left := n.Status().Leftovers; len(left) > 0 {
		t.Errorf("while both are there: left %+v", left)
	}
	hash := held(t, n, "thing")
	left, err := n.RemoveModule(t.Context(), "thing", false)
	if err != nil || left.Keys < 1 || left.Blobs != 1 || left.BlobBytes < int64(len("a blob")) || left.Messages != 0 {
		t.Errorf("kept: %+v, %v", left, err)
	}
	if got := n.Bus().Waiting(); got["thing"] != 0 || got["other"] != 1 {
		t.Errorf("messages that wait: %v", got)
	}
	if got := kept(n, "thing"); got != left || len(n.Status().Leftovers) != 1 {
		t.Errorf("status shows %+v, want %+v", n.Status().Leftovers, left)
	}
	if _, err := n.RemoveModule(t.Context(), "thing", false); !errors.Is(err, api.ErrNotFound) {
		t.Errorf("removed again: %v", err)
	}

	n.addModule(t, "thing", keeperGrants, keeper(to))
	if left, err := n.RemoveModule(t.Context(), "thing", true); err != nil || !left.Empty() || len(n.Status().Leftovers) > 0 {
		t.Errorf("purged: %+v, %v; status shows %+v", left, err, n.Status().Leftovers)
	}
	if !n.Blobs().Store().Has(hash) {
		t.Error("the blob of the other module is gone")
	}

	n.addModule(t, "thing", keeperGrants, keeper(to))
	if _, err := n.RemoveModule(t.Context(), "thing", false); err != nil {
		t.Fatal(err)
	}
	if left, err := n.RemoveModule(t.Context(), "thing", true); err != nil || !left.Empty() {
		t.Errorf("purged later: %+v, %v", left, err)
	}
	for _, name := range []string{"thing", "never", "default", "..", ""} {
		if _, err := n.RemoveModule(t.Context(), name, true); !errors.Is(err, api.ErrNotFound) {
			t.Errorf("%q, which is not there, is purged: %v", name, err)
		}
	}

	n.stop()
	network := cfg
	network.Network, network.Datasets = "test-"+t.Name(), []string{"default"}
	left, err = node.RemoveModule(t.Context(), network, "other", false)
	if err != nil || left.Keys < 1 || left.Blobs != 1 || left.Messages != 0 {
		t.Errorf("without a node, kept: %+v, %v", left, err)
	}
	if left, err = node.RemoveModule(t.Context(), network, "other", true); err != nil || !left.Empty() {
		t.Errorf("without a node, purged: %+v, %v", left, err)
	}
	n = start(t, cfg)
	if len(n.Status().Leftovers) > 0 || n.Bus().Stats().Waiting != 0 || n.Blobs().Store().Has(hash) {
		t.Errorf("after all: %+v, %v, blob %t", n.Status().Leftovers, n.Bus().Waiting(), n.Blobs().Store().Has(hash))
	}
}

// Messages of a module whose removal was cut short are dropped at the next start.
func TestRemovalCutShort(t *testing.T) {
	cfg := node.Config{Data: filepath.Join(t.TempDir(), "data")}
	to := gone(t)
	n := start(t, cfg)
	n.addModule(t, "thing", keeperGrants, keeper(to))
	n.stop()
	if err := cfg.Shelf().Remove("thing"); err != nil {
		t.Fatal(err)
	}
	n = start(t, cfg)
	if got := kept(n, "thing"); got.Messages != 0 || got.Keys < 1 || got.Blobs != 1 {
		t.Errorf("left: %+v", got)
	}
}
