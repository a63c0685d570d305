// Web requests: those a guest serves, and those it makes.

import { Answer, Call, Code, at, codeOf } from "./answer";
import { Pieces, field } from "./event";
import * as host from "./host";

/** What on_request is about. body and readBody read its body. */
export class Request {
  constructor(
    public method: string,
    /** The path, from "/". */
    public path: string,
    /** What follows "?", as it came. */
    public query: string,
    public host: string,
    /** Who asks. */
    public remote: string,
  ) {}

  /** The request of the call under way. */
  static current(): Request {
    return new Request(
      field("method").value, field("path").value, field("query").value, field("host").value, field("remote").value);
  }

  /** A header of the request of the call under way; Code.NotFound if it has none of that name. */
  header(name: string): Answer<string> { return field("header." + name.toLowerCase()); }
}

/** Sets the status of the answer, before the first respond; 200 otherwise. */
export function setStatus(status: u32): Code { return codeOf(host.http_status(status)); }

/** Sets a header of the answer, before the first respond. */
export function setHeader(name: string, value: string): Code {
  const n = String.UTF8.encode(name), v = String.UTF8.encode(value);
  return codeOf(host.http_header(at(n), n.byteLength, at(v), v.byteLength));
}

/** Writes the next of the answer's body, at most 1 MiB at once. The first call sends status and headers. */
export function respond(data: ArrayBuffer): Code { return codeOf(host.http_write(at(data), data.byteLength)); }

/** The answer to a fetch, until the next one or the end of the call. */
export class Fetched extends Pieces {
  constructor(
    /** 200, 404, …; 0 when there was none. */
    public status: i32,
  ) { super(); }

  /** A header of the answer; Code.NotFound if it has none of that name. */
  header(name: string): Answer<string> { return new FetchHeader(String.UTF8.encode(name)).text(); }

  into(out: usize, capacity: u32): i32 { return host.fetch_read(out, capacity); }
}

/** Makes a web request and waits for the head of its answer; headers are lines "Name: value\n". */
export function fetch(method: string, url: string, headers: string, body: ArrayBuffer): Answer<Fetched> {
  const m = String.UTF8.encode(method), u = String.UTF8.encode(url), h = String.UTF8.encode(headers);
  const n = host.fetch(at(m), m.byteLength, at(u), u.byteLength, at(h), h.byteLength, at(body), body.byteLength);
  return new Answer(codeOf(n), new Fetched(max(n, 0)));
}

class FetchHeader extends Call {
  constructor(private name: ArrayBuffer) { super(); }
  into(out: usize, capacity: u32): i32 { return host.fetch_header(at(this.name), this.name.byteLength, out, capacity); }
}
