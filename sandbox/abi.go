package sandbox

import (
	"slices"
	"strings"

	"github.com/tetratelabs/wazero/api"
)

// nxFunctions is the whole nx module: the 41 functions of the original ABI and what this host adds. ABI.md says what
// each does.
var nxFunctions = []*hostFunc{
	// log and system
	{name: "host_log", params: i32s(2), withMemory: hostLog},
	fn("host_log_v2", i32s(2), hostLog),
	fn("env_get", i32s(4), envGet),
	fn("module_id", i32s(2), moduleID),
	fn("host_capabilities", i32s(2), hostCapabilities),
	fn("event_emit", i32s(4), eventEmit),
	{name: "abort", params: i32s(2), withMemory: abort},

	// time, randomness, hashes
	{name: "time_now", results: []api.ValueType{i64}, number: timeNow},
	{name: "time_monotonic", results: []api.ValueType{i64}, number: timeMonotonic},
	fn("random_bytes", i32s(2), randomBytes),
	fn("hash_sha256", i32s(4), hash(sha256Sum)),
	fn("hash_blake3", i32s(4), hash(blake3Sum)),

	// the module's private keys
	fn("db_get", i32s(4), dbGet),
	fn("db_set", i32s(4), dbSet),
	fn("db_delete", i32s(2), dbDelete),
	fn("db_exists", i32s(2), dbExists),
	fn("db_scan", scanParams, scanByOffset(withValues)),
	fn("db_keys", scanParams, scanByOffset(keysOnly)),
	fn("db_scan_after", i32s(7), scanAfter(withValues)),
	fn("db_keys_after", i32s(7), scanAfter(keysOnly)),

	// network
	fn("net_node_id", i32s(2), netNodeID),
	fn("net_peers", i32s(2), netPeers),

	// CRDTs
	fn("crdt_gcounter_inc", deltaParams, counterAdd(CRDT.GCounterInc)),
	fn("crdt_gcounter_value", i32s(4), counterValue(CRDT.GCounterValue)),
	fn("crdt_pncounter_inc", deltaParams, counterAdd(CRDT.PNCounterInc)),
	fn("crdt_pncounter_dec", deltaParams, counterAdd(CRDT.PNCounterDec)),
	fn("crdt_pncounter_value", i32s(4), counterValue(CRDT.PNCounterValue)),
	fn("crdt_lww_set", i32s(4), lwwSet),
	fn("crdt_lww_get", i32s(4), lwwGet),
	fn("crdt_lww_map_set", i32s(6), mapSet),
	fn("crdt_lww_map_remove", i32s(4), element(CRDT.MapRemove)),
	fn("crdt_lww_map_get", i32s(6), mapGet),
	fn("crdt_lww_map_contains", i32s(4), contains(CRDT.MapContains)),
	fn("crdt_lww_map_entries", i32s(4), mapEntries),
	fn("crdt_orset_add", i32s(4), element(CRDT.SetAdd)),
	fn("crdt_orset_remove", i32s(4), element(CRDT.SetRemove)),
	fn("crdt_orset_contains", i32s(4), contains(CRDT.SetContains)),
	fn("crdt_orset_elements", i32s(4), setElements),
	fn("crdt_rga_insert", i32s(8), rgaInsert),
	fn("crdt_rga_delete", i32s(4), element(CRDT.RGADelete)),
	fn("crdt_rga_values", i32s(4), rgaValues),

	// ours
	scalar("commit", nil, commit),
	fn("dataset_use", i32s(2), serve(datasetUse)),
	fn("event_get", i32s(4), eventGet),
	fn("event_read", i32s(2), eventRead),
	fn("crdt_watch", i32s(2), serve(watch)),
	fn("crdt_unwatch", i32s(2), serve(unwatch)),
	scalar("timer_set", []api.ValueType{i32, i64, i64}, timerSet),
	scalar("timer_cancel", i32s(1), timerCancel),
	fn("msg_subscribe", i32s(2), subscription(Messages.Subscribe)),
	fn("msg_unsubscribe", i32s(2), subscription(Messages.Unsubscribe)),
	fn("msg_publish", i32s(4), msgPublish),
	fn("msg_send", i32s(6), msgSend),
	fn("msg_request", i32s(7), msgRequest),
	fn("msg_reply", i32s(2), msgReply),
	scalar("http_status", i32s(1), httpStatus),
	fn("http_header", i32s(4), httpHeader),
	fn("http_write", i32s(2), httpWrite),
	fn("fetch", i32s(8), fetch),
	fn("fetch_header", i32s(4), fetchHeader),
	fn("fetch_read", i32s(2), fetchRead),
	fn("blob_write", i32s(2), blobWrite),
	fn("blob_finish", i32s(2), blobFinish),
	fn("blob_size", i32s(2), blobSize),
	fn("blob_read", []api.ValueType{i32, i32, i64, i32, i32}, blobRead), // hash, offset, out
	fn("blob_drop", i32s(2), blobDrop),
}

// capabilities is what host_capabilities answers: every name in nxFunctions, sorted, one a line. Made in init, not
// in a declaration, because the table refers to the function that answers it.
var capabilities []byte

func init() {
	names := make([]string, len(nxFunctions))
	for i, f := range nxFunctions {
		f.index, names[i] = i, f.name
	}
	slices.Sort(names)
	capabilities = []byte(strings.Join(names, "\n"))
}

const (
	i32 = api.ValueTypeI32
	i64 = api.ValueTypeI64
)

var (
	scanParams  = []api.ValueType{i32, i32, i64, i32, i32, i32} // prefix, cursor, limit, out
	deltaParams = []api.ValueType{i32, i32, i64}                // key, delta
)

func i32s(n int) []api.ValueType { return slices.Repeat([]api.ValueType{i32}, n) }

// scalar is a function of numbers that answers a code.
func scalar(name string, params []api.ValueType, f func(g *guest, arg args) code) *hostFunc {
	return &hostFunc{name: name, params: params, results: i32s(1), scalar: f}
}

// fn is a function that needs memory and returns an i32.
func fn(name string, params []api.ValueType, f func(c call, arg args) code) *hostFunc {
	return &hostFunc{name: name, params: params, results: i32s(1), withMemory: f}
}
