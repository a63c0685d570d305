// The host's functions as they are. The rest of the package is made of these.
//
// Byte strings go in as (pointer, length) and come out into a buffer, as (pointer, capacity); the function then returns
// their length. Every i32 is >= 0 when the call worked.

// System.

/** Writes a line to the node's log, as "[guest] ...". 0. */
@external("nx", "host_log_v2")
export declare function host_log_v2(msg: usize, msgLen: u32): i32;

/** The same without an answer: failures are silent. */
@external("nx", "host_log")
export declare function host_log(msg: usize, msgLen: u32): void;

/** A variable of the node's environment: only names NX_... and NUMAX_... of A-Z 0-9 _ are ever set. Its length. */
@external("nx", "env_get")
export declare function env_get(name: usize, nameLen: u32, out: usize, outCap: u32): i32;

/** The path this module was started from, as typed. Its length. */
@external("nx", "module_id")
export declare function module_id(out: usize, outCap: u32): i32;

/** The names of all functions the host has, sorted, joined by newlines. Their length. */
@external("nx", "host_capabilities")
export declare function host_capabilities(out: usize, outCap: u32): i32;

/** Reports an event. Its name is 1 to 128 of A-Z a-z 0-9 _ . : - and the payload anything. 0. */
@external("nx", "event_emit")
export declare function event_emit(name: usize, nameLen: u32, payload: usize, payloadLen: u32): i32;

/** Ends the run with "guest abort: <msg>". What was written stays. */
@external("nx", "abort")
export declare function abort(msg: usize, msgLen: u32): void;

/** Milliseconds since 1970. */
@external("nx", "time_now")
export declare function time_now(): i64;

/** Milliseconds since it was first asked in this node's life; never jumps. */
@external("nx", "time_monotonic")
export declare function time_monotonic(): i64;

/** Fills len bytes. len. */
@external("nx", "random_bytes")
export declare function random_bytes(out: usize, len: u32): i32;

/** SHA-256 of the input: 32 bytes. 32. */
@external("nx", "hash_sha256")
export declare function hash_sha256(input: usize, inputLen: u32, out: usize, outCap: u32): i32;

/** BLAKE3 of the input: 32 bytes. 32. */
@external("nx", "hash_blake3")
export declare function hash_blake3(input: usize, inputLen: u32, out: usize, outCap: u32): i32;

// The module's private keys: bytes to bytes, on this node alone.

/** The value of a key. Its length, which may be 0, or -1. */
@external("nx", "db_get")
export declare function db_get(key: usize, keyLen: u32, out: usize, outCap: u32): i32;

/** Writes a key. 0. */
@external("nx", "db_set")
export declare function db_set(key: usize, keyLen: u32, value: usize, valueLen: u32): i32;

/** Deletes a key. 0, also when it is absent. */
@external("nx", "db_delete")
export declare function db_delete(key: usize, keyLen: u32): i32;

/** 1 if the key is there, else 0. */
@external("nx", "db_exists")
export declare function db_exists(key: usize, keyLen: u32): i32;

/** Keys that start with prefix, ascending, with their values; the first cursor of them are skipped. A page that
 * does not fit as a whole is -2. u32 n, n x (u32 klen, u32 vlen, key, value); its length. */
@external("nx", "db_scan")
export declare function db_scan(prefix: usize, prefixLen: u32, cursor: u64, limit: u32, out: usize, outCap: u32): i32;

/** The same without values: u32 n, n x (u32 klen, key). */
@external("nx", "db_keys")
export declare function db_keys(prefix: usize, prefixLen: u32, cursor: u64, limit: u32, out: usize, outCap: u32): i32;

/** Like db_scan, from the first key greater than after, which must lie within the prefix but need not exist;
 * after_len 0 = from the start. */
@external("nx", "db_scan_after")
export declare function db_scan_after(prefix: usize, prefixLen: u32, after: usize, afterLen: u32, limit: u32, out: usize, outCap: u32): i32;

/** The same without values: u32 n, n x (u32 klen, key). */
@external("nx", "db_keys_after")
export declare function db_keys_after(prefix: usize, prefixLen: u32, after: usize, afterLen: u32, limit: u32, out: usize, outCap: u32): i32;

// Network.

/** The node's id. Its length, or -5. */
@external("nx", "net_node_id")
export declare function net_node_id(out: usize, outCap: u32): i32;

/** Connected nodes by address: u32 n, n x (u32 alen, u32 idlen, addr, id); its length. */
@external("nx", "net_peers")
export declare function net_peers(out: usize, outCap: u32): i32;

// Replicated data. Keys, fields, elements and ids are UTF-8. The six families have separate key spaces.

