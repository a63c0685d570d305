package sandbox_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/numax-mesh/numax/sandbox"
	"github.com/numax-mesh/numax/sandbox/sandboxtest"
)

// Rules that hold for whole groups of functions: memory, keys, texts, values, output capacity, and what errors of
// the host become.

// shape is a good call of a function with parts that a test may replace.
type shape struct {
	call       string
	build      func(key, text, value, out arg) []arg
	text       bool // has a field, element or id
	value      bool
	out        bool
	minOut     uint32 // a smaller out is -2 before all else
	db, write  bool
	good       int64 // answer of the good call on an empty node
	skipOutMax bool
}

var (
	keyOnly   = func(k, _, _, _ arg) []arg { return []arg{k} }
	keyOut    = func(k, _, _, o arg) []arg { return []arg{k, o} }
	keyText   = func(k, t, _, _ arg) []arg { return []arg{k, t} }
	keyValue  = func(k, _, v, _ arg) []arg { return []arg{k, v} }
	keyDelta  = func(k, _, _, _ arg) []arg { return []arg{k, num(1)} }
	keyTV     = func(k, t, v, _ arg) []arg { return []arg{k, t, v} }
	keyTO     = func(k, t, _, o arg) []arg { return []arg{k, t, o} }
	keyTVO    = func(k, t, v, o arg) []arg { return []arg{k, t, v, o} }
	scanShape = func(k, _, _, o arg) []arg { return []arg{k, num(0), num(1), o} }
	// The cursor is a text that must lie within the prefix, so tests of it are rows of their own.
	afterShape = func(k, _, _, o arg) []arg { return []arg{k, at(0, 0), num(1), o} }
)

var shapes = []shape{
	{call: "db_get", build: keyOut, out: true, db: true, good: -1},
	{call: "db_set", build: keyValue, value: true, db: true, write: true},
	{call: "db_delete", build: keyOnly, db: true, write: true},
	{call: "db_exists", build: keyOnly, db: true},
	{call: "db_scan", build: scanShape, out: true, db: true, good: 4},
	{call: "db_keys", build: scanShape, out: true, db: true, good: 4},
	{call: "db_scan_after", build: afterShape, out: true, db: true, good: 4},
	{call: "db_keys_after", build: afterShape, out: true, db: true, good: 4},
	{call: "crdt_gcounter_inc", build: keyDelta, write: true},
	{call: "crdt_pncounter_inc", build: keyDelta, write: true},
	{call: "crdt_pncounter_dec", build: keyDelta, write: true},
	{call: "crdt_gcounter_value", build: keyOut, out: true, minOut: 8, good: 8, skipOutMax: true},
	{call: "crdt_pncounter_value", build: keyOut, out: true, minOut: 8, good: 8, skipOutMax: true},
	{call: "crdt_lww_set", build: keyValue, value: true, write: true},
	{call: "crdt_lww_get", build: keyOut, out: true, good: -1},
	{call: "crdt_lww_map_set", build: keyTV, text: true, value: true, write: true},
	{call: "crdt_lww_map_remove", build: keyText, text: true, write: true},
	{call: "crdt_lww_map_get", build: keyTO, text: true, out: true, good: -1},
	{call: "crdt_lww_map_contains", build: keyText, text: true},
	{call: "crdt_lww_map_entries", build: keyOut, out: true, good: 4},
	{call: "crdt_orset_add", build: keyText, text: true, write: true},
	{call: "crdt_orset_remove", build: keyText, text: true, write: true},
	{call: "crdt_orset_contains", build: keyText, text: true},
	{call: "crdt_orset_elements", build: keyOut, out: true, good: 4},
	{call: "crdt_rga_insert", build: keyTVO, text: true, value: true, out: true, write: true, good: 32},
	{call: "crdt_rga_delete", build: keyText, text: true, write: true},
	{call: "crdt_rga_values", build: keyOut, out: true, good: 4},
}

