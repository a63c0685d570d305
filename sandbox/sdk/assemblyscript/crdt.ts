// Replicated data: six families, each with a key space of its own.

import { Answer, Call, Code, Rows, at, codeOf, yes } from "./answer";
import * as host from "./host";

/** Something replicated, named by its key. */
abstract class Named {
  /** The key's UTF-8. */
  protected key: ArrayBuffer;

  constructor(key: string) { this.key = String.UTF8.encode(key); }
}

/** A replicated counter that only grows. It stops at the largest u64. */
export class GCounter extends Named {
  /** Increments the counter. */
  add(delta: u64): Code { return codeOf(host.crdt_gcounter_inc(at(this.key), this.key.byteLength, delta)); }

  /** The sum over all nodes, as far as this one knows; 0 if nobody added anything. */
  value(): Answer<u64> {
    const out = new ArrayBuffer(8);
    const n = host.crdt_gcounter_value(at(this.key), this.key.byteLength, at(out), 8);
    return new Answer(codeOf(n), load<u64>(at(out)));
  }
}

/** A replicated counter that goes both ways. */
export class PNCounter extends Named {
  /** Moves the counter by delta, up or down. */
  add(delta: i64): Code {
    const key = at(this.key), len = this.key.byteLength;
    return codeOf(delta < 0 ? host.crdt_pncounter_dec(key, len, -delta) : host.crdt_pncounter_inc(key, len, delta));
  }

  /** The sum over all nodes, as far as this one knows; 0 if nobody added anything. */
  value(): Answer<i64> {
    const out = new ArrayBuffer(8);
    const n = host.crdt_pncounter_value(at(this.key), this.key.byteLength, at(out), 8);
    return new Answer(codeOf(n), load<i64>(at(out)));
  }
}

/** One replicated value; the last write wins. */
export class Register extends Named {
  /** Writes the value. It wins over every write this node has seen. */
  set(value: ArrayBuffer): Code {
    return codeOf(host.crdt_lww_set(at(this.key), this.key.byteLength, at(value), value.byteLength));
  }

  /** Reads the value; Code.NotFound when nobody ever set one. */
  get(): Answer<ArrayBuffer> { return new LWWGet(this.key).bytes(); }
}

/** A field of a LWWMap. */
export class Entry {
  constructor(public field: string, public value: ArrayBuffer) {}
}

/** A replicated map from fields to values; for every field the last write wins, and a removal is a write. */
export class LWWMap extends Named {
  /** Writes a field. */
  set(field: string, value: ArrayBuffer): Code {
    const k = this.key, f = String.UTF8.encode(field);
    return codeOf(host.crdt_lww_map_set(at(k), k.byteLength, at(f), f.byteLength, at(value), value.byteLength));
  }

  /** Removes a field. */
  remove(field: string): Code {
    const k = this.key, f = String.UTF8.encode(field);
    return codeOf(host.crdt_lww_map_remove(at(k), k.byteLength, at(f), f.byteLength));
  }

  /** Reads a field; Code.NotFound when it is absent. */
  get(field: string): Answer<ArrayBuffer> { return new MapGet(this.key, String.UTF8.encode(field)).bytes(); }

  /** Says whether the field is there. */
  contains(field: string): Answer<bool> {
    const k = this.key, f = String.UTF8.encode(field);
    return yes(host.crdt_lww_map_contains(at(k), k.byteLength, at(f), f.byteLength));
  }

  /** The fields that are there, sorted by their bytes. */
  entries(): Answer<Entry[]> {
    const b = new MapEntries(this.key).bytes();
    const list = new Array<Entry>();
    const r = new Rows(b.value);
    for (let n = r.u32(); n > 0 && r.more; n--) {
      const field = r.text(r.u32());
      list.push(new Entry(field, r.take(r.u32())));
    }
    return new Answer(b.code, list);
  }
}

/** A replicated set of strings. An addition that happens beside a removal survives it. */
export class ORSet extends Named {
  /** Adds an element. */
  add(element: string): Code {
    const k = this.key, e = String.UTF8.encode(element);
    return codeOf(host.crdt_orset_add(at(k), k.byteLength, at(e), e.byteLength));
  }

  /** Removes the additions of an element that this node has seen. */
  remove(element: string): Code {
    const k = this.key, e = String.UTF8.encode(element);
    return codeOf(host.crdt_orset_remove(at(k), k.byteLength, at(e), e.byteLength));
  }

  /** Says whether the element is in the set. */
  contains(element: string): Answer<bool> {
    const k = this.key, e = String.UTF8.encode(element);
    return yes(host.crdt_orset_contains(at(k), k.byteLength, at(e), e.byteLength));
  }

  /** The set, sorted by bytes. */
  elements(): Answer<string[]> { return new SetElements(this.key).texts(); }
}

/** The place before the first element of a List. */
export const HEAD: string = "";

/** What the host wants to be offered for an id. */
const idSpace: i32 = 36;

/** A replicated sequence of values. Elements have ids by which others are put after them. */
export class List extends Named {
  /**
   * Puts value after an element, before what already stands there, and returns its id. A parent that this node does not
   * know means HEAD.
   */
  insertAfter(parent: string, value: ArrayBuffer): Answer<string> {
    const k = this.key, p = String.UTF8.encode(parent), out = new ArrayBuffer(idSpace);
    const n = host.crdt_rga_insert(
      at(k), k.byteLength, at(p), p.byteLength, at(value), value.byteLength, at(out), idSpace);
    return new Answer(codeOf(n), String.UTF8.decode(out.slice(0, max(n, 0))));
  }

  /** Removes an element. Those put after it stay where they are. */
  delete(id: string): Code {
    const k = this.key, i = String.UTF8.encode(id);
    return codeOf(host.crdt_rga_delete(at(k), k.byteLength, at(i), i.byteLength));
  }

  /** The elements in order. */
  values(): Answer<ArrayBuffer[]> { return new RGAValues(this.key).values(); }
}

/** Returns when everything this guest wrote so far, private keys too, is on disk. */
export function commit(): Code { return codeOf(host.commit()); }

/** A call about a key. */
abstract class OfKey extends Call {
  constructor(protected key: ArrayBuffer) { super(); }
}

class LWWGet extends OfKey {
  into(out: usize, capacity: u32): i32 { return host.crdt_lww_get(at(this.key), this.key.byteLength, out, capacity); }
}

class MapGet extends Call {
  constructor(private key: ArrayBuffer, private field: ArrayBuffer) { super(); }
  into(out: usize, capacity: u32): i32 {
    const k = this.key, f = this.field;
    return host.crdt_lww_map_get(at(k), k.byteLength, at(f), f.byteLength, out, capacity);
  }
}

class MapEntries extends OfKey {
  into(out: usize, capacity: u32): i32 {
    return host.crdt_lww_map_entries(at(this.key), this.key.byteLength, out, capacity);
  }
}

class SetElements extends OfKey {
  into(out: usize, capacity: u32): i32 {
    return host.crdt_orset_elements(at(this.key), this.key.byteLength, out, capacity);
  }
}

class RGAValues extends OfKey {
  into(out: usize, capacity: u32): i32 {
    return host.crdt_rga_values(at(this.key), this.key.byteLength, out, capacity);
  }
}
