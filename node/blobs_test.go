package node_test

import (
	"errors"
	"io"
	"path/filepath"
	"slices"
	"testing"

	"github.com/zeebo/blake3"

	"github.com/numax-mesh/numax/node"
	"github.com/numax-mesh/numax/node/blob"
	"github.com/numax-mesh/numax/sandbox"
	wasm "github.com/numax-mesh/numax/sandbox/sandboxtest"
)

// importing imports functions by name and leaves what calls them.
func importing(m *wasm.Module, names ...string) (call map[string][]byte) {
	call = make(map[string][]byte)
	for _, name := range names {
		i := slices.IndexFunc(wasm.Functions, func(f wasm.Function) bool { return f.Name == name })
		call[name] = wasm.CallFunc(m.Import("nx", name, wasm.Functions[i].Params, wasm.Functions[i].Results))
	}
	return call
}

// span leaves pointer and length.
func span(at, size int) []byte {
	return slices.Concat(wasm.Const32(int32(at)), wasm.Const32(int32(size)))
}

// A module makes a blob and tells its hash in a register; on another node a module reads it, and makes the same of what
// it read. It is still there when that node comes back alone.
func TestBlobsTravel(t *testing.T) {
	const (
		mib   = 1 << 20
		size  = 5 * mib
		piece = mib // where the bytes go; the hash is at 0, texts from 64
	)
	register := func(c map[string][]byte, key string, at, size int) []byte {
		return slices.Concat(text(64, key), span(at, size), c["crdt_lww_set"], wasm.TrapUnless32(0))
	}
	maker := new(wasm.Module)
	c := importing(maker, "random_bytes", "blob_write", "blob_finish", "crdt_lww_set")
	maker.Memory(33, "memory")
	var code []byte
	for range size / mib {
		code = slices.Concat(code, span(piece, mib), c["random_bytes"], wasm.TrapUnless32(mib), span(piece, mib), c["blob_write"], wasm.TrapUnless32(0))
	}
	code = slices.Concat(code, span(0, 32), c["blob_finish"], wasm.TrapUnless32(32), register(c, "blob", 0, 32))
	maker.On(sandbox.OnInit, code...)
	maker.On(sandbox.OnTick)

	reader := new(wasm.Module)
	c = importing(reader, "crdt_lww_get", "blob_size", "blob_read", "blob_write", "blob_finish", "crdt_lww_set")
	reader.Memory(33, "memory")
	code = slices.Concat(text(64, "blob"), span(0, 32), c["crdt_lww_get"], wasm.TrapUnless32(32))
	code = slices.Concat(code, span(0, 32), c["blob_size"], wasm.TrapUnless32(size))
	for i := range size / mib {
		code = slices.Concat(code, span(0, 32), wasm.Const64(int64(i)*mib), span(piece, mib), c["blob_read"], wasm.TrapUnless32(mib),
			span(piece, mib), c["blob_write"], wasm.TrapUnless32(0))
	}
	code = slices.Concat(code, span(0, 32), wasm.Const64(size), span(piece, mib), c["blob_read"], wasm.TrapUnless32(0),
		span(32, 32), c["blob_finish"], wasm.TrapUnless32(32), register(c, "copy", 32, 32))
	reader.On(sandbox.OnChange, code...)

	dir := t.TempDir()
	a := start(t, node.Config{Data: filepath.Join(dir, "a")})
	cb := node.Config{Data: filepath.Join(dir, "b"), Bootstrap: a.Addrs()}
	b := start(t, cb)
	b.addModule(t, "reader", "[grants]\nblobs = true\n"+countGrants+"[[triggers]]\nchange = {dataset = \"default\", prefix = \"blob\"}\n", reader.Bytes())
	a.addModule(t, "maker", "[grants]\nblobs = true\nrandom = true\n"+countGrants, maker.Bytes())
	value := func(n *running, key string) string {
		v, err := n.Get("default", "lww-register", key)
		if err != nil {
			t.Fatal(err)
		}
		if v.Text == nil {
			return ""
		}
		return *v.Text
	}
	until(t, "the blob is read", func() bool { return value(b, "copy") != "" })
	if got, want := value(b, "copy"), value(a, "blob"); got != want {
		t.Errorf("what was read has the hash %q, want %q", got, want)
	}
	made := held(t, a, "maker")
	b.stop()
	a.stop()

	cb.Offline = true
	b = start(t, cb)
	hash := held(t, b, "reader")
	got := make([]byte, size)
	n, err := b.Blobs().Session("reader", nil).ReadAt(hash, got, 0)
	if n != size || err != nil || blake3.Sum256(got) != hash || hash != made {
		t.Errorf("alone: read %d bytes of %x, %v, want %x", n, hash, err, made)
	}
	until(t, "it counts for its module", func() bool {
		modules, err := b.Modules()
		return err == nil && len(modules) == 1 && modules[0].Storage > size
	})

	denied := new(wasm.Module)
	c = importing(denied, "blob_size")
	denied.Memory(1, "memory")
	denied.On(sandbox.OnInit, slices.Concat(span(0, 32), c["blob_size"], wasm.TrapUnless32(-6))...)
	denied.On(sandbox.OnTick)
	b.addModule(t, "denied", countGrants, denied.Bytes())
}

// held is the one blob that a module has.
func held(t *testing.T, n *running, module string) blob.Hash {
	t.Helper()
	all, err := n.Blobs().Store().Owned(module)
	if err != nil || len(all) != 1 {
		t.Fatalf("%s has %v, %v", module, all, err)
	}
	return all[0]
}

// In a closed network a member that may not read gets no blob, and neither does an outsider.
func TestBlobsClosed(t *testing.T) {
	dir := t.TempDir()
	founder := found(t, dir)
	relay := founder.join(t, node.Config{Data: filepath.Join(dir, "relay"), Bootstrap: founder.Addrs()}, "relay")
	reader := founder.join(t, node.Config{Data: filepath.Join(dir, "reader"), Bootstrap: founder.Addrs()}, "reader")
	maker := founder.Blobs().Session("m", nil)
	if err := maker.Write(t.Context(), []byte("a secret")); err != nil {
		t.Fatal(err)
	}
	hash, err := maker.Finish()
	if err != nil {
		t.Fatal(err)
	}
	until(t, "a reader gets it", func() bool {
		return reader.Blobs().Session("m", nil).Fetch(t.Context(), hash) == nil
	})
	until(t, "the relay is there", func() bool { return knows(founder, relay) })
	if err := relay.Blobs().Session("m", nil).Fetch(t.Context(), hash); !errors.Is(err, sandbox.ErrNotFound) {
		t.Errorf("a relay asks: %v", err)
	}
	outsider := enemyHost(t, founder)
	if s, err := outsider.Open(t.Context(), founder.ID(), "/numax/blob/1"); err == nil {
		_, _ = s.Write(hash[:])
		if b, err := io.ReadAll(s); err == nil || len(b) > 0 {
			t.Errorf("an outsider hears %q, %v", b, err)
		}
	}
}
