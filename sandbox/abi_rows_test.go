package sandbox_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/numax-mesh/numax/sandbox"
	"github.com/numax-mesh/numax/sandbox/sandboxtest"
)

// sets is a node that has seen some calls.
func sets(call string, argLists ...[]arg) func(f *fixture) {
	return func(f *fixture) {
		for _, args := range argLists {
			if got := f.call(call, args...); got < 0 {
				f.t.Fatalf("prepare: %s = %d", call, got)
			}
		}
	}
}

func list(args ...arg) []arg { return args }

func logged(want ...string) func(f *fixture) any {
	return func(f *fixture) any {
		if got := f.Logs(); fmt.Sprint(got) != fmt.Sprint(want) {
			return fmt.Sprintf("logs %q, want %q", got, want)
		}
		return nil
	}
}

// answers makes a later call and compares.
func answers(call string, want int64, args ...arg) func(f *fixture) any {
	return func(f *fixture) any {
		if got := f.call(call, args...); got != want {
			return fmt.Sprintf("afterwards %s = %d, want %d", call, got, want)
		}
		return nil
	}
}

func TestLogRows(t *testing.T) {
	runRows(t, []row{
		{"host_log_v2", "text", list(in("héllo")), 0, "", nil, logged("[guest] héllo")},
		{"host_log_v2", "empty", list(in("")), 0, "", nil, logged("[guest] ")},
		{"host_log_v2", "8 KiB", list(in(long)), 0, "", nil, logged("[guest] " + long)},
		{"host_log_v2", "over 8 KiB", list(in(long + "k")), -3, "", nil, logged()},
		{"host_log_v2", "out of bounds", list(at(memoryEnd, 1)), -3, "", nil, logged()},
		{"host_log_v2", "lossy", list(in("a\xff\xe2\x82b")), 0, "", nil, logged("[guest] a��b")},
		{"host_log", "text", list(in("hi")), 0, "", nil, logged("[guest] hi")},
		{"host_log", "over 8 KiB is silent", list(in(long + "k")), 0, "", nil, logged()},
		{"host_log", "out of bounds is silent", list(at(memoryEnd, 1)), 0, "", nil, logged()},
	})
}

