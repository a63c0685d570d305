// What has happened: the fields and the body of the call under way.
//
// A guest that exports on_change, on_remote_op, on_tick, on_message, on_request, on_peer_connected or
// on_peer_disconnected lives on and is called, one call at a time. init comes before all of them, shutdown at an orderly
// end. After a call that failed a guest begins anew, without what it had in memory.

import { Answer, Call, Code, at, codeOf } from "./answer";
import * as host from "./host";
import { Peer } from "./system";

/** A field of the call under way; Code.NotFound if it has no such field. */
export function field(name: string): Answer<string> { return new Field(String.UTF8.encode(name)).text(); }

/** Reads on in the body of the message or web request: how many bytes came to the start of out, 0 at its end. */
export function readBody(out: ArrayBuffer): Answer<i32> { return new Body().read(out); }

/** The rest of the body. */
export function body(): Answer<ArrayBuffer> { return new Body().rest(); }

/**
 * What on_change and on_remote_op are about. After the last change of an object there is a call, however many there were
 * before it: so read the object, and do not count calls. A guest hears of its own changes too.
 */
export class Change {
  constructor(
    public dataset: string,
    /** gcounter, pncounter, lww-register, lww-map, orset or rga. */
    public family: string,
    public key: string,
  ) {}

  /** The change of the call under way. */
  static current(): Change {
    return new Change(field("dataset").value, field("family").value, field("key").value);
  }
}

/** The node that on_peer_connected and on_peer_disconnected are about. */
export function currentPeer(): Peer { return new Peer(field("addr").value, field("peer").value); }

/** The id of the timer that on_tick is about. */
export function currentTimer(): u32 { return <u32>U64.parseInt(field("timer").value); }

/** Calls on_tick after delay ms and then, unless period is 0, every period ms; in place of an earlier timer of that id. */
export function setTimer(id: u32, delay: u64, period: u64): Code { return codeOf(host.timer_set(id, delay, period)); }

/** Ends a timer; Code.NotFound if there is none of that id. */
export function cancelTimer(id: u32): Code { return codeOf(host.timer_cancel(id)); }

/** Chooses the dataset that replicated values are of from now on; Code.NotFound if the node does not have it. */
export function useDataset(name: string): Code {
  const n = String.UTF8.encode(name);
  return codeOf(host.dataset_use(at(n), n.byteLength));
}

/**
 * Asks for on_change and on_remote_op of objects of the dataset in use whose key starts with prefix. A guest that watches
 * nothing when init returns watches all of its first dataset.
 */
export function watch(prefix: string): Code {
  const p = String.UTF8.encode(prefix);
  return codeOf(host.crdt_watch(at(p), p.byteLength));
}

/** Takes a watch back. */
export function unwatch(prefix: string): Code {
  const p = String.UTF8.encode(prefix);
  return codeOf(host.crdt_unwatch(at(p), p.byteLength));
}

class Field extends Call {
  constructor(private name: ArrayBuffer) { super(); }
  into(out: usize, capacity: u32): i32 { return host.event_get(at(this.name), this.name.byteLength, out, capacity); }
}

/** A body that comes piece by piece. */
export abstract class Pieces extends Call {
  read(out: ArrayBuffer): Answer<i32> {
    if (out.byteLength == 0) return new Answer(Code.OK, 0);
    const n = this.into(at(out), out.byteLength);
    return n == Code.NotFound ? new Answer(Code.OK, 0) : new Answer(codeOf(n), max(n, 0));
  }

  rest(): Answer<ArrayBuffer> {
    const piece = new ArrayBuffer(4 << 10);
    let all = new ArrayBuffer(0), size = 0;
    let n = this.read(piece);
    for (; n.ok && n.value > 0; n = this.read(piece)) {
      if (size + n.value > all.byteLength) {
        const larger = new ArrayBuffer(2 * all.byteLength + n.value);
        memory.copy(at(larger), at(all), size);
        all = larger;
      }
      memory.copy(at(all) + size, at(piece), n.value);
      size += n.value;
    }
    return new Answer(n.code, all.slice(0, size));
  }
}

class Body extends Pieces {
  into(out: usize, capacity: u32): i32 { return host.event_read(out, capacity); }
}
