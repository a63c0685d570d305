package module

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/numax-mesh/numax/sandbox/sandboxtest"
)

// everything is a binary with all kinds of imports.
func everything() []byte {
	m := new(sandboxtest.Module)
	for _, name := range []string{"crdt_lww_map_set", "crdt_lww_get", "random_bytes", "db_get", "msg_publish", "fetch", "random_bytes"} {
		m.Import("nx", name, nil, nil)
	}
	m.Import("wasi_snapshot_preview1", "random_get", nil, nil)
	m.ImportRaw("env", "table", kindTable, 0x70, 1, 1, 2)
	m.ImportRaw("env", "global", kindGlobal, 0x7f, 0)
	m.Memory(3, "memory")
	for _, name := range []string{"run", "on_change", "on_tick", "helper"} {
		m.Export(name, m.Func(nil, nil))
	}
	return m.Bytes()
}

func TestReadBinary(t *testing.T) {
	b, err := ReadBinary(everything())
	if err != nil {
		t.Fatal(err)
	}
	if b.Memory != 3*pageSize || len(b.Imports) != 8 || !slices.Equal(b.Exports, []string{"run", "on_change", "on_tick", "helper"}) {
		t.Errorf("got %+v", b)
	}
	if want := []string{"on_change", "on_tick"}; !slices.Equal(b.Reacts(), want) {
		t.Errorf("reacts %v, want %v", b.Reacts(), want)
	}
	for _, bad := range [][]byte{nil, []byte("\x00asm\x0d\x00\x01\x00"), append([]byte(wasmHead), 2), append([]byte(wasmHead), 2, 9, 1)} {
		if _, err := ReadBinary(bad); err == nil {
			t.Errorf("read %x", bad)
		}
	}
}

// Everything that is called is granted or named.
func TestNeeds(t *testing.T) {
	b, err := ReadBinary(everything())
	if err != nil {
		t.Fatal(err)
	}
	want := []Need{
		{"crdt_lww_get", "data read lww-register"},
		{"crdt_lww_map_set", "data write lww-map"},
		{"fetch", "hosts"},
		{"msg_publish", "publish"},
		{"on_change", "data read"},
		{"random_bytes", "random"},
	}
	if got := (*Grants)(nil).Needs(b); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	g := &Grants{
		Data:  []DataGrant{{"default", "", AllFamilies, 0}, {"default", "", 0, AllFamilies}},
		Hosts: []string{"a.org"}, Publish: []string{"a"}, Random: true,
	}
	if got := g.Needs(b); len(got) != 0 {
		t.Errorf("got %v, want nothing", got)
	}
}

func TestUnanswered(t *testing.T) {
	m, err := Parse([]byte(minimal + `
[grants]
subscribe = ["a"]
[[grants.data]]
dataset = "d"
read = "all"
[[triggers]]
message = "a"
[[triggers]]
http = "/"
[[triggers]]
every = "1s"
[[triggers]]
change = {dataset = "d"}
`))
	if err != nil {
		t.Fatal(err)
	}
	b, err := ReadBinary(everything()) // has on_change and on_tick
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Unanswered(b); !reflect.DeepEqual(got, m.Triggers[:2]) {
		t.Errorf("got %v, want %v", got, m.Triggers[:2])
	}
}

// Every function of the ABI needs a grant, or is known to need none: a new one
// must be thought about here.
func TestNeedsKnowTheABI(t *testing.T) {
	free := []string{
		"host_log", "host_log_v2", "module_id", "host_capabilities", "event_emit", "abort", "hash_sha256", "hash_blake3", "commit",
		"db_get", "db_set", "db_delete", "db_exists", "db_scan", "db_keys", "db_scan_after", "db_keys_after", "net_node_id",
		"event_get", "event_read", "crdt_unwatch", "timer_set", "timer_cancel", "msg_unsubscribe", "msg_reply",
		"http_status", "http_header", "http_write", "init", "shutdown", "on_tick", "on_request",
	}
	seen := 0
	row := regexp.MustCompile("^\\| (`[a-z0-9_]+`(?:, `[a-z0-9_]+`)*)")
	for line := range strings.Lines(readText(t, "../../sandbox/ABI.md")) {
		m := row.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		for name := range strings.SplitSeq(strings.ReplaceAll(m[1], "`", ""), ", ") {
			seen++
			if needs := new(Grants).lacks(name) != ""; needs == slices.Contains(free, name) {
				t.Errorf("%s: needs a grant: %t, and is in the list of those that need none: %t", name, needs, !needs)
			}
			if strings.HasPrefix(name, "on_") && !slices.Contains(Reactions, name) {
				t.Errorf("%s is missing in Reactions", name)
			}
		}
	}
	if seen < 42 {
		t.Errorf("found %d functions in ABI.md", seen)
	}
}
