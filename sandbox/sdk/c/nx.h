/*
 * nx.h: the functions a Numax node offers to a WebAssembly guest written in C or C++.
 *
 * No library and no libc are needed:
 *
 *     clang --target=wasm32 -mbulk-memory -nostdlib -O2 -Wl,--no-entry -o hello.wasm hello.c
 *
 *     #include "nx.h"
 *     NX_EXPORT("run") void run(void) { nx_host_log(NX_STR("hello")); }
 *
 * The guest exports its memory as "memory" (the linker does) and a function run: () -> () or _start: () -> (). With
 * -mbulk-memory copying and clearing need no libc.
 *
 * Byte strings go in as (pointer, length) and need no final NUL. Byte strings come out into a buffer of yours, given as
 * (pointer, capacity); the function then returns their length. Numbers in memory are little-endian, as in the guest.
 * Every int32_t is >= 0 when the call worked, and one of the codes below when it did not. NX_TOO_SMALL means that
 * nothing was written and nothing happened: call again with more room.
 */
#ifndef NUMAX_NX_H
#define NUMAX_NX_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Codes. */
#define NX_OK 0
#define NX_NOT_FOUND (-1)
#define NX_TOO_SMALL (-2)
#define NX_INVALID (-3)  /* invalid argument, or the host failed */
#define NX_RESERVED (-4) /* the key starts with "__nx/" */
#define NX_SYNC_OFF (-5)
#define NX_DENIED (-6)
#define NX_QUOTA (-7)
#define NX_BUSY (-8) /* only from nx_commit */

/* Limits. What is over one is NX_INVALID; nothing is ever cut short. */
#define NX_MAX_KEY 8192           /* keys, fields, elements, RGA ids, scan cursors */
#define NX_MAX_VALUE (1 << 20)    /* values, hash input, random bytes */
#define NX_MAX_OUTPUT (1 << 20)   /* capacity of an output buffer */
#define NX_MAX_SCAN_ROWS 1024     /* at least 1 */
#define NX_MAX_ENV_NAME 128
#define NX_MAX_EVENT_NAME 128
#define NX_MAX_EVENT_PAYLOAD 65536
#define NX_MAX_LOG 8192           /* log lines and abort messages */
#define NX_COUNTER_SIZE 8
#define NX_HASH_SIZE 32
#define NX_RGA_ID_SPACE 36        /* what nx_crdt_rga_insert wants to be offered for an id */

/* A string literal as (pointer, length). */
#define NX_STR(s) (s), (uint32_t)(sizeof(s) - 1)

/* Exports a function that the node calls: NX_EXPORT("run") void run(void) { ... } */
#define NX_EXPORT(name) __attribute__((export_name(name)))

#define NX_IMPORT(name) __attribute__((import_module("nx"), import_name(#name))) extern

/* ---- System ---- */

/* Writes a line to the node's log, as "[guest] ...". 0. */
NX_IMPORT(host_log_v2) int32_t nx_host_log_v2(const void *msg, uint32_t msg_len);

/* The same without an answer: failures are silent. */
NX_IMPORT(host_log) void nx_host_log(const void *msg, uint32_t msg_len);

/* A variable of the node's environment: only names NX_... and NUMAX_... of A-Z 0-9 _ are ever set. Its length. */
NX_IMPORT(env_get) int32_t nx_env_get(const void *name, uint32_t name_len, void *out, uint32_t out_cap);

/* The path this module was started from, as typed. Its length. */
NX_IMPORT(module_id) int32_t nx_module_id(void *out, uint32_t out_cap);

/* The names of all functions the host has, sorted, joined by newlines. Their length. */
NX_IMPORT(host_capabilities) int32_t nx_host_capabilities(void *out, uint32_t out_cap);

/* Reports an event. Its name is 1 to 128 of A-Z a-z 0-9 _ . : - and the payload anything. 0. */
NX_IMPORT(event_emit) int32_t nx_event_emit(const void *name, uint32_t name_len, const void *payload, uint32_t payload_len);

/* Ends the run with "guest abort: <msg>". What was written stays. */
__attribute__((noreturn)) NX_IMPORT(abort) void nx_abort(const void *msg, uint32_t msg_len);

/* Milliseconds since 1970. */
NX_IMPORT(time_now) int64_t nx_time_now(void);

/* Milliseconds since it was first asked in this node's life; never jumps. */
NX_IMPORT(time_monotonic) int64_t nx_time_monotonic(void);

/* Fills len bytes. len. */
NX_IMPORT(random_bytes) int32_t nx_random_bytes(void *out, uint32_t len);

/* SHA-256 of the input: 32 bytes. 32. */
NX_IMPORT(hash_sha256) int32_t nx_hash_sha256(const void *in, uint32_t in_len, void *out, uint32_t out_cap);

