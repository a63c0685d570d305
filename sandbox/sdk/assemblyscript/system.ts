// The log, clocks, randomness, hashes, and what a guest may know of its node.

import { Answer, Call, Code, Rows, abort, at, codeOf } from "./answer";
import * as host from "./host";

/** Writes a line to the node's log, as "[guest] …". A line over 8 KiB is dropped, with Code.Invalid. */
export function log(line: string): Code {
  const b = String.UTF8.encode(line);
  return codeOf(host.host_log_v2(at(b), b.byteLength));
}

/** What the compiler's flag --use abort=…/system/panic calls when the program fails. */
export function panic(msg: string | null, file: string | null, line: u32, column: u32): void {
  abort((msg ? msg : "failed") + " at " + (file ? file : "?") + ":" + line.toString() + ":" + column.toString());
}

/** Reads a variable of the node's environment. Only names NX_… and NUMAX_… are ever set. */
export function env(name: string): Answer<string> { return new Env(String.UTF8.encode(name)).text(); }

/** The path the module was started from, as typed. */
export function moduleID(): Answer<string> { return new ModuleID().text(); }

/** The functions the host has, sorted. */
export function capabilities(): Answer<string[]> {
  const names = new Capabilities().text();
  return new Answer(names.code, names.value.split("\n"));
}

/** Reports an event: a name of 1 to 128 letters, digits and "_.:-", and a payload of at most 64 KiB. */
export function emit(name: string, payload: ArrayBuffer): Code {
  const n = String.UTF8.encode(name);
  return codeOf(host.event_emit(at(n), n.byteLength, at(payload), payload.byteLength));
}

/** The node's clock: milliseconds since 1970. */
export function now(): i64 { return host.time_now(); }

/** A clock that never jumps: milliseconds since it was first asked in this node's life. */
export function monotonic(): i64 { return host.time_monotonic(); }

/** Fills b, of at most 1 MiB, with random bytes. */
export function random(b: ArrayBuffer): Code { return codeOf(host.random_bytes(at(b), b.byteLength)); }

/** Hashes up to 1 MiB on the host: 32 bytes. */
export function sha256(data: ArrayBuffer): Answer<ArrayBuffer> {
  const sum = new ArrayBuffer(32);
  return new Answer(codeOf(host.hash_sha256(at(data), data.byteLength, at(sum), 32)), sum);
}

/** Hashes up to 1 MiB on the host: 32 bytes. */
export function blake3(data: ArrayBuffer): Answer<ArrayBuffer> {
  const sum = new ArrayBuffer(32);
  return new Answer(codeOf(host.hash_blake3(at(data), data.byteLength, at(sum), 32)), sum);
}

/** The node's name in the network; Code.SyncOff when it has none. */
export function nodeID(): Answer<string> { return new NodeID().text(); }

/** A connected node. */
export class Peer {
  constructor(public addr: string, public id: string) {}
}

/** The connected nodes by address; Code.SyncOff when there is no network. */
export function peers(): Answer<Peer[]> {
  const b = new Peers().bytes();
  const list = new Array<Peer>();
  const r = new Rows(b.value);
  for (let n = r.u32(); n > 0 && r.more; n--) {
    const addr = r.u32(), id = r.u32();
    list.push(new Peer(r.text(addr), r.text(id)));
  }
  return new Answer(b.code, list);
}

class Env extends Call {
  constructor(private name: ArrayBuffer) { super(); }
  into(out: usize, capacity: u32): i32 { return host.env_get(at(this.name), this.name.byteLength, out, capacity); }
}

class ModuleID extends Call {
  into(out: usize, capacity: u32): i32 { return host.module_id(out, capacity); }
}

class Capabilities extends Call {
  into(out: usize, capacity: u32): i32 { return host.host_capabilities(out, capacity); }
}

class NodeID extends Call {
  into(out: usize, capacity: u32): i32 { return host.net_node_id(out, capacity); }
}

class Peers extends Call {
  into(out: usize, capacity: u32): i32 { return host.net_peers(out, capacity); }
}
