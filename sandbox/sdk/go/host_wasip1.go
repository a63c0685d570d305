//go:build wasip1

package nx

import "unsafe"

// The host's functions. A string parameter is passed as (pointer, length); so are byte slices, by way of view, and
// output buffers, as (pointer, capacity). The host is done with the memory when the call returns.

// view passes bytes without a copy.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

//go:wasmimport nx host_log_v2
func hostLog(line string) int32

//go:wasmimport nx abort
func hostAbort(msg string)

//go:wasmimport nx env_get
func importEnvGet(name string, out unsafe.Pointer, capacity uint32) int32

//go:wasmimport nx module_id
func importModuleID(out unsafe.Pointer, capacity uint32) int32

//go:wasmimport nx host_capabilities
func importHostCapabilities(out unsafe.Pointer, capacity uint32) int32

//go:wasmimport nx event_emit
func importEventEmit(name string, payload string) int32

//go:wasmimport nx time_now
func timeNow() int64

//go:wasmimport nx time_monotonic
func timeMonotonic() int64

//go:wasmimport nx random_bytes
func importRandomBytes(out unsafe.Pointer, capacity uint32) int32

//go:wasmimport nx hash_sha256
func importHashSHA256(data string, out unsafe.Pointer, capacity uint32) int32

//go:wasmimport nx hash_blake3
func importHashBLAKE3(data string, out unsafe.Pointer, capacity uint32) int32

//go:wasmimport nx net_node_id
func importNetNodeID(out unsafe.Pointer, capacity uint32) int32

//go:wasmimport nx net_peers
func importNetPeers(out unsafe.Pointer, capacity uint32) int32

//go:wasmimport nx db_get
func importDbGet(key string, out unsafe.Pointer, capacity uint32) int32

//go:wasmimport nx db_set
func importDbSet(key string, value string) int32

//go:wasmimport nx db_delete
func importDbDelete(key string) int32

//go:wasmimport nx db_exists
func importDbExists(key string) int32

//go:wasmimport nx db_scan_after
func importDbScanAfter(prefix string, after string, limit uint32, out unsafe.Pointer, capacity uint32) int32

//go:wasmimport nx db_keys_after
func importDbKeysAfter(prefix string, after string, limit uint32, out unsafe.Pointer, capacity uint32) int32

//go:wasmimport nx crdt_gcounter_inc
func gcounterInc(key string, delta uint64) int32

//go:wasmimport nx crdt_gcounter_value
func importGcounterValue(key string, out unsafe.Pointer, capacity uint32) int32

//go:wasmimport nx crdt_pncounter_inc
func pncounterInc(key string, delta uint64) int32

//go:wasmimport nx crdt_pncounter_dec
func pncounterDec(key string, delta uint64) int32

//go:wasmimport nx crdt_pncounter_value
func importPncounterValue(key string, out unsafe.Pointer, capacity uint32) int32

//go:wasmimport nx crdt_lww_set
func importLwwSet(key string, value string) int32

//go:wasmimport nx crdt_lww_get
func importLwwGet(key string, out unsafe.Pointer, capacity uint32) int32

//go:wasmimport nx crdt_lww_map_set
func importMapSet(key string, field string, value string) int32

//go:wasmimport nx crdt_lww_map_remove
func mapRemove(key string, field string) int32

//go:wasmimport nx crdt_lww_map_get
func importMapGet(key string, field string, out unsafe.Pointer, capacity uint32) int32

//go:wasmimport nx crdt_lww_map_contains
func mapContains(key string, field string) int32

//go:wasmimport nx crdt_lww_map_entries
func importMapEntries(key string, out unsafe.Pointer, capacity uint32) int32

//go:wasmimport nx crdt_orset_add
func setAdd(key string, element string) int32

//go:wasmimport nx crdt_orset_remove
func setRemove(key string, element string) int32

//go:wasmimport nx crdt_orset_contains
func setContains(key string, element string) int32

//go:wasmimport nx crdt_orset_elements
func importSetElements(key string, out unsafe.Pointer, capacity uint32) int32

//go:wasmimport nx crdt_rga_insert
func importRgaInsert(key string, parent string, value string, out unsafe.Pointer, capacity uint32) int32

