// A guest that lives on: it asks for everything a guest may ask for, and logs what it hears. Its twins in the other
// languages log the same, line for line.

import {
  Change, Code, Message, Request, ask, blobSize, body, cancelTimer, currentPeer, currentTimer, dropBlob, explain, fetch, field, finishBlob,
  log, must, publish, readBlob, reply, respond, send, setHeader, setStatus, setTimer, subscribe, text, unsubscribe, unwatch,
  useDataset, utf8, watch, writeBlob,
} from "./sdk";

const none = new ArrayBuffer(0);
let calls = 0; // memory lasts from call to call

export function init(): void {
  did("watch", watch("a/"));
  did("unwatch", unwatch("b/"));
  did("timer", setTimer(7, 100, 1000));
  found("cancel", cancelTimer(1));
  found("cancel", cancelTimer(9));
  found("use", useDataset("other"));
  found("use", useDataset("none"));
  did("subscribe", subscribe("s.x"));
  did("unsubscribe", unsubscribe("s.y"));
  did("publish", publish("s.p", utf8("hi")));
  did("publish", publish("not a subject", none));
  did("send", send("node-2", "s.s", utf8("x")));
  const answer = ask("s.q", utf8("?"), 50);
  see("ask", Code.OK, answer.ok.toString() + " " + text(answer.value));
  const fetched = fetch("POST", "http://h/", "A: b\nC: d\n", utf8("body")).unwrap();
  see("fetch", Code.OK, fetched.status.toString());
  see("fetch", Code.OK, fetched.header("Kind").value + "," + fetched.header("None").value);
  const got = fetched.rest();
  see("fetch", got.code, text(got.value));
  blob();
  see("event", Code.OK, field("event").unwrap());
}

function blob(): void {
  did("blob", writeBlob(utf8("a blob")));
  const hash = finishBlob().unwrap();
  const size = blobSize(hash).unwrap();
  const b = readBlob(hash, 0, 64);
  see("blob", b.code, size.toString() + " " + text(b.value));
  found("blob", dropBlob(hash));
  found("blob", dropBlob(hash));
  found("blob", blobSize(hash).code);
}

export function on_change(): void { change("on_change"); }

export function on_remote_op(): void { change("on_remote_op"); }

function change(what: string): void {
  calls++;
  const c = Change.current();
  see(what, Code.OK, c.dataset + " " + c.family + " " + c.key);
}

export function on_tick(): void {
  calls++;
  see("on_tick", Code.OK, currentTimer().toString());
}

export function on_message(): void {
  calls++;
  const m = Message.current();
  see("on_message", Code.OK, m.subject + " " + m.from + " " + text(m.payload));
  if (m.asks) did("reply", reply(utf8("echo " + text(m.payload))));
  did("reply", reply(none));
}

export function on_request(): void {
  calls++;
  const r = Request.current();
  const accept = r.header("Accept").value;
  see("on_request", Code.OK, [r.method, r.path, r.query, r.host, r.remote, accept].join(" "));
  const b = body().unwrap();
  see("on_request", Code.OK, b.byteLength.toString());
  did("status", setStatus(201));
  did("status", setStatus(99));
  did("header", setHeader("Kind", "x"));
  did("write", respond(utf8("got ")));
  did("write", respond(b.slice(0, 4)));
}

export function on_peer_connected(): void { peer("on_peer_connected"); }

export function on_peer_disconnected(): void { peer("on_peer_disconnected"); }

function peer(what: string): void {
  calls++;
  const p = currentPeer();
  see(what, Code.OK, p.addr + " " + p.id);
}

export function shutdown(): void { see("shutdown", Code.OK, calls.toString()); }

function see(what: string, code: Code, value: string): void {
  must(log(what + ": " + (code == Code.OK ? value : explain(code))));
}

function did(what: string, code: Code): void { see(what, code, "ok"); }

function found(what: string, code: Code): void {
  if (code == Code.NotFound) see(what, Code.OK, "false");
  else see(what, code, "true");
}
