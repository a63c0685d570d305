/* A guest in plain C: no libc, no WASI, 600 bytes of WebAssembly. It greets by name and counts how often it did. */
#include "../../sandbox/sdk/c/nx.h"

static const char greetings[] = "hello-c:greetings";

void run(void) {
  char line[64] = "hello, ";
  uint32_t len = 7;

  /* NX_NAME=Ada greets Ada; anyone else is the world. */
  int32_t name = nx_env_get(NX_STR("NX_NAME"), line + len, 48);
  if (name < 0) {
    const char world[] = "world";
    for (name = 0; name < 5; name++) line[len + name] = world[name];
  }
  nx_host_log(line, len + name);

  if (nx_crdt_gcounter_inc(NX_STR(greetings), 1) != NX_OK) {
    nx_abort(NX_STR("cannot count this greeting"));
  }
}
