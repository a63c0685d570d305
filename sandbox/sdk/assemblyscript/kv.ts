// The module's private keys: bytes to bytes, on this node alone. Any bytes are a key; utf8 makes them of a string.

import { Answer, Call, Code, Rows, at, codeOf, yes } from "./answer";
import * as host from "./host";

/** The most a scan returns at once. */
const maxRows: i32 = 1024;

/** The bytes of a string. */
export function utf8(s: string): ArrayBuffer { return String.UTF8.encode(s); }

/** The string of bytes. */
export function text(b: ArrayBuffer): string { return String.UTF8.decode(b); }

/** Reads a private value; Code.NotFound when the key is absent. */
export function get(key: ArrayBuffer): Answer<ArrayBuffer> { return new Get(key).bytes(); }

/** Writes a private value. */
export function put(key: ArrayBuffer, value: ArrayBuffer): Code {
  return codeOf(host.db_set(at(key), key.byteLength, at(value), value.byteLength));
}

/** Deletes a private key; an absent one is not an error. */
export function remove(key: ArrayBuffer): Code { return codeOf(host.db_delete(at(key), key.byteLength)); }

/** Says whether a private key is there. */
export function exists(key: ArrayBuffer): Answer<bool> { return yes(host.db_exists(at(key), key.byteLength)); }

/** A private key with its value. */
export class Row {
  constructor(public key: ArrayBuffer, public value: ArrayBuffer) {}
}

/**
 * Returns up to limit rows whose keys start with prefix and are greater than after (empty = from the start), ascending.
 * limit is at most 1,024, and a page at most 1 MiB: ask for fewer on Code.TooLarge.
 */
export function scan(prefix: ArrayBuffer, after: ArrayBuffer, limit: i32): Answer<Row[]> {
  const b = new Scan(prefix, after, limit).bytes();
  const list = new Array<Row>();
  const r = new Rows(b.value);
  for (let n = r.u32(); n > 0 && r.more; n--) {
    const key = r.u32(), value = r.u32();
    list.push(new Row(r.take(key), r.take(value)));
  }
  return new Answer(b.code, list);
}

/** scan without the values. */
export function keys(prefix: ArrayBuffer, after: ArrayBuffer, limit: i32): Answer<ArrayBuffer[]> {
  return new Keys(prefix, after, limit).values();
}

class Get extends Call {
  constructor(private key: ArrayBuffer) { super(); }
  into(out: usize, capacity: u32): i32 { return host.db_get(at(this.key), this.key.byteLength, out, capacity); }
}

class Scan extends Call {
  constructor(private prefix: ArrayBuffer, private after: ArrayBuffer, private limit: i32) { super(); }
  into(out: usize, capacity: u32): i32 {
    const p = this.prefix, a = this.after, limit = max(0, min(this.limit, maxRows));
    return host.db_scan_after(at(p), p.byteLength, at(a), a.byteLength, limit, out, capacity);
  }
}

class Keys extends Call {
  constructor(private prefix: ArrayBuffer, private after: ArrayBuffer, private limit: i32) { super(); }
  into(out: usize, capacity: u32): i32 {
    const p = this.prefix, a = this.after, limit = max(0, min(this.limit, maxRows));
    return host.db_keys_after(at(p), p.byteLength, at(a), a.byteLength, limit, out, capacity);
  }
}