func TestLossyIsLikeRust(t *testing.T) {
	for in, want := range map[string]string{
		"\xff\xff":             "��",
		"\xe2\x82":             "�",
		"\xe2\x82\xe2\x82\xac": "�€",
		"\xf0\x9f\x98":         "�",
		"\xed\xa0\x80":         "���", // a surrogate: no byte of it may begin a character
		"\xc0\x80":             "��",
		"\xf0\x80\x80\x80":     "����",
		"\xf4\x90\x80\x80":     "����",
		"a\xe0\xa0b":           "a�b",
	} {
		if got := sandbox.Lossy([]byte(in)); got != want {
			t.Errorf("lossy(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestDBRows(t *testing.T) {
	has := sets("db_set", list(in("a1"), in("x")), list(in("a2"), in("yy")), list(in("b"), in("")), list(in("\xff"), in("z")))
	prefix, end := in("a"), uint64(math.MaxUint64)
	runRows(t, []row{
		{"db_get", "value", list(in("a2"), out(2)), 2, "yy", has, nil},
		{"db_get", "empty value", list(in("b"), out(0)), 0, "", has, nil},
		{"db_get", "too small", list(in("a2"), out(1)), -2, "", has, nil},
		{"db_get", "too small before bounds", list(in("a2"), at(memoryEnd, 1)), -2, "", has, nil},
		{"db_get", "bounds", list(in("a2"), at(memoryEnd, 2)), -3, "", has, nil},
		{"db_get", "absent before bounds", list(in("c"), at(memoryEnd, 2)), -1, "", has, nil},
		{"db_set", "overwrites", list(in("a2"), in("new")), 0, "", has, answers("db_get", 3, in("a2"), out(3))},
		{"db_set", "value size before a reserved key", list(in("__nx/"), size(mib+1)), -3, "", nil, nil},
		{"db_delete", "present", list(in("a2")), 0, "", has, answers("db_exists", 0, in("a2"))},
		{"db_delete", "absent", list(in("nope")), 0, "", has, nil},
		{"db_exists", "present", list(in("a1")), 1, "", has, nil},
		{"db_exists", "with an empty value", list(in("b")), 1, "", has, nil},
		{"db_exists", "absent", list(in("a")), 0, "", has, nil},

		{"db_scan", "prefix", list(prefix, num(0), num(9), out(64)), 27, le(2, 2, 1, "a1x", 2, 2, "a2yy"), has, nil},
		{"db_scan", "exact fit", list(prefix, num(0), num(9), out(27)), 27, le(2, 2, 1, "a1x", 2, 2, "a2yy"), has, nil},
		{"db_scan", "whole page or -2", list(prefix, num(0), num(9), out(26)), -2, "", has, nil},
		{"db_scan", "limit", list(prefix, num(0), num(1), out(64)), 15, le(1, 2, 1, "a1x"), has, nil},
		{"db_scan", "cursor", list(prefix, num(1), num(9), out(64)), 16, le(1, 2, 2, "a2yy"), has, nil},
		{"db_scan", "cursor at the end", list(prefix, num(2), num(9), out(64)), 4, le(0), has, nil},
		{"db_scan", "cursor far beyond", list(prefix, num(end), num(9), out(64)), 4, le(0), has, nil},
		{"db_scan", "nothing still needs 4 bytes", list(in("zz"), num(0), num(9), out(3)), -2, "", has, nil},
		{"db_scan", "limit 0", list(prefix, num(0), num(0), out(64)), -3, "", has, nil},
		{"db_scan", "limit 1024", list(prefix, num(2), num(1024), out(64)), 4, le(0), has, nil},
		{"db_scan", "limit 1025", list(prefix, num(0), num(1025), out(64)), -3, "", has, nil},
		{"db_scan", "limit before a reserved prefix", list(in("__nx/"), num(0), num(0), out(64)), -3, "", has, nil},
		{"db_keys", "all", list(in(""), num(0), num(9), out(64)), 26, le(4, 2, "a1", 2, "a2", 1, "b", 1, "\xff"), has, nil},
		{"db_keys", "cursor and limit", list(in(""), num(1), num(2), out(64)), 15, le(2, 2, "a2", 1, "b"), has, nil},
		{"db_keys", "too small", list(in(""), num(0), num(9), out(25)), -2, "", has, nil},

		{"db_scan_after", "from the start", list(prefix, at(0, 0), num(9), out(64)), 27, le(2, 2, 1, "a1x", 2, 2, "a2yy"), has, nil},
		{"db_scan_after", "empty cursor, any pointer", list(prefix, at(memoryEnd+9, 0), num(1), out(64)), 15, le(1, 2, 1, "a1x"), has, nil},
		{"db_scan_after", "after a key", list(prefix, in("a1"), num(9), out(64)), 16, le(1, 2, 2, "a2yy"), has, nil},
		{"db_scan_after", "after a key that is not there", list(prefix, in("a11"), num(9), out(64)), 16, le(1, 2, 2, "a2yy"), has, nil},
		{"db_scan_after", "after the last", list(prefix, in("a2"), num(9), out(64)), 4, le(0), has, nil},
		{"db_scan_after", "cursor is the prefix", list(prefix, in("a"), num(1), out(64)), 15, le(1, 2, 1, "a1x"), has, nil},
		{"db_scan_after", "cursor outside the prefix", list(prefix, in("b"), num(9), out(64)), -3, "", has, nil},
		{"db_scan_after", "cursor over 8 KiB", list(in(""), in(long+"k"), num(9), out(64)), -3, "", has, nil},
		{"db_scan_after", "reserved cursor", list(in(""), in("__nx/a"), num(9), out(64)), -4, "", has, nil},
		{"db_scan_after", "reserved before outside the prefix", list(prefix, in("__nx/a"), num(9), out(64)), -4, "", has, nil},
		{"db_scan_after", "cursor out of bounds", list(prefix, at(memoryEnd, 1), num(9), out(64)), -3, "", has, nil},
		{"db_scan_after", "prefix before cursor", list(in("__nx/"), in(long+"k"), num(9), out(64)), -4, "", has, nil},
		{"db_scan_after", "limit before prefix", list(in("__nx/"), at(0, 0), num(0), out(64)), -3, "", has, nil},
		{"db_keys_after", "after a key", list(in(""), in("a2"), num(9), out(64)), 14, le(2, 1, "b", 1, "\xff"), has, nil},
		{"db_keys_after", "too small", list(in(""), in("a2"), num(9), out(13)), -2, "", has, nil},
		{"db_keys_after", "limit 0", list(in(""), at(0, 0), num(0), out(64)), -3, "", has, nil},
	})
}

func TestSystemRows(t *testing.T) {
	vars := func(f *fixture) {
		f.Vars = map[string]string{"NX_MODE": "fast", "NUMAX_9": "", "PATH": "/bin", "NX_lower": "x", "NX_BYTES": "\xff", "": "x"}
	}
	off := func(f *fixture) { f.SyncErr = sandbox.ErrSyncDisabled }
	peers := func(f *fixture) { f.Addrs = []sandbox.Peer{{Addr: "b:1", ID: "B"}, {Addr: "a:1", ID: "AA"}} }
	abcSHA := sha256.Sum256([]byte("abc"))
	abcBLAKE, _ := hex.DecodeString("6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85")
	emptySHA := sha256.Sum256(nil)
	emitted := func(want ...sandboxtest.Event) func(f *fixture) any {
		return func(f *fixture) any {
			if got := f.Events(); fmt.Sprint(got) != fmt.Sprint(want) {
				return fmt.Sprintf("events %v, want %v", got, want)
			}
			return nil
		}
	}
	name128 := strings.Repeat("n", 128)
	runRows(t, []row{
		{"time_now", "Unix ms", nil, 1_700_000_000_123, "", nil, nil},
		{"time_now", "before 1970", nil, 0, "", func(f *fixture) { f.Clock = time.Unix(-5, 0) }, nil},

		{"random_bytes", "some", list(out(3)), 3, "\x07\x07\x07", nil, nil},
		{"random_bytes", "none", list(out(0)), 0, "", nil, nil},
		{"random_bytes", "over 1 MiB", list(out(mib + 1)), -3, "", nil, nil},
		{"random_bytes", "bounds", list(at(memoryEnd-1, 2)), -3, "", nil, nil},

		{"hash_sha256", "abc", list(in("abc"), out(32)), 32, string(abcSHA[:]), nil, nil},
		{"hash_sha256", "nothing", list(in(""), out(40)), 32, string(emptySHA[:]), nil, nil},
		{"hash_sha256", "too small", list(in("abc"), out(31)), -2, "", nil, nil},
		{"hash_sha256", "too small before input size", list(size(mib+1), out(31)), -2, "", nil, nil},
		{"hash_sha256", "output over 1 MiB", list(in("abc"), out(mib+1)), -3, "", nil, nil},
		{"hash_sha256", "input over 1 MiB", list(size(mib+1), out(32)), -3, "", nil, nil},
		{"hash_sha256", "input bounds", list(at(memoryEnd, 1), out(32)), -3, "", nil, nil},
		{"hash_sha256", "output bounds", list(in("abc"), at(memoryEnd-31, 32)), -3, "", nil, nil},
		{"hash_blake3", "abc", list(in("abc"), out(32)), 32, string(abcBLAKE), nil, nil},
		{"hash_blake3", "too small", list(in("abc"), out(0)), -2, "", nil, nil},

		{"env_get", "set", list(in("NX_MODE"), out(9)), 4, "fast", vars, nil},
		{"env_get", "set to nothing", list(in("NUMAX_9"), out(0)), 0, "", vars, nil},
		{"env_get", "unset", list(in("NX_NONE"), out(9)), -1, "", vars, nil},
		{"env_get", "not for guests", list(in("PATH"), out(9)), -1, "", vars, nil},
		{"env_get", "lower case", list(in("NX_lower"), out(9)), -1, "", vars, nil},
		{"env_get", "empty name", list(in(""), out(9)), -1, "", vars, nil},
		{"env_get", "name of 129 bytes", list(in("NX_"+strings.Repeat("A", 126)), out(9)), -3, "", vars, nil},
		{"env_get", "name of 128 bytes", list(in("NX_"+strings.Repeat("A", 125)), out(9)), -1, "", vars, nil},
		{"env_get", "name not UTF-8", list(in("NX_\xff"), out(9)), -3, "", vars, nil},
		{"env_get", "name out of bounds", list(at(memoryEnd, 1), out(9)), -3, "", vars, nil},
		{"env_get", "too small", list(in("NX_MODE"), out(3)), -2, "", vars, nil},
		{"env_get", "output over 1 MiB", list(in("NX_MODE"), out(mib+1)), -3, "", vars, nil},
		{"env_get", "unset before output size", list(in("NX_NONE"), out(mib+1)), -1, "", vars, nil},
		{"env_get", "value not UTF-8", list(in("NX_BYTES"), out(9)), -3, "", vars, nil},

		{"module_id", "path as typed", list(out(64)), 14, "dir/guest.wasm", nil, nil},
		{"module_id", "too small", list(out(13)), -2, "", nil, nil},
		{"module_id", "output over 1 MiB", list(out(mib + 1)), -3, "", nil, nil},
		{"module_id", "bounds", list(at(memoryEnd-2, 64)), -3, "", nil, nil},

		{"event_emit", "event", list(in("a.B_9:-"), in("\x00p")), 0, "", nil, emitted(sandboxtest.Event{Name: "a.B_9:-", Payload: []byte("\x00p")})},
		{"event_emit", "no payload", list(in(name128), in("")), 0, "", nil, emitted(sandboxtest.Event{Name: name128})},
		{"event_emit", "no name", list(in(""), in("p")), -3, "", nil, emitted()},
		{"event_emit", "name of 129", list(in(name128+"n"), in("p")), -3, "", nil, emitted()},
		{"event_emit", "bad name", list(in("a b"), in("p")), -3, "", nil, emitted()},
		{"event_emit", "slash", list(in("a/b"), in("p")), -3, "", nil, emitted()},
		{"event_emit", "64 KiB", list(in("n"), size(64*kib)), 0, "", nil, nil},
		{"event_emit", "over 64 KiB", list(in("n"), size(64*kib+1)), -3, "", nil, emitted()},
		{"event_emit", "payload bounds", list(in("n"), at(memoryEnd, 1)), -3, "", nil, emitted()},

		{"net_node_id", "id", list(out(64)), 6, "node-1", nil, nil},
		{"net_node_id", "sync off before output size", list(out(mib + 1)), -5, "", off, nil},
		{"net_node_id", "output over 1 MiB", list(out(mib + 1)), -3, "", nil, nil},
		{"net_node_id", "too small", list(out(5)), -2, "", nil, nil},
		{"net_peers", "none", list(out(4)), 4, le(0), nil, nil},
		{"net_peers", "sorted", list(out(64)), 29, le(2, 3, 2, "a:1AA", 3, 1, "b:1B"), peers, nil},
		{"net_peers", "too small", list(out(28)), -2, "", peers, nil},
		{"net_peers", "sync off before too small", list(out(0)), -5, "", off, nil},

		{"commit", "ok", nil, 0, "", nil, func(f *fixture) any {
			if f.Commits() != 1 {
				return f.Commits()
			}
			return nil
		}},
		{"commit", "queue full is ours to name", nil, -8, "", func(f *fixture) { f.WriteErr = sandbox.ErrBusy }, nil},
		{"commit", "sync off", nil, -5, "", off, nil},
	})
}

func TestMonotonic(t *testing.T) {
	f := newFixture(t, compileForwarder(t))
	first := f.call("time_monotonic")
	if second := f.call("time_monotonic"); first < 0 || second < first {
		t.Errorf("time_monotonic went from %d to %d", first, second)
	}
}

func TestCapabilities(t *testing.T) {
	f := newFixture(t, compileForwarder(t))
	names := strings.Split(f.output(int(f.call("host_capabilities", out(2*kib)))), "\n")
	if len(names) != len(sandboxtest.Functions) {
		t.Errorf("%d names, want %d", len(names), len(sandboxtest.Functions))
	}
	for i := 1; i < len(names); i++ {
		if names[i-1] >= names[i] {
			t.Errorf("%s before %s", names[i-1], names[i])
		}
	}
	f.clear()
	if got := f.call("host_capabilities", out(3)); got != -2 {
		t.Errorf("too small = %d", got)
	}
	f.quiet(0)
}

func TestCRDTRows(t *testing.T) {
	key, huge := in("k"), uint64(math.MaxUint64)
	busy := func(f *fixture) { f.WriteErr = sandbox.ErrBusy }
	off := func(f *fixture) { f.SyncErr = sandbox.ErrSyncDisabled }
	fields := sets("crdt_lww_map_set", list(key, in("b"), in("2")), list(key, in("a"), in("")), list(key, in("é"), in("3")))
	tags := sets("crdt_orset_add", list(key, in("b")), list(key, in("a")), list(key, in("a")))
	first := fmt.Sprintf("%032d", 1)
	text := func(f *fixture) {
		sets("crdt_rga_insert", list(key, at(0, 0), in("x"), out(36)))(f)
		sets("crdt_rga_insert", list(key, in(first), in("y"), out(36)))(f)
	}
	stays := func(f *fixture) any { f.WriteErr = nil; return answers("crdt_rga_values", 4, key, out(64))(f) }
	runRows(t, []row{
		{"crdt_gcounter_inc", "adds", list(key, num(2)), 0, "", sets("crdt_gcounter_inc", list(key, num(40))), func(f *fixture) any {
			if f.call("crdt_gcounter_value", key, out(8)); f.output(8) != le64(42) {
				return f.output(8)
			}
			f.clear()
			return nil
		}},
		{"crdt_gcounter_inc", "delta 0", list(key, num(0)), 0, "", nil, nil},
		{"crdt_gcounter_inc", "queue full has no effect", list(key, num(9)), -3, "", busy, func(f *fixture) any {
			if f.call("crdt_gcounter_value", key, out(8)); f.output(8) != le64(0) {
				return f.output(8)
			}
			return nil
		}},
		{"crdt_gcounter_value", "saturated", list(key, out(8)), 8, le64(huge), sets("crdt_gcounter_inc", list(key, num(huge)), list(key, num(huge))), nil},
		{"crdt_gcounter_value", "missing is 0", list(in("none"), out(64)), 8, le64(0), nil, nil},
		{"crdt_gcounter_value", "no cap on the capacity", list(key, out(mib+1)), 8, le64(0), nil, nil},
		{"crdt_gcounter_value", "small before all", list(in("\xff"), out(7)), -2, "", off, nil},
		{"crdt_pncounter_inc", "families are apart", list(key, num(2)), 0, "", sets("crdt_gcounter_inc", list(key, num(40))), nil},
		{"crdt_pncounter_value", "negative", list(key, out(8)), 8, le64(math.MaxUint64 - 2), sets("crdt_pncounter_dec", list(key, num(3))), nil},
		{"crdt_pncounter_value", "missing is 0", list(key, out(8)), 8, le64(0), nil, nil},

		{"crdt_lww_get", "value", list(key, out(5)), 5, "hello", sets("crdt_lww_set", list(key, in("old")), list(key, in("hello"))), nil},
		{"crdt_lww_get", "empty value", list(key, out(0)), 0, "", sets("crdt_lww_set", list(key, in(""))), nil},
		{"crdt_lww_get", "too small", list(key, out(4)), -2, "", sets("crdt_lww_set", list(key, in("hello"))), nil},
		{"crdt_lww_get", "absent before too small", list(key, out(0)), -1, "", nil, nil},
		{"crdt_lww_get", "sync off before absent", list(key, out(0)), -5, "", off, nil},

		{"crdt_lww_map_get", "value", list(key, in("b"), out(1)), 1, "2", fields, nil},
		{"crdt_lww_map_get", "too small", list(key, in("b"), out(0)), -2, "", fields, nil},
		{"crdt_lww_map_get", "removed", list(key, in("b"), out(9)), -1, "", func(f *fixture) { fields(f); sets("crdt_lww_map_remove", list(key, in("b")))(f) }, nil},
		{"crdt_lww_map_remove", "never set", list(key, in("zz")), 0, "", nil, nil},
		{"crdt_lww_map_contains", "yes", list(key, in("a")), 1, "", fields, nil},
		{"crdt_lww_map_contains", "no", list(key, in("c")), 0, "", fields, nil},
		{"crdt_lww_map_entries", "by field bytes", list(key, out(64)), 34, le(3, 1, "a", 0, "", 1, "b", 1, "2", 2, "é", 1, "3"), fields, nil},
		{"crdt_lww_map_entries", "too small", list(key, out(33)), -2, "", fields, nil},
		{"crdt_lww_map_entries", "missing map", list(in("none"), out(4)), 4, le(0), fields, nil},

		{"crdt_orset_contains", "yes", list(key, in("a")), 1, "", tags, nil},
		{"crdt_orset_contains", "no", list(key, in("c")), 0, "", tags, nil},
		{"crdt_orset_remove", "present", list(key, in("a")), 0, "", tags, answers("crdt_orset_contains", 0, key, in("a"))},
		{"crdt_orset_remove", "absent", list(key, in("zz")), 0, "", tags, nil},
		{"crdt_orset_elements", "by bytes, once each", list(key, out(64)), 14, le(2, 1, "a", 1, "b"), tags, nil},
		{"crdt_orset_elements", "too small", list(key, out(13)), -2, "", tags, nil},

		{"crdt_rga_insert", "id", list(key, at(0, 0), in("x"), out(36)), 32, first, nil, nil},
		{"crdt_rga_insert", "empty parent, any pointer", list(key, at(memoryEnd+9, 0), in("x"), out(36)), 32, first, nil, nil},
		{"crdt_rga_insert", "unknown parent", list(key, in("who?"), in("x"), out(36)), 32, first, nil, nil},
		{"crdt_rga_insert", "35 bytes, though the id has 32", list(key, at(0, 0), in("x"), out(35)), -2, "", nil, stays},
		{"crdt_rga_insert", "sync off before small", list(key, at(0, 0), in("x"), out(35)), -5, "", off, nil},
		{"crdt_rga_insert", "queue before small", list(key, at(0, 0), in("x"), out(35)), -3, "", busy, stays},
		{"crdt_rga_insert", "arguments before small", list(in("__nx/"), at(0, 0), in("x"), out(35)), -4, "", off, nil},
		{"crdt_rga_insert", "parent before value", list(key, in("\xff"), size(mib+1), out(36)), -3, "", nil, stays},
		{"crdt_rga_insert", "id buffer out of bounds has no effect", list(key, at(0, 0), in("x"), at(memoryEnd-35, 36)), -3, "", nil, stays},
		{"crdt_rga_values", "in order", list(key, out(64)), 14, le(2, 1, "x", 1, "y"), text, nil},
		{"crdt_rga_values", "too small", list(key, out(13)), -2, "", text, nil},
		{"crdt_rga_delete", "keeps children", list(key, in(first)), 0, "", text, answers("crdt_rga_values", 9, key, out(64))},
		{"crdt_rga_delete", "unknown id", list(key, in("who?")), 0, "", text, answers("crdt_rga_values", 14, key, out(64))},
		{"crdt_rga_delete", "empty id", list(key, in("")), 0, "", text, answers("crdt_rga_values", 14, key, out(64))},
	})
}
