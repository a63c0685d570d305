/* A guest that calls every function of nx.h and logs what it sees. Its twins in the other languages log the same, line
 * for line; the sandbox's tests run them all. */
#include "sdk/nx.h"

static uint8_t out[NX_MAX_OUTPUT];
static uint8_t zeros[NX_MAX_VALUE + 1];

/* ---- Lines of the log: "what: value" ---- */

static char line[NX_MAX_LOG];
static uint32_t len;

static void add(const void *bytes, uint32_t n) {
  for (uint32_t i = 0; i < n && len < sizeof line; i++) line[len++] = ((const char *)bytes)[i];
}

static void text(const char *s) {
  while (*s) add(s++, 1);
}

static void number(uint64_t v) {
  if (v > 9) number(v / 10);
  add(&"0123456789"[v % 10], 1);
}

static void begin(const char *what) {
  len = 0;
  text(what);
  text(": ");
}

static void end(void) { nx_host_log(line, len); }

static void fail(const char *what, int32_t code) {
  begin(what);
  text(nx_error(code));
  end();
}

static void ok(const char *what, int32_t code) { fail(what, code < 0 ? code : NX_OK); }

static void flag(const char *what, int32_t code) {
  if (code < 0) return fail(what, code);
  begin(what);
  text(code ? "true" : "false");
  end();
}

/* What a call has written to out. */
static void bytes(const char *what, int32_t n) {
  if (n < 0 && n != NX_NOT_FOUND) return fail(what, n);
  begin(what);
  if (n == NX_NOT_FOUND) text("absent");
  else add(out, n);
  end();
}

static void unsigned_value(const char *what, int32_t code) {
  if (code < 0) return fail(what, code);
  begin(what);
  number(*(uint64_t *)out);
  end();
}

static void signed_value(const char *what, int32_t code) {
  if (code < 0) return fail(what, code);
  int64_t v = *(int64_t *)out;
  begin(what);
  if (v < 0) text("-");
  number(v < 0 ? -(uint64_t)v : (uint64_t)v);
  end();
}

static void hash(const char *what, int32_t code) {
  if (code < 0) return fail(what, code);
  begin(what);
  for (int i = 0; i < 4; i++) {
    add(&"0123456789abcdef"[out[i] >> 4], 1);
    add(&"0123456789abcdef"[out[i] & 15], 1);
  }
  end();
}

/* How the fields of a row follow each other. */
enum layout { ONE, PAIR, LENGTHS_FIRST };

static void rows(const char *what, int32_t n, enum layout layout) {
  if (n < 0) return fail(what, n);
  nx_rows r = {out, out + n};
  begin(what);
  uint32_t count = nx_rows_u32(&r);
  for (uint32_t i = 0; i < count; i++) {
    uint32_t a = nx_rows_u32(&r), b = layout == LENGTHS_FIRST ? nx_rows_u32(&r) : 0;
    const uint8_t *field = nx_rows_take(&r, &a);
    if (i > 0) text(",");
    add(field, a);
    if (layout == ONE) continue;
    if (layout == PAIR) b = nx_rows_u32(&r);
    text("=");
    field = nx_rows_take(&r, &b);
    add(field, b);
  }
  end();
}

/* ---- The program ---- */

#define K NX_STR("k")
#define OUT out, sizeof out

