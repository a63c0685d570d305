package guest

import (
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"io/fs"
	"math"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/numax-mesh/numax/crdt/replica"
	"github.com/numax-mesh/numax/datastore"
	"github.com/numax-mesh/numax/node/module"
	"github.com/numax-mesh/numax/sandbox"
)

type noNet struct{}

func (noNet) ID() string                 { return "me" }
func (noNet) GuestPeers() []sandbox.Peer { return []sandbox.Peer{{Addr: "b"}, {Addr: "a"}} }

func newWorld(t *testing.T) World {
	t.Helper()
	return worldIn(t, "")
}

// worldIn keeps what it has in a folder; "" is in memory.
func worldIn(t *testing.T, dir string) World {
	t.Helper()
	store, err := datastore.Open(dir, datastore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := replica.Open(replica.Options{Store: store, Key: ed25519.NewKeyFromSeed(make([]byte, 32))})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"default", "other"} {
		if _, err := r.Dataset(name); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- r.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ran; _ = store.Close() })
	return World{Replica: r, Dataset: "default", Net: noNet{}}
}

func grants(t *testing.T, text string) *module.Grants {
	t.Helper()
	m, err := module.Parse([]byte("name = \"m\"\nversion = \"1.0.0\"\n" + text))
	if err != nil {
		t.Fatal(err)
	}
	return &m.Grants
}

// What is granted works, on its keys and families alone, read and write apart.
func TestGrants(t *testing.T) {
	w := newWorld(t)
	g, h := Host(w, "m", grants(t, `[grants]
data = [{dataset = "default", prefix = "a/", read = ["gcounter"], write = ["gcounter", "orset"]}]`), Use{})
	for _, x := range []struct {
		what string
		err  error
		want error
	}{
		{"write of a granted key", h.CRDT.GCounterInc("a/1", 1), nil},
		{"write of another key", h.CRDT.GCounterInc("b/1", 1), sandbox.ErrDenied},
		{"write of the prefix cut short", h.CRDT.GCounterInc("a", 1), sandbox.ErrDenied},
		{"write of another family", h.CRDT.PNCounterInc("a/1", 1), sandbox.ErrDenied},
		{"write that may not be read", h.CRDT.SetAdd("a/1", "x"), nil},
		{"delete in another family", h.CRDT.RGADelete("a/1", "x"), sandbox.ErrDenied},
		{"read of what may only be written", h.CRDT.SetElements("a/1", func(string) bool { return true }), sandbox.ErrDenied},
		{"private keys", h.KV.Set([]byte("k"), []byte("v")), nil},
	} {
		if !errors.Is(x.err, x.want) {
			t.Errorf("%s: %v, want %v", x.what, x.err, x.want)
		}
	}
	if n, err := h.CRDT.GCounterValue("a/1"); n != 1 || err != nil {
		t.Errorf("read of a granted key: %d, %v", n, err)
	}
	if _, err := h.Net.Peers(); !errors.Is(err, sandbox.ErrDenied) {
		t.Errorf("peers: %v", err)
	}
	if _, err := h.Env("NX_A"); !errors.Is(err, sandbox.ErrDenied) {
		t.Errorf("env: %v", err)
	}
	if !h.WithholdTime || !h.WithholdRandom {
		t.Error("time or randomness is given")
	}
	if g.Data("none") != nil {
		t.Error("a dataset that does not exist")
	}
	if !g.wrote {
		t.Error("nothing to settle after a write")
	}
	if err := g.Settle(t.Context()); err != nil || g.wrote {
		t.Errorf("settle: %v", err)
	}
}

// A module run by hand has the whole default dataset, and none but that.
func TestByHand(t *testing.T) {
	w := newWorld(t)
	t.Setenv("NX_A", "1")
	g, h := Host(w, "default", nil, Use{})
	if g.First() != "default" {
		t.Errorf("first dataset %q", g.First())
	}
	if err := h.CRDT.LWWSet("k", []byte("v")); err != nil {
		t.Error(err)
	}
	if v, err := h.Env("NX_A"); v != "1" || err != nil {
		t.Errorf("env %q %v", v, err)
	}
	if peers, err := h.Net.Peers(); err != nil || len(peers) != 2 || peers[0].Addr != "a" {
		t.Errorf("peers %v %v", peers, err)
	}
	if h.Service != nil || h.Messages != nil || h.Fetch != nil || h.Blobs != nil {
		t.Error("it has a service, messages, the web or blobs")
	}
	w.Net = nil
	if _, h := Host(w, "default", nil, Use{}); !errors.Is(h.CRDT.Ready(), sandbox.ErrSyncDisabled) || h.Net != nil {
		t.Error("sync is off, and a guest does not notice")
	}
}