/** Adds to a counter that only grows. 0. */
@external("nx", "crdt_gcounter_inc")
export declare function crdt_gcounter_inc(key: usize, keyLen: u32, delta: u64): i32;

/** A u64, 0 if nobody added anything. 8. A capacity under 8 is -2. */
@external("nx", "crdt_gcounter_value")
export declare function crdt_gcounter_value(key: usize, keyLen: u32, out: usize, outCap: u32): i32;

/** Adds to a counter that goes both ways. 0. */
@external("nx", "crdt_pncounter_inc")
export declare function crdt_pncounter_inc(key: usize, keyLen: u32, delta: u64): i32;

/** Subtracts from it. 0. */
@external("nx", "crdt_pncounter_dec")
export declare function crdt_pncounter_dec(key: usize, keyLen: u32, delta: u64): i32;

/** An i64, 0 if nobody moved it. 8. A capacity under 8 is -2. */
@external("nx", "crdt_pncounter_value")
export declare function crdt_pncounter_value(key: usize, keyLen: u32, out: usize, outCap: u32): i32;

/** Writes a register: the last write wins. 0. */
@external("nx", "crdt_lww_set")
export declare function crdt_lww_set(key: usize, keyLen: u32, value: usize, valueLen: u32): i32;

/** Reads a register. The length, or -1. */
@external("nx", "crdt_lww_get")
export declare function crdt_lww_get(key: usize, keyLen: u32, out: usize, outCap: u32): i32;

/** Writes a field of a map: the last write wins, per field. 0. */
@external("nx", "crdt_lww_map_set")
export declare function crdt_lww_map_set(key: usize, keyLen: u32, field: usize, fieldLen: u32, value: usize, valueLen: u32): i32;

/** Removes a field, which is a write too. 0, also when it was never set. */
@external("nx", "crdt_lww_map_remove")
export declare function crdt_lww_map_remove(key: usize, keyLen: u32, field: usize, fieldLen: u32): i32;

/** Reads a field. The length, or -1. */
@external("nx", "crdt_lww_map_get")
export declare function crdt_lww_map_get(key: usize, keyLen: u32, field: usize, fieldLen: u32, out: usize, outCap: u32): i32;

/** 1 if the field is there, else 0. */
@external("nx", "crdt_lww_map_contains")
export declare function crdt_lww_map_contains(key: usize, keyLen: u32, field: usize, fieldLen: u32): i32;

/** All fields by their bytes: u32 n, n x (u32 flen, field, u32 vlen, value); its length. */
@external("nx", "crdt_lww_map_entries")
export declare function crdt_lww_map_entries(key: usize, keyLen: u32, out: usize, outCap: u32): i32;

/** Adds an element to a set. 0. */
@external("nx", "crdt_orset_add")
export declare function crdt_orset_add(key: usize, keyLen: u32, elem: usize, elemLen: u32): i32;

/** Removes the additions of an element that this node has seen. 0. */
@external("nx", "crdt_orset_remove")
export declare function crdt_orset_remove(key: usize, keyLen: u32, elem: usize, elemLen: u32): i32;

/** 1 if the element is in the set, else 0. */
@external("nx", "crdt_orset_contains")
export declare function crdt_orset_contains(key: usize, keyLen: u32, elem: usize, elemLen: u32): i32;

/** All elements by their bytes: u32 n, n x (u32 len, text); its length. */
@external("nx", "crdt_orset_elements")
export declare function crdt_orset_elements(key: usize, keyLen: u32, out: usize, outCap: u32): i32;

/** Puts a value after an element of a list; parent_len 0, or a parent unknown here, is the head. Writes the new
 * element's id and returns its length, at most 36. A capacity under 36 is -2, and nothing is inserted. */
@external("nx", "crdt_rga_insert")
export declare function crdt_rga_insert(key: usize, keyLen: u32, parent: usize, parentLen: u32, value: usize, valueLen: u32, out: usize, outCap: u32): i32;

/** Deletes an element. 0, also for an unknown id. */
@external("nx", "crdt_rga_delete")
export declare function crdt_rga_delete(key: usize, keyLen: u32, id: usize, idLen: u32): i32;

/** The list in order: u32 n, n x (u32 len, bytes); its length. */
@external("nx", "crdt_rga_values")
export declare function crdt_rga_values(key: usize, keyLen: u32, out: usize, outCap: u32): i32;

/** Returns 0 once everything this guest wrote so far is on disk. -8 means: try again. Ours: not in the original
 * ABI. */
@external("nx", "commit")
export declare function commit(): i32;

// A guest that lives on: the call under way.

/** A field of the call under way. Its length, or -1 if there is none. */
@external("nx", "event_get")
export declare function event_get(name: usize, nameLen: u32, out: usize, outCap: u32): i32;