/* BLAKE3 of the input: 32 bytes. 32. */
NX_IMPORT(hash_blake3) int32_t nx_hash_blake3(const void *in, uint32_t in_len, void *out, uint32_t out_cap);

/* ---- The module's private keys: bytes to bytes, on this node alone ---- */

/* The value of a key. Its length, which may be 0, or NX_NOT_FOUND. */
NX_IMPORT(db_get) int32_t nx_db_get(const void *key, uint32_t key_len, void *out, uint32_t out_cap);

/* Writes a key. 0. */
NX_IMPORT(db_set) int32_t nx_db_set(const void *key, uint32_t key_len, const void *value, uint32_t value_len);

/* Deletes a key. 0, also when it is absent. */
NX_IMPORT(db_delete) int32_t nx_db_delete(const void *key, uint32_t key_len);

/* 1 if the key is there, else 0. */
NX_IMPORT(db_exists) int32_t nx_db_exists(const void *key, uint32_t key_len);

/* Keys that start with prefix, ascending, with their values; the first cursor of them are skipped. A page that does
 * not fit as a whole is NX_TOO_SMALL. u32 n, n x (u32 klen, u32 vlen, key, value); its length. */
NX_IMPORT(db_scan) int32_t nx_db_scan(const void *prefix, uint32_t prefix_len, uint64_t cursor, uint32_t limit, void *out, uint32_t out_cap);

/* The same without values: u32 n, n x (u32 klen, key). */
NX_IMPORT(db_keys) int32_t nx_db_keys(const void *prefix, uint32_t prefix_len, uint64_t cursor, uint32_t limit, void *out, uint32_t out_cap);

/* Like nx_db_scan, from the first key greater than after, which must lie within the prefix but need not exist;
 * after_len 0 = from the start. */
NX_IMPORT(db_scan_after) int32_t nx_db_scan_after(const void *prefix, uint32_t prefix_len, const void *after, uint32_t after_len, uint32_t limit, void *out, uint32_t out_cap);

/* The same without values: u32 n, n x (u32 klen, key). */
NX_IMPORT(db_keys_after) int32_t nx_db_keys_after(const void *prefix, uint32_t prefix_len, const void *after, uint32_t after_len, uint32_t limit, void *out, uint32_t out_cap);

/* ---- Network ---- */

/* The node's id. Its length, or NX_SYNC_OFF. */
NX_IMPORT(net_node_id) int32_t nx_net_node_id(void *out, uint32_t out_cap);

/* Connected nodes by address: u32 n, n x (u32 alen, u32 idlen, addr, id); its length. */
NX_IMPORT(net_peers) int32_t nx_net_peers(void *out, uint32_t out_cap);

/* ---- Replicated data. Keys, fields, elements and ids are UTF-8. The six families have separate key spaces ---- */

/* Adds to a counter that only grows. 0. */
NX_IMPORT(crdt_gcounter_inc) int32_t nx_crdt_gcounter_inc(const void *key, uint32_t key_len, uint64_t delta);

/* A uint64_t, 0 if nobody added anything. 8. A capacity under 8 is NX_TOO_SMALL. */
NX_IMPORT(crdt_gcounter_value) int32_t nx_crdt_gcounter_value(const void *key, uint32_t key_len, void *out, uint32_t out_cap);

/* Adds to a counter that goes both ways. 0. */
NX_IMPORT(crdt_pncounter_inc) int32_t nx_crdt_pncounter_inc(const void *key, uint32_t key_len, uint64_t delta);

/* Subtracts from it. 0. */
NX_IMPORT(crdt_pncounter_dec) int32_t nx_crdt_pncounter_dec(const void *key, uint32_t key_len, uint64_t delta);

/* An int64_t, 0 if nobody moved it. 8. A capacity under 8 is NX_TOO_SMALL. */
NX_IMPORT(crdt_pncounter_value) int32_t nx_crdt_pncounter_value(const void *key, uint32_t key_len, void *out, uint32_t out_cap);

/* Writes a register: the last write wins. 0. */
NX_IMPORT(crdt_lww_set) int32_t nx_crdt_lww_set(const void *key, uint32_t key_len, const void *value, uint32_t value_len);

/* Reads a register. The length, or NX_NOT_FOUND. */
NX_IMPORT(crdt_lww_get) int32_t nx_crdt_lww_get(const void *key, uint32_t key_len, void *out, uint32_t out_cap);

/* Writes a field of a map: the last write wins, per field. 0. */
NX_IMPORT(crdt_lww_map_set) int32_t nx_crdt_lww_map_set(const void *key, uint32_t key_len, const void *field, uint32_t field_len, const void *value, uint32_t value_len);

/* Removes a field, which is a write too. 0, also when it was never set. */
NX_IMPORT(crdt_lww_map_remove) int32_t nx_crdt_lww_map_remove(const void *key, uint32_t key_len, const void *field, uint32_t field_len);