static void replicated(void) {
  ok("grow", nx_crdt_gcounter_inc(NX_STR("clé"), 2));
  unsigned_value("grow", nx_crdt_gcounter_value(NX_STR("clé"), OUT));
  ok("grow", nx_crdt_gcounter_inc(NX_STR("most"), UINT64_MAX));
  unsigned_value("grow", nx_crdt_gcounter_value(NX_STR("most"), OUT));
  ok("stock", nx_crdt_pncounter_inc(K, 1));
  ok("stock", nx_crdt_pncounter_dec(K, 6));
  signed_value("stock", nx_crdt_pncounter_value(K, OUT));
  ok("stock", nx_crdt_pncounter_dec(NX_STR("least"), (uint64_t)1 << 63));
  signed_value("stock", nx_crdt_pncounter_value(NX_STR("least"), OUT));

  bytes("register", nx_crdt_lww_get(K, OUT));
  ok("register", nx_crdt_lww_set(K, NX_STR("žluť")));
  bytes("register", nx_crdt_lww_get(K, OUT));

  ok("map", nx_crdt_lww_map_set(K, NX_STR("b"), NX_STR("2")));
  ok("map", nx_crdt_lww_map_set(K, NX_STR("a"), NX_STR("1")));
  ok("map", nx_crdt_lww_map_set(K, NX_STR("c"), NX_STR("")));
  ok("map", nx_crdt_lww_map_remove(K, NX_STR("c")));
  flag("map a", nx_crdt_lww_map_contains(K, NX_STR("a")));
  flag("map c", nx_crdt_lww_map_contains(K, NX_STR("c")));
  bytes("map b", nx_crdt_lww_map_get(K, NX_STR("b"), OUT));
  rows("map", nx_crdt_lww_map_entries(K, OUT), PAIR);

  ok("set", nx_crdt_orset_add(K, NX_STR("y")));
  ok("set", nx_crdt_orset_add(K, NX_STR("x")));
  ok("set", nx_crdt_orset_add(K, NX_STR("z")));
  ok("set", nx_crdt_orset_remove(K, NX_STR("z")));
  flag("set z", nx_crdt_orset_contains(K, NX_STR("z")));
  rows("set", nx_crdt_orset_elements(K, OUT), ONE);

  char first[NX_RGA_ID_SPACE], second[NX_RGA_ID_SPACE];
  int32_t n = nx_crdt_rga_insert(K, NX_STR(""), NX_STR("one"), first, sizeof first);
  ok("list", nx_crdt_rga_insert(K, first, n, NX_STR("two"), second, sizeof second));
  ok("list", nx_crdt_rga_delete(K, first, n));
  rows("list", nx_crdt_rga_values(K, OUT), ONE);
}

static void private_keys(void) {
  ok("private", nx_db_set(NX_STR("p/1"), NX_STR("x")));
  ok("private", nx_db_set(NX_STR("p/2"), NX_STR("")));
  ok("private", nx_db_set(NX_STR("q"), NX_STR("")));
  ok("private", nx_db_delete(NX_STR("q")));
  flag("private q", nx_db_exists(NX_STR("q")));
  bytes("private q", nx_db_get(NX_STR("q"), OUT));
  bytes("private p/1", nx_db_get(NX_STR("p/1"), OUT));
  bytes("private p/2", nx_db_get(NX_STR("p/2"), OUT));
  rows("scan", nx_db_scan_after(NX_STR("p/"), NX_STR(""), 9, OUT), LENGTHS_FIRST);
  rows("keys", nx_db_keys_after(NX_STR("p/"), NX_STR("p/1"), 9, OUT), ONE);

  ok("large", nx_db_set(NX_STR("large"), zeros, NX_MAX_VALUE));
  int32_t n = nx_db_get(NX_STR("large"), OUT);
  begin("large");
  number(n);
  end();
  fail("too large", nx_db_scan_after(NX_STR("large"), NX_STR(""), 9, OUT));
  ok("too large", nx_db_set(NX_STR("large"), zeros, sizeof zeros));
  ok("reserved", nx_db_set(NX_STR("__nx/"), NX_STR("")));
  ok("long key", nx_crdt_gcounter_inc(zeros, NX_MAX_KEY + 1, 1));
  ok("bad event", nx_event_emit(NX_STR("a b"), NX_STR("")));
}

/* Whether a line of the answer is name. */
static int32_t has(int32_t n, const char *name, int32_t size) {
  for (int32_t at = 0; at + size <= n; at++) {
    int32_t same = 0;
    while (same < size && out[at + same] == (uint8_t)name[same]) same++;
    if (same == size && (at == 0 || out[at - 1] == '\n') && (at + size == n || out[at + size] == '\n')) return 1;
  }
  return 0;
}

static void system(void) {
  bytes("module", nx_module_id(OUT));
  flag("capabilities", has(nx_host_capabilities(OUT), NX_STR("commit")));
  bytes("env", nx_env_get(NX_STR("NX_MODE"), OUT));
  bytes("env", nx_env_get(NX_STR("NX_NONE"), OUT));
  ok("event", nx_event_emit(NX_STR("done"), NX_STR("p")));
  begin("now");
  number(nx_time_now());
  end();
  flag("monotonic", nx_time_monotonic() < (int64_t)1 << 40);
  ok("random", nx_random_bytes(out, 9));
  hash("sha256", nx_hash_sha256(NX_STR("abc"), OUT));
  hash("blake3", nx_hash_blake3(NX_STR("abc"), OUT));
  bytes("node", nx_net_node_id(OUT));
  rows("peers", nx_net_peers(OUT), LENGTHS_FIRST);
  ok("commit", nx_commit());
}

NX_EXPORT("run") void run(void) {
  replicated();
  private_keys();
  system();
  nx_abort(NX_STR("as told"));
}