// Storage is what keys and values take, with the store's own part of each row, whatever way they came to be.
func TestSpace(t *testing.T) {
	w := newWorld(t)
	space, err := NewSpace(w.Replica.Keys("m"), 0)
	if err != nil {
		t.Fatal(err)
	}
	space.SetLimit(20 + 2*rowOverhead)
	_, h := Host(w, "m", nil, Use{Space: space})
	for _, x := range []struct {
		key, value  string
		want        error
		bytes, rows int64
	}{
		{"key", "0123456789", nil, 13, 1},
		{"other", "0123456789", sandbox.ErrQuota, 13, 1},
		{"other", "01", nil, 20, 2},
		{"other", "012", sandbox.ErrQuota, 20, 2},
		{"other", "", nil, 18, 2},
		{"", "", sandbox.ErrQuota, 18, 2},
		{"key", "0", nil, 9, 2},
	} {
		want := x.bytes + x.rows*rowOverhead
		if err := h.KV.Set([]byte(x.key), []byte(x.value)); !errors.Is(err, x.want) || space.Used() != want {
			t.Errorf("set %s=%s: %v, %d used, want %v, %d", x.key, x.value, err, space.Used(), x.want, want)
		}
	}
	if err := h.KV.Delete([]byte("key")); err != nil || space.Used() != 5+rowOverhead {
		t.Errorf("delete: %v, %d used", err, space.Used())
	}
	if err := h.KV.Delete([]byte("key")); err != nil || space.Used() != 5+rowOverhead {
		t.Errorf("deleted again: %v, %d used", err, space.Used())
	}
	const rest = 15 + rowOverhead
	for _, x := range []struct {
		bytes int64
		want  error
		left  int64
	}{{rest + 1, sandbox.ErrQuota, rest}, {rest, nil, 0}, {math.MaxInt64, sandbox.ErrQuota, 0}, {-rest, nil, rest}} {
		want := 20 + 2*rowOverhead - x.left
		if err := space.Add(x.bytes); !errors.Is(err, x.want) || space.Used() != want {
			t.Errorf("add %d: %v, %d used, want %v, %d", x.bytes, err, space.Used(), x.want, want)
		}
	}
	if again, err := NewSpace(w.Replica.Keys("m"), 0); err != nil || again.Used() != 5+rowOverhead {
		t.Errorf("counted anew: %d, %v", again.Used(), err)
	}
}

// A module's private keys are its own, whatever names modules and keys have: no key reaches into the space of a module
// whose name begins with its own, or the other way round.
func TestKeySpaces(t *testing.T) {
	w := newWorld(t)
	spaces := []string{"a", "ab", "a-b", "b"}
	names := []string{"", "b", "\x00", "\x00\x01", "\x00\xff", "\xff", "..", "../b", "b/", "\xc3"}
	kv := func(space string) sandbox.KV {
		_, h := Host(w, space, nil, Use{})
		return h.KV
	}
	for _, space := range spaces {
		for _, name := range names {
			if err := kv(space).Set([]byte(name), []byte(space+"="+name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, settled := range []bool{false, true} {
		for _, space := range spaces {
			seen := 0
			err := kv(space).Scan(nil, nil, func(key, value []byte) bool {
				if seen++; string(value) != space+"="+string(key) {
					t.Errorf("%q sees %q under %q", space, value, key)
				}
				return true
			})
			if err != nil || seen != len(names) {
				t.Errorf("%q sees %d keys, want %d: %v", space, seen, len(names), err)
			}
			for _, name := range names {
				if v, ok, err := kv(space).Get([]byte(name)); !ok || err != nil || string(v) != space+"="+name {
					t.Errorf("%q has %q under %q: %v", space, v, name, err)
				}
			}
		}
		if !settled {
			if err := w.Replica.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Tiny keys are charged no less than they take on disk: a module of nothing but such keys does not take many times its
// storage.
func TestTinyKeys(t *testing.T) {
	const keys = 20_000
	dir := t.TempDir()
	w := worldIn(t, dir)
	name := strings.Repeat("m", 32)
	space, err := NewSpace(w.Replica.Keys(name), 0)
	if err != nil {
		t.Fatal(err)
	}
	space.SetLimit(math.MaxInt64)
	_, h := Host(w, name, nil, Use{Space: space})
	before := onDisk(t, dir)
	for i := range uint32(keys) { // scattered, so that neighbours share few bytes
		if err := h.KV.Set(binary.BigEndian.AppendUint32(nil, i*2654435761), nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Replica.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	took := onDisk(t, dir) - before
	t.Logf("%d keys are charged %d bytes and take %d on disk", keys, space.Used(), took)
	if took == 0 || took > space.Used() {
		t.Errorf("%d bytes on disk are charged as %d", took, space.Used())
	}
}

// onDisk is what the files of a folder have together.
func onDisk(t *testing.T, dir string) (total int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // compacted away just now
		}
		if err == nil {
			total += info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return total
}

// A rate is a bucket: a second's worth at once, then no more than comes in.
func TestRate(t *testing.T) {
	r := NewRate(10, 100)
	allowed := 0
	for range 50 {
		if r.take(1, 1) == nil {
			allowed++
		}
	}
	if allowed < 10 || allowed > 12 {
		t.Errorf("%d ops at once of 10 a second", allowed)
	}
	if ops, bytes, refused := r.Took(); ops != uint64(allowed) || bytes != uint64(allowed) || refused != uint64(50-allowed) {
		t.Errorf("took %d %d, refused %d", ops, bytes, refused)
	}
	r = NewRate(1000, 100)
	if r.take(1, 1000) != nil {
		t.Error("one write larger than a second's worth is refused for ever")
	}
	if r.take(1, 50) == nil {
		t.Error("and another at once is taken")
	}
	r.filled = r.filled.Add(-20 * time.Second)
	if err := r.take(1, 50); err != nil {
		t.Errorf("after a while: %v", err)
	}
	var none *Rate
	if none.take(1<<20, 1<<40) != nil {
		t.Error("no rate bounds")
	}
}
