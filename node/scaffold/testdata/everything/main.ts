// A guest that calls every function of the SDK and logs what it sees. Its twins in the other languages log the same,
// line for line; the sandbox's tests run them all.

import {
  Answer, Code, Entry, GCounter, HEAD, LWWMap, List, ORSet, PNCounter, Peer, Register, Row, abort, blake3, capabilities, commit,
  emit, env, exists, explain, get, keys, log, moduleID, monotonic, must, nodeID, now, peers, put, random, remove, scan, sha256,
  text, utf8,
} from "./sdk";

const none = new ArrayBuffer(0);

export function run(): void {
  const grow = new GCounter("clé");
  did("grow", grow.add(2));
  see("grow", grow.value().code, grow.value().value.toString());
  did("grow", new GCounter("most").add(u64.MAX_VALUE));
  see("grow", Code.OK, new GCounter("most").value().unwrap().toString());
  const stock = new PNCounter("k");
  did("stock", stock.add(1));
  did("stock", stock.add(-6));
  see("stock", Code.OK, stock.value().unwrap().toString());
  did("stock", new PNCounter("least").add(i64.MIN_VALUE));
  see("stock", Code.OK, new PNCounter("least").value().unwrap().toString());

  const register = new Register("k");
  bytes("register", register.get());
  did("register", register.set(utf8("žluť")));
  bytes("register", register.get());

  const map = new LWWMap("k");
  did("map", map.set("b", utf8("2")));
  did("map", map.set("a", utf8("1")));
  did("map", map.set("c", none));
  did("map", map.remove("c"));
  flag("map a", map.contains("a"));
  flag("map c", map.contains("c"));
  bytes("map b", map.get("b"));
  see("map", map.entries().code, map.entries().value.map<string>((e: Entry) => e.field + "=" + text(e.value)).join(","));

  const set = new ORSet("k");
  did("set", set.add("y"));
  did("set", set.add("x"));
  did("set", set.add("z"));
  did("set", set.remove("z"));
  flag("set z", set.contains("z"));
  see("set", set.elements().code, set.elements().value.join(","));

  const list = new List("k");
  const head = list.insertAfter(HEAD, utf8("one")).unwrap();
  did("list", list.insertAfter(head, utf8("two")).code);
  did("list", list.delete(head));
  see("list", list.values().code, list.values().value.map<string>((v: ArrayBuffer) => text(v)).join(","));

  did("private", put(utf8("p/1"), utf8("x")));
  did("private", put(utf8("p/2"), none));
  did("private", put(utf8("q"), none));
  did("private", remove(utf8("q")));
  flag("private q", exists(utf8("q")));
  bytes("private q", get(utf8("q")));
  bytes("private p/1", get(utf8("p/1")));
  bytes("private p/2", get(utf8("p/2")));
  const rows = scan(utf8("p/"), none, 9);
  see("scan", rows.code, rows.value.map<string>((r: Row) => text(r.key) + "=" + text(r.value)).join(","));
  const names = keys(utf8("p/"), utf8("p/1"), 9);
  see("keys", names.code, names.value.map<string>((k: ArrayBuffer) => text(k)).join(","));

  did("large", put(utf8("large"), new ArrayBuffer(1 << 20)));
  const large = get(utf8("large"));
  see("large", large.code, large.value.byteLength.toString());
  did("too large", scan(utf8("large"), none, 9).code);
  did("too large", put(utf8("large"), new ArrayBuffer((1 << 20) + 1)));
  did("reserved", put(utf8("__nx/"), none));
  did("long key", new GCounter("k".repeat(8193)).add(1));
  did("bad event", emit("a b", none));

  see("module", moduleID().code, moduleID().value);
  see("capabilities", Code.OK, capabilities().unwrap().includes("commit").toString());
  bytes("env", new Answer(env("NX_MODE").code, utf8(env("NX_MODE").value)));
  bytes("env", new Answer(env("NX_NONE").code, none));
  did("event", emit("done", utf8("p")));
  see("now", Code.OK, now().toString());
  see("monotonic", Code.OK, (monotonic() < 1 << 40).toString());
  did("random", random(new ArrayBuffer(9)));
  see("sha256", sha256(utf8("abc")).code, hex(sha256(utf8("abc")).value));
  see("blake3", blake3(utf8("abc")).code, hex(blake3(utf8("abc")).value));
  see("node", nodeID().code, nodeID().value);
  see("peers", peers().code, peers().value.map<string>((p: Peer) => p.addr + "=" + p.id).join(","));
  did("commit", commit());
  abort("as told");
}

function see(what: string, code: Code, value: string): void {
  must(log(what + ": " + (code == Code.OK ? value : explain(code))));
}

function did(what: string, code: Code): void { see(what, code, "ok"); }

function flag(what: string, answer: Answer<bool>): void { see(what, answer.code, answer.value.toString()); }

function bytes(what: string, answer: Answer<ArrayBuffer>): void {
  if (answer.code == Code.NotFound) see(what, Code.OK, "absent");
  else see(what, answer.code, text(answer.value));
}

function hex(sum: ArrayBuffer): string {
  let s = "";
  const b = Uint8Array.wrap(sum);
  for (let i = 0; i < 4; i++) s += (b[i] < 16 ? "0" : "") + b[i].toString(16);
  return s;
}
