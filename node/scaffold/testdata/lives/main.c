/* A guest that lives on: it asks for everything a guest may ask for, and logs what it hears. Its twins in the other
 * languages log the same, line for line. */
#include "sdk/nx.h"

static uint8_t out[1 << 16];
static uint32_t calls; /* memory lasts from call to call */

/* ---- Lines of the log: "what: value" ---- */

static char line[NX_MAX_LOG];
static uint32_t len;

static void add(const void *bytes, int32_t n) {
  for (int32_t i = 0; i < n && len < sizeof line; i++) line[len++] = ((const char *)bytes)[i];
}

static void text(const char *s) {
  while (*s) add(s++, 1);
}

static void number(uint32_t v) {
  if (v > 9) number(v / 10);
  add(&"0123456789"[v % 10], 1);
}

static void begin(const char *what) {
  len = 0;
  text(what);
  text(": ");
}

static void end(void) { nx_host_log(line, len); }

static void say(const char *what, const char *value) {
  begin(what);
  text(value);
  end();
}

static void count(const char *what, uint32_t value) {
  begin(what);
  number(value);
  end();
}

static void ok(const char *what, int32_t code) { say(what, nx_error(code)); }

static void found(const char *what, int32_t code) {
  if (code == NX_NOT_FOUND) say(what, "false");
  else say(what, code >= 0 ? "true" : nx_error(code));
}

static uint32_t length(const char *s) {
  uint32_t n = 0;
  while (s[n]) n++;
  return n;
}

/* Adds a field of the call under way to the line. */
static void field(const char *name) { add(out, nx_event_get(name, length(name), out, sizeof out)); }

static void fields(const char *what, const char *const *names, uint32_t n) {
  calls++;
  begin(what);
  for (uint32_t i = 0; i < n; i++) {
    if (i > 0) text(" ");
    field(names[i]);
  }
}

#define FIELDS(what, ...) \
  do { \
    const char *const names[] = {__VA_ARGS__}; \
    fields(what, names, sizeof names / sizeof *names); \
  } while (0)

/* ---- The handlers ---- */

static void blob(void) {
  uint8_t hash[NX_HASH_SIZE];
  ok("blob", nx_blob_write(NX_STR("a blob")));
  if (nx_blob_finish(hash, sizeof hash) != NX_HASH_SIZE) nx_abort(NX_STR("no hash"));
  begin("blob");
  number(nx_blob_size(hash, sizeof hash));
  text(" ");
  add(out, nx_blob_read(hash, sizeof hash, 0, out, sizeof out));
  end();
  found("blob", nx_blob_drop(hash, sizeof hash));
  found("blob", nx_blob_drop(hash, sizeof hash));
  found("blob", nx_blob_size(hash, sizeof hash) >= 0 ? 0 : NX_NOT_FOUND);
}

NX_EXPORT("init") void init(void) {
  ok("watch", nx_crdt_watch(NX_STR("a/")));
  ok("unwatch", nx_crdt_unwatch(NX_STR("b/")));
  ok("timer", nx_timer_set(7, 100, 1000));
  found("cancel", nx_timer_cancel(1));
  found("cancel", nx_timer_cancel(9));
  found("use", nx_dataset_use(NX_STR("other")));
  found("use", nx_dataset_use(NX_STR("none")));
  ok("subscribe", nx_msg_subscribe(NX_STR("s.x")));
  ok("unsubscribe", nx_msg_unsubscribe(NX_STR("s.y")));
  ok("publish", nx_msg_publish(NX_STR("s.p"), NX_STR("hi")));
  ok("publish", nx_msg_publish(NX_STR("not a subject"), NX_STR("")));
  ok("send", nx_msg_send(NX_STR("node-2"), NX_STR("s.s"), NX_STR("x")));
  int32_t n = nx_msg_request(NX_STR("s.q"), NX_STR("?"), 50, out, sizeof out);
  begin("ask");
  text(n >= 0 ? "true " : "false ");
  add(out, n);
  end();
  count("fetch", nx_fetch(NX_STR("POST"), NX_STR("http://h/"), NX_STR("A: b\nC: d\n"), NX_STR("body")));
  begin("fetch");
  add(out, nx_fetch_header(NX_STR("Kind"), out, sizeof out));
  text(",");
  add(out, nx_fetch_header(NX_STR("None"), out, sizeof out));
  end();
  begin("fetch");
  while ((n = nx_fetch_read(out, sizeof out)) > 0) add(out, n);
  end();
  blob();
  begin("event");
  field("event");
  end();
}

NX_EXPORT("on_change") void on_change(void) {
  FIELDS("on_change", "dataset", "family", "key");
  end();
}

NX_EXPORT("on_remote_op") void on_remote_op(void) {
  FIELDS("on_remote_op", "dataset", "family", "key");
  end();
}

NX_EXPORT("on_tick") void on_tick(void) {
  FIELDS("on_tick", "timer");
  end();
}

NX_EXPORT("on_message") void on_message(void) {
  FIELDS("on_message", "subject", "from");
  text(" ");
  uint8_t answer[64] = "echo ";
  int32_t n = nx_event_read(answer + 5, sizeof answer - 5);
  add(answer + 5, n);
  end();
  if (nx_event_get(NX_STR("reply"), out, sizeof out) >= 0) ok("reply", nx_msg_reply(answer, 5 + n));
  ok("reply", nx_msg_reply(NX_STR("")));
}

NX_EXPORT("on_request") void on_request(void) {
  FIELDS("on_request", "method", "path", "query", "host", "remote", "header.accept");
  end();
  uint8_t first[4] = {0};
  uint32_t size = 0;
  for (int32_t n; (n = nx_event_read(out, sizeof out)) > 0; size += n) {
    for (int32_t i = 0; i < n && size + i < sizeof first; i++) first[size + i] = out[i];
  }
  count("on_request", size);
  ok("status", nx_http_status(201));
  ok("status", nx_http_status(99));
  ok("header", nx_http_header(NX_STR("Kind"), NX_STR("x")));
  ok("write", nx_http_write(NX_STR("got ")));
  ok("write", nx_http_write(first, sizeof first));
}

NX_EXPORT("on_peer_connected") void on_peer_connected(void) {
  FIELDS("on_peer_connected", "addr", "peer");
  end();
}

NX_EXPORT("on_peer_disconnected") void on_peer_disconnected(void) {
  FIELDS("on_peer_disconnected", "addr", "peer");
  end();
}

NX_EXPORT("shutdown") void bye(void) { count("shutdown", calls); }