//go:wasmimport nx crdt_rga_delete
func rgaDelete(key string, id string) int32

//go:wasmimport nx crdt_rga_values
func importRgaValues(key string, out unsafe.Pointer, capacity uint32) int32

//go:wasmimport nx commit
func commit() int32

func envGet(name string, out []byte) int32 {
	return importEnvGet(name, unsafe.Pointer(unsafe.SliceData(out)), uint32(len(out)))
}

func moduleID(out []byte) int32 {
	return importModuleID(unsafe.Pointer(unsafe.SliceData(out)), uint32(len(out)))
}

func hostCapabilities(out []byte) int32 {
	return importHostCapabilities(unsafe.Pointer(unsafe.SliceData(out)), uint32(len(out)))
}

func eventEmit(name string, payload []byte) int32 {
	return importEventEmit(name, view(payload))
}

func randomBytes(out []byte) int32 {
	return importRandomBytes(unsafe.Pointer(unsafe.SliceData(out)), uint32(len(out)))
}

func hashSHA256(data []byte, out []byte) int32 {
	return importHashSHA256(view(data), unsafe.Pointer(unsafe.SliceData(out)), uint32(len(out)))
}

func hashBLAKE3(data []byte, out []byte) int32 {
	return importHashBLAKE3(view(data), unsafe.Pointer(unsafe.SliceData(out)), uint32(len(out)))
}

func netNodeID(out []byte) int32 {
	return importNetNodeID(unsafe.Pointer(unsafe.SliceData(out)), uint32(len(out)))
}

func netPeers(out []byte) int32 {
	return importNetPeers(unsafe.Pointer(unsafe.SliceData(out)), uint32(len(out)))
}

func dbGet(key []byte, out []byte) int32 {
	return importDbGet(view(key), unsafe.Pointer(unsafe.SliceData(out)), uint32(len(out)))
}

func dbSet(key []byte, value []byte) int32 {
	return importDbSet(view(key), view(value))
}

func dbDelete(key []byte) int32 {
	return importDbDelete(view(key))
}

func dbExists(key []byte) int32 {
	return importDbExists(view(key))
}

func dbScanAfter(prefix []byte, after []byte, limit uint32, out []byte) int32 {
	return importDbScanAfter(view(prefix), view(after), limit, unsafe.Pointer(unsafe.SliceData(out)), uint32(len(out)))
}

func dbKeysAfter(prefix []byte, after []byte, limit uint32, out []byte) int32 {
	return importDbKeysAfter(view(prefix), view(after), limit, unsafe.Pointer(unsafe.SliceData(out)), uint32(len(out)))
}

func gcounterValue(key string, out []byte) int32 {
	return importGcounterValue(key, unsafe.Pointer(unsafe.SliceData(out)), uint32(len(out)))
}

func pncounterValue(key string, out []byte) int32 {
	return importPncounterValue(key, unsafe.Pointer(unsafe.SliceData(out)), uint32(len(out)))
}

func lwwSet(key string, value []byte) int32 {
	return importLwwSet(key, view(value))
}

func lwwGet(key string, out []byte) int32 {
	return importLwwGet(key, unsafe.Pointer(unsafe.SliceData(out)), uint32(len(out)))
}

func mapSet(key string, field string, value []byte) int32 {
	return importMapSet(key, field, view(value))
}

func mapGet(key string, field string, out []byte) int32 {
	return importMapGet(key, field, unsafe.Pointer(unsafe.SliceData(out)), uint32(len(out)))
}

func mapEntries(key string, out []byte) int32 {
	return importMapEntries(key, unsafe.Pointer(unsafe.SliceData(out)), uint32(len(out)))
}

func setElements(key string, out []byte) int32 {
	return importSetElements(key, unsafe.Pointer(unsafe.SliceData(out)), uint32(len(out)))
}

func rgaInsert(key string, parent string, value []byte, out []byte) int32 {
	return importRgaInsert(key, parent, view(value), unsafe.Pointer(unsafe.SliceData(out)), uint32(len(out)))
}

func rgaValues(key string, out []byte) int32 {
	return importRgaValues(key, unsafe.Pointer(unsafe.SliceData(out)), uint32(len(out)))
}