/* Reads a field. The length, or NX_NOT_FOUND. */
NX_IMPORT(crdt_lww_map_get) int32_t nx_crdt_lww_map_get(const void *key, uint32_t key_len, const void *field, uint32_t field_len, void *out, uint32_t out_cap);

/* 1 if the field is there, else 0. */
NX_IMPORT(crdt_lww_map_contains) int32_t nx_crdt_lww_map_contains(const void *key, uint32_t key_len, const void *field, uint32_t field_len);

/* All fields by their bytes: u32 n, n x (u32 flen, field, u32 vlen, value); its length. */
NX_IMPORT(crdt_lww_map_entries) int32_t nx_crdt_lww_map_entries(const void *key, uint32_t key_len, void *out, uint32_t out_cap);

/* Adds an element to a set. 0. */
NX_IMPORT(crdt_orset_add) int32_t nx_crdt_orset_add(const void *key, uint32_t key_len, const void *elem, uint32_t elem_len);

/* Removes the additions of an element that this node has seen. 0. */
NX_IMPORT(crdt_orset_remove) int32_t nx_crdt_orset_remove(const void *key, uint32_t key_len, const void *elem, uint32_t elem_len);

/* 1 if the element is in the set, else 0. */
NX_IMPORT(crdt_orset_contains) int32_t nx_crdt_orset_contains(const void *key, uint32_t key_len, const void *elem, uint32_t elem_len);

/* All elements by their bytes: u32 n, n x (u32 len, text); its length. */
NX_IMPORT(crdt_orset_elements) int32_t nx_crdt_orset_elements(const void *key, uint32_t key_len, void *out, uint32_t out_cap);

/* Puts a value after an element of a list; parent_len 0, or a parent unknown here, is the head. Writes the new
 * element's id and returns its length, at most 36. A capacity under 36 is NX_TOO_SMALL, and nothing is inserted. */
NX_IMPORT(crdt_rga_insert) int32_t nx_crdt_rga_insert(const void *key, uint32_t key_len, const void *parent, uint32_t parent_len, const void *value, uint32_t value_len, void *out, uint32_t out_cap);

/* Deletes an element. 0, also for an unknown id. */
NX_IMPORT(crdt_rga_delete) int32_t nx_crdt_rga_delete(const void *key, uint32_t key_len, const void *id, uint32_t id_len);

/* The list in order: u32 n, n x (u32 len, bytes); its length. */
NX_IMPORT(crdt_rga_values) int32_t nx_crdt_rga_values(const void *key, uint32_t key_len, void *out, uint32_t out_cap);

/* Returns 0 once everything this guest wrote so far is on disk. NX_BUSY: try again. Ours: not in the original ABI. */
NX_IMPORT(commit) int32_t nx_commit(void);

/* ---- Guests that live on ----
 *
 * None of this is in the original ABI. A host that does not offer it, or did not grant it, answers NX_DENIED.
 *
 * A guest that exports on_change, on_remote_op, on_tick, on_message, on_request, on_peer_connected or
 * on_peer_disconnected, each void (void), lives on and is called, one call at a time; before all init, at an orderly
 * end shutdown. */

/* A field of the call under way ("event", "key", "subject", ...): its length. NX_NOT_FOUND if there is none. */
NX_IMPORT(event_get) int32_t nx_event_get(const void *name, uint32_t name_len, void *out, uint32_t out_cap);

/* Reads on in the body of a message or web request: how many bytes, 0 at its end. */
NX_IMPORT(event_read) int32_t nx_event_read(void *out, uint32_t out_cap);

/* Chooses the dataset that crdt functions mean from now on. NX_NOT_FOUND if the node does not have it. */
NX_IMPORT(dataset_use) int32_t nx_dataset_use(const void *name, uint32_t name_len);

/* Asks for on_change and on_remote_op of objects whose key starts with prefix; unwatch takes it back. */
NX_IMPORT(crdt_watch) int32_t nx_crdt_watch(const void *prefix, uint32_t prefix_len);
NX_IMPORT(crdt_unwatch) int32_t nx_crdt_unwatch(const void *prefix, uint32_t prefix_len);

/* on_tick after delay_ms and then, if period_ms is not 0 (at least 10), every period_ms; in place of an earlier timer
 * of that id. */
NX_IMPORT(timer_set) int32_t nx_timer_set(uint32_t id, uint64_t delay_ms, uint64_t period_ms);
NX_IMPORT(timer_cancel) int32_t nx_timer_cancel(uint32_t id);

/* Messages. A subject is 1 to 128 of A-Za-z0-9_.:-, a payload at most 64 KiB. */
NX_IMPORT(msg_subscribe) int32_t nx_msg_subscribe(const void *subject, uint32_t subject_len);
NX_IMPORT(msg_unsubscribe) int32_t nx_msg_unsubscribe(const void *subject, uint32_t subject_len);

