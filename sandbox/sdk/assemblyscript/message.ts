// Messages between modules on any nodes. A subject is 1 to 128 letters, digits and "_.:-", a payload at most 64 KiB.

import { Answer, Code, at, codeOf } from "./answer";
import { body, field } from "./event";
import * as host from "./host";

/** What ask must offer for an answer. */
const answerSpace: i32 = 64 << 10;

/** What on_message is about. */
export class Message {
  constructor(
    public subject: string,
    /** The node it comes from. */
    public from: string,
    /** Whether its sender waits for a reply. */
    public asks: bool,
    public payload: ArrayBuffer,
  ) {}

  /** The message of the call under way; its payload can be read once. */
  static current(): Message {
    return new Message(field("subject").value, field("from").value, field("reply").ok, body().value);
  }
}

/** Asks for on_message of a subject. */
export function subscribe(subject: string): Code {
  const s = String.UTF8.encode(subject);
  return codeOf(host.msg_subscribe(at(s), s.byteLength));
}

/** Takes a subscription back. */
export function unsubscribe(subject: string): Code {
  const s = String.UTF8.encode(subject);
  return codeOf(host.msg_unsubscribe(at(s), s.byteLength));
}

/** Tells every subscriber on every node, at most once. */
export function publish(subject: string, payload: ArrayBuffer): Code {
  const s = String.UTF8.encode(subject);
  return codeOf(host.msg_publish(at(s), s.byteLength, at(payload), payload.byteLength));
}

/** Tells the subscribers on one node, at least once. It is on this node's disk when send returns. */
export function send(node: string, subject: string, payload: ArrayBuffer): Code {
  const n = String.UTF8.encode(node), s = String.UTF8.encode(subject);
  return codeOf(host.msg_send(at(n), n.byteLength, at(s), s.byteLength, at(payload), payload.byteLength));
}

/** Asks the subscribers and returns the first answer; Code.NotFound if there is none in timeout ms. */
export function ask(subject: string, payload: ArrayBuffer, timeout: u32): Answer<ArrayBuffer> {
  const s = String.UTF8.encode(subject), out = new ArrayBuffer(answerSpace);
  const n = host.msg_request(
    at(s), s.byteLength, at(payload), payload.byteLength, timeout, at(out), answerSpace);
  return new Answer(codeOf(n), out.slice(0, max(n, 0)));
}

/** Answers the message of this on_message, once, if its sender asked. */
export function reply(payload: ArrayBuffer): Code { return codeOf(host.msg_reply(at(payload), payload.byteLength)); }