func TestRules(t *testing.T) {
	m := compileForwarder(t)
	for _, s := range shapes {
		t.Run(s.call, func(t *testing.T) {
			f := newFixture(t, m)
			try := func(why string, want int64, key, text, value, o arg) {
				t.Helper()
				f.clear()
				if got := f.call(s.call, s.build(key, text, value, o)...); got != want {
					t.Errorf("%s = %d, want %d", why, got, want)
				}
				if want < 0 {
					f.quiet(0)
				}
			}
			key, text, value, o := in("key"), in("text"), in("value"), out(64)
			try("good", s.good, key, text, value, o)

			// Keys: length, bounds, UTF-8 (CRDT), prefix.
			try("8 KiB key", s.good, in(long), text, value, o)
			try("empty key", s.good, in(""), text, value, o)
			try("empty key at the end of memory", s.good, at(memoryEnd, 0), text, value, o)
			try("empty key behind the end of memory", -3, at(memoryEnd+1, 0), text, value, o)
			try("key over 8 KiB", -3, in(long+"k"), text, value, o)
			try("reserved key over 8 KiB", -3, in("__nx/"+long), text, value, o)
			try("key out of bounds", -3, at(memoryEnd-2, 3), text, value, o)
			try("key that wraps around", -3, at(0xffff_ffff, 3), text, value, o)
			try("reserved key", -4, in("__nx/x"), text, value, o)
			try("reserved prefix alone", -4, in("__nx/"), text, value, o)
			try("nearly reserved key", s.good, in("__nx"), text, value, o)
			if s.db {
				try("key of raw bytes", s.good, in("\xff\x00"), text, value, o)
				try("reserved key of raw bytes", -4, in("__nx/\xff"), text, value, o)
			} else {
				try("key that is not UTF-8", -3, in("\xff"), text, value, o)
				try("reserved and not UTF-8", -3, in("__nx/\xff"), text, value, o)
			}
			if s.text {
				try("8 KiB text", s.good, key, in(long), value, o)
				try("empty text", s.good, key, in(""), value, o)
				try("reserved text", s.good, key, in("__nx/"), value, o)
				try("text over 8 KiB", -3, key, in(long+"k"), value, o)
				try("text not UTF-8", -3, key, in("\xff"), value, o)
				try("text out of bounds", -3, key, at(memoryEnd, 1), value, o)
				try("key before text", -4, in("__nx/"), in("\xff"), value, o)
			}
			if s.value {
				try("1 MiB value", s.good, key, text, size(mib), o)
				try("empty value", s.good, key, text, in(""), o)
				try("value over 1 MiB", -3, key, text, size(mib+1), o)
				try("value out of bounds", -3, key, text, at(memoryEnd, 1), o)
				try("key before value's bounds", -4, in("__nx/"), text, at(memoryEnd, 1), o)
			}
			if s.out && !s.skipOutMax {
				try("1 MiB of output", s.good, key, text, value, out(mib))
				try("output over 1 MiB", -3, key, text, value, out(mib+1))
				try("output over 1 MiB before a reserved key", -3, in("__nx/"), text, value, out(mib+1))
			}
			if s.out && s.good > 0 {
				try("output out of bounds", -3, key, text, value, at(memoryEnd-1, 64))
				try("output too small", -2, key, text, value, out(3))
			}
			if s.minOut > 0 {
				try("small output before a reserved key", -2, in("__nx/"), text, value, out(s.minOut-1))
			}

			// What the host says. Arguments come first.
			refuse := func(why string, err error, want int64) {
				t.Helper()
				f.SyncErr, f.KVErr = err, err
				if !s.db {
					f.KVErr = nil
				}
				try(why, want, key, text, value, o)
				try(why+", reserved key", -4, in("__nx/"), text, value, o)
				try(why+", bad bounds", -3, at(memoryEnd, 1), text, value, o)
				f.SyncErr, f.KVErr = nil, nil
			}
			refuse("sync off", sandbox.ErrSyncDisabled, -5)
			refuse("queue full", sandbox.ErrBusy, -3)
			refuse("denied", sandbox.ErrDenied, -6)
			refuse("quota", sandbox.ErrQuota, -7)
			refuse("host failed", errors.New("disk on fire"), -3)
			if !s.db {
				f.WriteErr = sandbox.ErrBusy
				want := s.good
				if s.write {
					want = -3
				}
				try("queue full for writes", want, key, text, value, o)
			}
		})
	}
}

// A guest whose memory is not exported as "memory" gets -3 from everything that needs it, and nothing else happens.
func TestMemoryMustBeExported(t *testing.T) {
	noMemoryNeeded := []string{"time_now", "time_monotonic", "commit", "timer_set", "timer_cancel", "http_status"}
	for _, export := range []string{"", "mem"} {
		m := compile(t, sandboxtest.Forwarder(1, export))
		node := sandboxtest.NewNode()
		ctx, instance := m.Open(t, sandbox.Call{Host: node.Host()})
		for _, fn := range sandboxtest.Functions {
			got, err := instance.ExportedFunction(fn.Name).Call(ctx, make([]uint64, len(fn.Params))...)
			switch {
			case fn.Name == "abort":
				var abort *sandbox.AbortError
				if !errors.As(err, &abort) || !strings.Contains(abort.Msg, "no `memory` export") {
					t.Errorf("abort without memory: %v", err)
				}
			case err != nil:
				t.Errorf("%s: %v", fn.Name, err)
			case len(got) == 1 && !slices.Contains(noMemoryNeeded, fn.Name) && int32(got[0]) != -3:
				t.Errorf("%s with memory exported as %q = %d, want -3", fn.Name, export, int32(got[0]))
			}
		}
		if logs := node.Logs(); len(logs) > 0 {
			t.Errorf("logged %q", logs)
		}
	}
}

// What a Host leaves nil is not there, and says so.
func TestNilHost(t *testing.T) {
	ctx, instance := compileForwarder(t).Open(t, sandbox.Call{})
	for _, s := range shapes {
		p := &params{mem: instance.ExportedMemory("memory")}
		for _, a := range s.build(in("key"), in("text"), in("value"), out(64)) {
			a(p)
		}
		want := int32(-5)
		if s.db {
			want = -6
		}
		got, err := instance.ExportedFunction(s.call).Call(ctx, p.args...)
		if err != nil || int32(got[0]) != want {
			t.Errorf("%s = %v, %v; want %d", s.call, got, err, want)
		}
	}
	for _, name := range []string{"net_node_id", "net_peers"} {
		if got, err := instance.ExportedFunction(name).Call(ctx, outputBase, 64); err != nil || int32(got[0]) != -5 {
			t.Errorf("%s = %v, %v; want -5", name, got, err)
		}
	}
	if got, err := instance.ExportedFunction("commit").Call(ctx); err != nil || int32(got[0]) != -5 {
		t.Errorf("commit = %v, %v; want -5", got, err)
	}
}
