package sandboxtest

import "slices"

// Function is the name and type of an nx import.
type Function struct {
	Name            string
	Params, Results []Type
}

// Functions is the nx module as the ABI writes it, independent of the table in package sandbox: i = i32, I = i64.
var Functions = []Function{
	f("host_log", "ii", ""), f("host_log_v2", "ii", "i"),
	f("db_get", "iiii", "i"), f("db_set", "iiii", "i"), f("db_delete", "ii", "i"), f("db_exists", "ii", "i"),
	f("db_scan", "iiIiii", "i"), f("db_keys", "iiIiii", "i"),
	f("db_scan_after", "iiiiiii", "i"), f("db_keys_after", "iiiiiii", "i"),
	f("time_now", "", "I"), f("time_monotonic", "", "I"),
	f("random_bytes", "ii", "i"), f("hash_sha256", "iiii", "i"), f("hash_blake3", "iiii", "i"),
	f("env_get", "iiii", "i"), f("module_id", "ii", "i"), f("host_capabilities", "ii", "i"),
	f("event_emit", "iiii", "i"), f("abort", "ii", ""),
	f("net_node_id", "ii", "i"), f("net_peers", "ii", "i"),
	f("crdt_gcounter_inc", "iiI", "i"), f("crdt_gcounter_value", "iiii", "i"),
	f("crdt_pncounter_inc", "iiI", "i"), f("crdt_pncounter_dec", "iiI", "i"), f("crdt_pncounter_value", "iiii", "i"),
	f("crdt_lww_set", "iiii", "i"), f("crdt_lww_get", "iiii", "i"),
	f("crdt_lww_map_set", "iiiiii", "i"), f("crdt_lww_map_remove", "iiii", "i"), f("crdt_lww_map_get", "iiiiii", "i"),
	f("crdt_lww_map_contains", "iiii", "i"), f("crdt_lww_map_entries", "iiii", "i"),
	f("crdt_orset_add", "iiii", "i"), f("crdt_orset_remove", "iiii", "i"),
	f("crdt_orset_contains", "iiii", "i"), f("crdt_orset_elements", "iiii", "i"),
	f("crdt_rga_insert", "iiiiiiii", "i"), f("crdt_rga_delete", "iiii", "i"), f("crdt_rga_values", "iiii", "i"),

	// ours; the 41 above are the original's
	f("commit", "", "i"), f("dataset_use", "ii", "i"),
	f("event_get", "iiii", "i"), f("event_read", "ii", "i"),
	f("crdt_watch", "ii", "i"), f("crdt_unwatch", "ii", "i"),
	f("timer_set", "iII", "i"), f("timer_cancel", "i", "i"),
	f("msg_subscribe", "ii", "i"), f("msg_unsubscribe", "ii", "i"),
	f("msg_publish", "iiii", "i"), f("msg_send", "iiiiii", "i"), f("msg_request", "iiiiiii", "i"), f("msg_reply", "ii", "i"),
	f("http_status", "i", "i"), f("http_header", "iiii", "i"), f("http_write", "ii", "i"),
	f("fetch", "iiiiiiii", "i"), f("fetch_header", "iiii", "i"), f("fetch_read", "ii", "i"),
	f("blob_write", "ii", "i"), f("blob_finish", "ii", "i"), f("blob_size", "ii", "i"), f("blob_read", "iiIii", "i"),
	f("blob_drop", "ii", "i"),
}

func f(name, params, results string) Function {
	types := func(s string) []Type {
		var list []Type
		for _, c := range s {
			list = append(list, map[rune]Type{'i': I32, 'I': I64}[c])
		}
		return list
	}
	return Function{name, types(params), types(results)}
}

// Forwarder is a guest that imports every nx function and exports one of the same name and type that passes its
// arguments on. Its memory has pages pages and is exported as memory ("" = not at all). Its run does nothing.
func Forwarder(pages uint32, memory string) []byte {
	m := new(Module)
	for _, f := range Functions {
		m.Import("nx", f.Name, f.Params, f.Results)
	}
	for i, f := range Functions {
		var code []byte
		for p := range f.Params {
			code = append(code, opLocalGet, byte(p))
		}
		m.Export(f.Name, m.Func(f.Params, f.Results, append(code, CallFunc(uint32(i))...)...))
	}
	m.Export("run", m.Func(nil, nil))
	m.Memory(pages, memory)
	return m.Bytes()
}

// Runs is a guest with one page of memory whose run executes code.
func Runs(code ...byte) []byte {
	m := new(Module)
	m.Memory(1, "memory")
	m.Export("run", m.Func(nil, nil, code...))
	return m.Bytes()
}

// On adds a handler: an export of type () -> () that executes code.
func (m *Module) On(event string, code ...byte) { m.Export(event, m.Func(nil, nil, code...)) }

// Recurses is a guest that calls itself without end and without a loop.
func Recurses() []byte { return Runs(CallFunc(0)...) }

// Logs adds to m a function that logs msg; m must import nx.host_log as function log.
func (m *Module) Logs(log uint32, msg string) uint32 {
	return m.Func(nil, nil, SayCode(log, msg)...)
}

// SayCode calls a (ptr, len) function with msg, placed at address 0.
func SayCode(fn uint32, msg string) []byte {
	return slices.Concat(Poke(0, []byte(msg)), Const32(0), Const32(int32(len(msg))), CallFunc(fn))
}
