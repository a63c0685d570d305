// What host functions answer: codes, bytes, rows.

import { abort as hostAbort } from "./host";

/** What a host function says. */
export enum Code {
  OK = 0,
  /** There is nothing of that name. */
  NotFound = -1,
  /** The answer is larger than 1 MiB. */
  TooLarge = -2,
  /** Invalid argument, or the host failed. */
  Invalid = -3,
  /** Keys under __nx/ belong to the host. */
  Reserved = -4,
  /** The node runs without sync. */
  SyncOff = -5,
  /** Not granted to this module. */
  Denied = -6,
  /** Over a quota of this module. */
  Quota = -7,
  /** The host is busy: try again. */
  Busy = -8,
}

/** The text of a code. */
export function explain(code: Code): string {
  switch (code) {
    case Code.OK: return "ok";
    case Code.NotFound: return "nx: not found";
    case Code.TooLarge: return "nx: the answer is larger than 1 MiB";
    case Code.Reserved: return "nx: keys under __nx/ are reserved";
    case Code.SyncOff: return "nx: sync is off";
    case Code.Denied: return "nx: denied by policy";
    case Code.Quota: return "nx: quota exceeded";
    case Code.Busy: return "nx: the host is busy, try again";
    default: return "nx: invalid argument, or the host failed";
  }
}

/** Ends the run unless the code is OK. */
export function must(code: Code): void {
  if (code != Code.OK) abort(explain(code));
}

/** Ends the run with an error that shows msg (8 KiB at most). What was written stays. */
export function abort(msg: string): void {
  const m = String.UTF8.encode(msg);
  hostAbort(at(m), m.byteLength);
}

/** A value with the code it came with. The value is empty unless the code is OK. */
export class Answer<T> {
  constructor(public code: Code, public value: T) {}

  /** Whether there is a value. */
  get ok(): bool { return this.code == Code.OK; }

  /** The value; ends the run when there is none. */
  unwrap(): T {
    must(this.code);
    return this.value;
  }
}

// What follows is for the rest of the package.

/** Where bytes are. */
// @ts-ignore: decorator
@inline
export function at(b: ArrayBuffer): usize { return changetype<usize>(b); }

/** The code of a number that is not negative when the call worked. */
export function codeOf(n: i32): Code {
  if (n >= 0) return Code.OK;
  return n < Code.Busy ? Code.Invalid : <Code>n;
}

export function yes(n: i32): Answer<bool> { return new Answer(codeOf(n), n == 1); }

// Output buffers start small and grow to the most a guest may offer.
const first: i32 = 1 << 10;
const most: i32 = 1 << 20;

/** A call that writes its answer to (out, capacity). Its arguments are fields, as there are no closures. */
export abstract class Call {
  abstract into(out: usize, capacity: u32): i32;

  /** Calls with larger and larger buffers until the answer fits. */
  bytes(): Answer<ArrayBuffer> {
    for (let size = first; ; size *= 4) {
      const out = new ArrayBuffer(min(size, most));
      const n = this.into(at(out), out.byteLength);
      if (n == Code.TooLarge && size < most) continue;
      return new Answer(codeOf(n), out.slice(0, max(n, 0)));
    }
  }

  text(): Answer<string> {
    const b = this.bytes();
    return new Answer(b.code, String.UTF8.decode(b.value));
  }

  texts(): Answer<string[]> {
    const list = new Array<string>();
    const b = this.bytes();
    const r = new Rows(b.value);
    for (let n = r.u32(); n > 0 && r.more; n--) list.push(r.text(r.u32()));
    return new Answer(b.code, list);
  }

  values(): Answer<ArrayBuffer[]> {
    const list = new Array<ArrayBuffer>();
    const b = this.bytes();
    const r = new Rows(b.value);
    for (let n = r.u32(); n > 0 && r.more; n--) list.push(r.take(r.u32()));
    return new Answer(b.code, list);
  }
}

/** Takes an answer apart that the host wrote as u32 n and then n rows of fields. */
export class Rows {
  private pos: i32 = 0;

  constructor(private data: ArrayBuffer) {}

  get more(): bool { return this.pos < this.data.byteLength; }

  u32(): i32 {
    const b = this.take(4);
    return b.byteLength < 4 ? 0 : load<i32>(at(b));
  }

  take(n: i32): ArrayBuffer {
    const end = min(this.data.byteLength, this.pos + max(n, 0));
    const b = this.data.slice(this.pos, end);
    this.pos = end;
    return b;
  }

  text(n: i32): string { return String.UTF8.decode(this.take(n)); }
}