/* Tells every subscriber on every node, at most once. */
NX_IMPORT(msg_publish) int32_t nx_msg_publish(const void *subject, uint32_t subject_len, const void *payload, uint32_t payload_len);

/* Tells the subscribers on one node, at least once. 0 once it is on disk here. */
NX_IMPORT(msg_send) int32_t nx_msg_send(const void *node, uint32_t node_len, const void *subject, uint32_t subject_len, const void *payload, uint32_t payload_len);

/* Asks, and returns the length of the first answer; NX_NOT_FOUND if none came in time. The capacity must be 65536. */
NX_IMPORT(msg_request) int32_t nx_msg_request(const void *subject, uint32_t subject_len, const void *payload, uint32_t payload_len, uint32_t timeout_ms, void *out, uint32_t out_cap);

/* Answers the message of this on_message, if its sender asked. */
NX_IMPORT(msg_reply) int32_t nx_msg_reply(const void *payload, uint32_t payload_len);

/* The answer to the web request of this on_request. The first write sends status (200) and headers. */
NX_IMPORT(http_status) int32_t nx_http_status(uint32_t status);
NX_IMPORT(http_header) int32_t nx_http_header(const void *name, uint32_t name_len, const void *value, uint32_t value_len);
NX_IMPORT(http_write) int32_t nx_http_write(const void *data, uint32_t data_len);

/* Makes a web request; headers are lines "Name: value\n". The status code. Then read the answer. */
NX_IMPORT(fetch) int32_t nx_fetch(const void *method, uint32_t method_len, const void *url, uint32_t url_len, const void *headers, uint32_t headers_len, const void *body, uint32_t body_len);
NX_IMPORT(fetch_header) int32_t nx_fetch_header(const void *name, uint32_t name_len, void *out, uint32_t out_cap);
NX_IMPORT(fetch_read) int32_t nx_fetch_read(void *out, uint32_t out_cap);

/* Blobs: bytes of up to 64 MiB, named by their BLAKE3 hash and the same on every node. */

/* Appends at most 1 MiB to the blob that this instance is making. NX_QUOTA over 64 MiB or the module's storage. 0. */
NX_IMPORT(blob_write) int32_t nx_blob_write(const void *data, uint32_t data_len);

/* Makes it a blob, which is on disk then: its hash of 32 bytes. 32. */
NX_IMPORT(blob_finish) int32_t nx_blob_finish(void *out, uint32_t out_cap);

/* The size of a blob, which is fetched if it is not here. NX_NOT_FOUND if no connected node has it. */
NX_IMPORT(blob_size) int32_t nx_blob_size(const void *hash, uint32_t hash_len);

/* Reads from an offset, and fetches as nx_blob_size: how many bytes, 0 at the end. */
NX_IMPORT(blob_read) int32_t nx_blob_read(const void *hash, uint32_t hash_len, uint64_t offset, void *out, uint32_t out_cap);

/* Says that the module needs a blob no more that it made or read. NX_NOT_FOUND if it has it not. */
NX_IMPORT(blob_drop) int32_t nx_blob_drop(const void *hash, uint32_t hash_len);

/* ---- Answers ---- */

/* The text of a code. */
static inline const char *nx_error(int32_t code) {
  if (code >= 0) return "ok";
  switch (code) {
    case NX_NOT_FOUND: return "nx: not found";
    case NX_TOO_SMALL: return "nx: the answer is larger than 1 MiB";
    case NX_RESERVED: return "nx: keys under __nx/ are reserved";
    case NX_SYNC_OFF: return "nx: sync is off";
    case NX_DENIED: return "nx: denied by policy";
    case NX_QUOTA: return "nx: quota exceeded";
    case NX_BUSY: return "nx: the host is busy, try again";
    default: return "nx: invalid argument, or the host failed";
  }
}

/* Takes an answer of rows apart: nx_rows r = {out, out + length}, then fields in their order. Nothing is ever read
 * behind the end: what is not there is 0 and empty. */
typedef struct {
  const uint8_t *at, *end;
} nx_rows;

/* The next *len bytes, in place; *len becomes less when there are fewer. */
static inline const uint8_t *nx_rows_take(nx_rows *r, uint32_t *len) {
  const uint8_t *bytes = r->at;
  if (*len > (uint32_t)(r->end - r->at)) *len = (uint32_t)(r->end - r->at);
  r->at += *len;
  return bytes;
}

/* The next u32. */
static inline uint32_t nx_rows_u32(nx_rows *r) {
  uint32_t len = 4, v = 0;
  const uint8_t *b = nx_rows_take(r, &len);
  while (len > 0) v = v << 8 | b[--len];
  return v;
}

#ifdef __cplusplus
}
#endif

#endif
