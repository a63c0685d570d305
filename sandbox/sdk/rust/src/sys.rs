//! The host's functions as they are. The rest of the crate is safe and made of these.
//!
//! Byte strings go in as (pointer, length) and come out into a buffer, as (pointer, capacity); the function then returns
//! their length. Every `i32` is >= 0 when the call worked. Each is unsafe for one reason: the pointers must be good for
//! as many bytes as are given with them.

#![allow(clippy::missing_safety_doc)]

#[link(wasm_import_module = "nx")]
extern "C" {
    // System
    /// Writes a line to the node's log, as "[guest] ...". 0.
    pub fn host_log_v2(msg: *const u8, msg_len: usize) -> i32;
    /// The same without an answer: failures are silent.
    pub fn host_log(msg: *const u8, msg_len: usize);
    /// A variable of the node's environment: only names NX_... and NUMAX_... of A-Z 0-9 _ are ever set. Its length.
    pub fn env_get(name: *const u8, name_len: usize, out: *mut u8, out_cap: u32) -> i32;
    /// The path this module was started from, as typed. Its length.
    pub fn module_id(out: *mut u8, out_cap: u32) -> i32;
    /// The names of all functions the host has, sorted, joined by newlines. Their length.
    pub fn host_capabilities(out: *mut u8, out_cap: u32) -> i32;
    /// Reports an event. Its name is 1 to 128 of A-Z a-z 0-9 _ . : - and the payload anything. 0.
    pub fn event_emit(name: *const u8, name_len: usize, payload: *const u8, payload_len: usize) -> i32;
    /// Ends the run with "guest abort: <msg>". What was written stays.
    pub fn abort(msg: *const u8, msg_len: usize) -> !;
    /// Milliseconds since 1970.
    pub fn time_now() -> i64;
    /// Milliseconds since it was first asked in this node's life; never jumps.
    pub fn time_monotonic() -> i64;
    /// Fills len bytes. len.
    pub fn random_bytes(out: *mut u8, len: usize) -> i32;
    /// SHA-256 of the input: 32 bytes. 32.
    pub fn hash_sha256(input: *const u8, input_len: usize, out: *mut u8, out_cap: u32) -> i32;
    /// BLAKE3 of the input: 32 bytes. 32.
    pub fn hash_blake3(input: *const u8, input_len: usize, out: *mut u8, out_cap: u32) -> i32;
    // The module's private keys: bytes to bytes, on this node alone
    /// The value of a key. Its length, which may be 0, or -1.
    pub fn db_get(key: *const u8, key_len: usize, out: *mut u8, out_cap: u32) -> i32;
    /// Writes a key. 0.
    pub fn db_set(key: *const u8, key_len: usize, value: *const u8, value_len: usize) -> i32;
    /// Deletes a key. 0, also when it is absent.
    pub fn db_delete(key: *const u8, key_len: usize) -> i32;
    /// 1 if the key is there, else 0.
    pub fn db_exists(key: *const u8, key_len: usize) -> i32;
    /// Keys that start with prefix, ascending, with their values; the first cursor of them are skipped. A page that
    /// does not fit as a whole is -2. u32 n, n x (u32 klen, u32 vlen, key, value); its length.
    pub fn db_scan(prefix: *const u8, prefix_len: usize, cursor: u64, limit: u32, out: *mut u8, out_cap: u32) -> i32;
    /// The same without values: u32 n, n x (u32 klen, key).
    pub fn db_keys(prefix: *const u8, prefix_len: usize, cursor: u64, limit: u32, out: *mut u8, out_cap: u32) -> i32;
    /// Like db_scan, from the first key greater than after, which must lie within the prefix but need not exist;
    /// after_len 0 = from the start.
    pub fn db_scan_after(
        prefix: *const u8,
        prefix_len: usize,
        after: *const u8,
        after_len: usize,
        limit: u32,
        out: *mut u8,
        out_cap: u32,
    ) -> i32;
    /// The same without values: u32 n, n x (u32 klen, key).
    pub fn db_keys_after(
        prefix: *const u8,
        prefix_len: usize,
        after: *const u8,
        after_len: usize,
        limit: u32,
        out: *mut u8,
        out_cap: u32,
    ) -> i32;
    // Network
    /// The node's id. Its length, or -5.
    pub fn net_node_id(out: *mut u8, out_cap: u32) -> i32;
    /// Connected nodes by address: u32 n, n x (u32 alen, u32 idlen, addr, id); its length.
    pub fn net_peers(out: *mut u8, out_cap: u32) -> i32;
    // Replicated data. Keys, fields, elements and ids are UTF-8. The six families have separate key spaces
    /// Adds to a counter that only grows. 0.
    pub fn crdt_gcounter_inc(key: *const u8, key_len: usize, delta: u64) -> i32;
    /// A `u64`, 0 if nobody added anything. 8. A capacity under 8 is -2.
    pub fn crdt_gcounter_value(key: *const u8, key_len: usize, out: *mut u8, out_cap: u32) -> i32;
    /// Adds to a counter that goes both ways. 0.
    pub fn crdt_pncounter_inc(key: *const u8, key_len: usize, delta: u64) -> i32;
    /// Subtracts from it. 0.
    pub fn crdt_pncounter_dec(key: *const u8, key_len: usize, delta: u64) -> i32;
    /// An `i64`, 0 if nobody moved it. 8. A capacity under 8 is -2.
    pub fn crdt_pncounter_value(key: *const u8, key_len: usize, out: *mut u8, out_cap: u32) -> i32;
    /// Writes a register: the last write wins. 0.
    pub fn crdt_lww_set(key: *const u8, key_len: usize, value: *const u8, value_len: usize) -> i32;
    /// Reads a register. The length, or -1.
    pub fn crdt_lww_get(key: *const u8, key_len: usize, out: *mut u8, out_cap: u32) -> i32;
    /// Writes a field of a map: the last write wins, per field. 0.
    pub fn crdt_lww_map_set(
        key: *const u8,
        key_len: usize,
        field: *const u8,
        field_len: usize,
        value: *const u8,
        value_len: usize,
    ) -> i32;
    /// Removes a field, which is a write too. 0, also when it was never set.
    pub fn crdt_lww_map_remove(key: *const u8, key_len: usize, field: *const u8, field_len: usize) -> i32;
    /// Reads a field. The length, or -1.
    pub fn crdt_lww_map_get(
        key: *const u8,
        key_len: usize,
        field: *const u8,
        field_len: usize,
        out: *mut u8,
        out_cap: u32,
    ) -> i32;
    /// 1 if the field is there, else 0.
    pub fn crdt_lww_map_contains(key: *const u8, key_len: usize, field: *const u8, field_len: usize) -> i32;
    /// All fields by their bytes: u32 n, n x (u32 flen, field, u32 vlen, value); its length.
    pub fn crdt_lww_map_entries(key: *const u8, key_len: usize, out: *mut u8, out_cap: u32) -> i32;
    /// Adds an element to a set. 0.
    pub fn crdt_orset_add(key: *const u8, key_len: usize, elem: *const u8, elem_len: usize) -> i32;
    /// Removes the additions of an element that this node has seen. 0.
    pub fn crdt_orset_remove(key: *const u8, key_len: usize, elem: *const u8, elem_len: usize) -> i32;
    /// 1 if the element is in the set, else 0.
    pub fn crdt_orset_contains(key: *const u8, key_len: usize, elem: *const u8, elem_len: usize) -> i32;
    /// All elements by their bytes: u32 n, n x (u32 len, text); its length.
    pub fn crdt_orset_elements(key: *const u8, key_len: usize, out: *mut u8, out_cap: u32) -> i32;
    /// Puts a value after an element of a list; parent_len 0, or a parent unknown here, is the head. Writes the new
    /// element's id and returns its length, at most 36. A capacity under 36 is -2, and nothing is inserted.
    pub fn crdt_rga_insert(
        key: *const u8,
        key_len: usize,
        parent: *const u8,
        parent_len: usize,
        value: *const u8,
        value_len: usize,
        out: *mut u8,
        out_cap: u32,
    ) -> i32;
    /// Deletes an element. 0, also for an unknown id.
    pub fn crdt_rga_delete(key: *const u8, key_len: usize, id: *const u8, id_len: usize) -> i32;
    /// The list in order: u32 n, n x (u32 len, bytes); its length.
    pub fn crdt_rga_values(key: *const u8, key_len: usize, out: *mut u8, out_cap: u32) -> i32;
    /// Returns 0 once everything this guest wrote so far is on disk. -8 means: try again. Ours: not in the original
    /// ABI.
    pub fn commit() -> i32;
    // A guest that lives on: the call under way
    /// A field of the call under way. Its length, or -1 if there is none.
    pub fn event_get(name: *const u8, name_len: usize, out: *mut u8, out_cap: u32) -> i32;
    /// Reads on in the body of a message or web request: how many bytes, 0 at its end, -1 if there is none.
    pub fn event_read(out: *mut u8, out_cap: u32) -> i32;
    // Datasets and watches
    /// Chooses the dataset that crdt functions mean from now on. 0, or -1 if the node does not have it.
    pub fn dataset_use(name: *const u8, name_len: usize) -> i32;
    /// Asks for on_change and on_remote_op of the dataset's objects whose key starts with prefix. 0.
    pub fn crdt_watch(prefix: *const u8, prefix_len: usize) -> i32;
    /// Takes a watch back. 0.
    pub fn crdt_unwatch(prefix: *const u8, prefix_len: usize) -> i32;
    // Timers
    /// Calls on_tick after delay_ms and then, unless period_ms is 0, every period_ms; in place of an earlier timer of
    /// that id. 0.
    pub fn timer_set(id: u32, delay_ms: u64, period_ms: u64) -> i32;
    /// Ends a timer. 0, or -1 if there is none of that id.
    pub fn timer_cancel(id: u32) -> i32;
    // Messages. A subject is 1 to 128 of A-Za-z0-9_.:-, a payload at most 64 KiB
    /// Asks for on_message of a subject. 0.
    pub fn msg_subscribe(subject: *const u8, subject_len: usize) -> i32;
    /// Takes a subscription back. 0.
    pub fn msg_unsubscribe(subject: *const u8, subject_len: usize) -> i32;
    /// Tells every subscriber on every node, at most once. 0.
    pub fn msg_publish(subject: *const u8, subject_len: usize, payload: *const u8, payload_len: usize) -> i32;
    /// Tells the subscribers on one node, at least once. 0 once it is on disk here.
    pub fn msg_send(
        node: *const u8,
        node_len: usize,
        subject: *const u8,
        subject_len: usize,
        payload: *const u8,
        payload_len: usize,
    ) -> i32;
    /// Asks; the capacity must be 65,536. The length of the first answer, or -1 if none came in time.
    pub fn msg_request(
        subject: *const u8,
        subject_len: usize,
        payload: *const u8,
        payload_len: usize,
        timeout_ms: u32,
        out: *mut u8,
        out_cap: u32,
    ) -> i32;
    /// Answers the message of this on_message, if its sender asked. 0.
    pub fn msg_reply(payload: *const u8, payload_len: usize) -> i32;
    // Web requests
    /// Sets the status of the answer to the request of this on_request, before the first write. 0.
    pub fn http_status(status: u32) -> i32;
    /// Sets a header of the answer, before the first write. 0.
    pub fn http_header(name: *const u8, name_len: usize, value: *const u8, value_len: usize) -> i32;
    /// Writes the next of the answer's body; the first write sends status and headers. 0.
    pub fn http_write(data: *const u8, data_len: usize) -> i32;
    /// Makes a web request; headers are lines "Name: value\n". The status of the answer.
    pub fn fetch(
        method: *const u8,
        method_len: usize,
        url: *const u8,
        url_len: usize,
        headers: *const u8,
        headers_len: usize,
        body: *const u8,
        body_len: usize,
    ) -> i32;
    /// A header of what was fetched. Its length, or -1 if there is none.
    pub fn fetch_header(name: *const u8, name_len: usize, out: *mut u8, out_cap: u32) -> i32;
    /// Reads on in the body of what was fetched: how many bytes, 0 at its end.
    pub fn fetch_read(out: *mut u8, out_cap: u32) -> i32;
    // Blobs
    /// Appends at most 1 MiB to the blob this instance is making. 0.
    pub fn blob_write(data: *const u8, data_len: usize) -> i32;
    /// Makes it a blob, on disk; writes its hash. 32.
    pub fn blob_finish(out: *mut u8, out_cap: u32) -> i32;
    /// The size of a blob, fetched if it is not here, or -1.
    pub fn blob_size(hash: *const u8, hash_len: usize) -> i32;
    /// Reads from an offset: how many bytes, 0 at the end, or -1.
    pub fn blob_read(hash: *const u8, hash_len: usize, offset: u64, out: *mut u8, out_cap: u32) -> i32;
    /// Takes back that the module needs a blob. 0, or -1.
    pub fn blob_drop(hash: *const u8, hash_len: usize) -> i32;
}