/** Reads on in the body of a message or web request: how many bytes, 0 at its end, -1 if there is none. */
@external("nx", "event_read")
export declare function event_read(out: usize, outCap: u32): i32;

// Datasets and watches.

/** Chooses the dataset that crdt functions mean from now on. 0, or -1 if the node does not have it. */
@external("nx", "dataset_use")
export declare function dataset_use(name: usize, nameLen: u32): i32;

/** Asks for on_change and on_remote_op of the dataset's objects whose key starts with prefix. 0. */
@external("nx", "crdt_watch")
export declare function crdt_watch(prefix: usize, prefixLen: u32): i32;

/** Takes a watch back. 0. */
@external("nx", "crdt_unwatch")
export declare function crdt_unwatch(prefix: usize, prefixLen: u32): i32;

// Timers.

/** Calls on_tick after delay_ms and then, unless period_ms is 0, every period_ms; in place of an earlier timer
 * of that id. 0. */
@external("nx", "timer_set")
export declare function timer_set(id: u32, delayMs: u64, periodMs: u64): i32;

/** Ends a timer. 0, or -1 if there is none of that id. */
@external("nx", "timer_cancel")
export declare function timer_cancel(id: u32): i32;

// Messages. A subject is 1 to 128 of A-Za-z0-9_.:-, a payload at most 64 KiB.

/** Asks for on_message of a subject. 0. */
@external("nx", "msg_subscribe")
export declare function msg_subscribe(subject: usize, subjectLen: u32): i32;

/** Takes a subscription back. 0. */
@external("nx", "msg_unsubscribe")
export declare function msg_unsubscribe(subject: usize, subjectLen: u32): i32;

/** Tells every subscriber on every node, at most once. 0. */
@external("nx", "msg_publish")
export declare function msg_publish(subject: usize, subjectLen: u32, payload: usize, payloadLen: u32): i32;

/** Tells the subscribers on one node, at least once. 0 once it is on disk here. */
@external("nx", "msg_send")
export declare function msg_send(node: usize, nodeLen: u32, subject: usize, subjectLen: u32, payload: usize, payloadLen: u32): i32;

/** Asks; the capacity must be 65,536. The length of the first answer, or -1 if none came in time. */
@external("nx", "msg_request")
export declare function msg_request(subject: usize, subjectLen: u32, payload: usize, payloadLen: u32, timeoutMs: u32, out: usize, outCap: u32): i32;

/** Answers the message of this on_message, if its sender asked. 0. */
@external("nx", "msg_reply")
export declare function msg_reply(payload: usize, payloadLen: u32): i32;

// Web requests.

/** Sets the status of the answer to the request of this on_request, before the first write. 0. */
@external("nx", "http_status")
export declare function http_status(status: u32): i32;

/** Sets a header of the answer, before the first write. 0. */
@external("nx", "http_header")
export declare function http_header(name: usize, nameLen: u32, value: usize, valueLen: u32): i32;

/** Writes the next of the answer's body; the first write sends status and headers. 0. */
@external("nx", "http_write")
export declare function http_write(data: usize, dataLen: u32): i32;

/** Makes a web request; headers are lines "Name: value\n". The status of the answer. */
@external("nx", "fetch")
export declare function fetch(method: usize, methodLen: u32, url: usize, urlLen: u32, headers: usize, headersLen: u32, body: usize, bodyLen: u32): i32;

/** A header of what was fetched. Its length, or -1 if there is none. */
@external("nx", "fetch_header")
export declare function fetch_header(name: usize, nameLen: u32, out: usize, outCap: u32): i32;

/** Reads on in the body of what was fetched: how many bytes, 0 at its end. */
@external("nx", "fetch_read")
export declare function fetch_read(out: usize, outCap: u32): i32;

// Blobs.

/** Appends at most 1 MiB to the blob this instance is making. 0. */
@external("nx", "blob_write")
export declare function blob_write(data: usize, dataLen: u32): i32;

/** Makes it a blob, on disk; writes its hash. 32. */
@external("nx", "blob_finish")
export declare function blob_finish(out: usize, outCap: u32): i32;

/** The size of a blob, fetched if it is not here, or -1. */
@external("nx", "blob_size")
export declare function blob_size(hash: usize, hashLen: u32): i32;

/** Reads from an offset: how many bytes, 0 at the end, or -1. */
@external("nx", "blob_read")
export declare function blob_read(hash: usize, hashLen: u32, offset: u64, out: usize, outCap: u32): i32;

/** Takes back that the module needs a blob. 0, or -1. */
@external("nx", "blob_drop")
export declare function blob_drop(hash: usize, hashLen: u32): i32;
