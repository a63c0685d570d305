// Blobs: bytes of up to 64 MiB, named by their BLAKE3 hash of 32 bytes and the same on every node.

import { Answer, Code, at, codeOf } from "./answer";
import * as host from "./host";

/** What one call of the host takes or gives. */
const piece: i32 = 1 << 20;

/** Appends to the blob that this instance is making. Code.Quota means that it would be over 64 MiB, or the module over
 * its storage. */
export function writeBlob(data: ArrayBuffer): Code {
  for (let done = 0; done < data.byteLength; done += piece) {
    const code = codeOf(host.blob_write(at(data) + done, min(piece, data.byteLength - done)));
    if (code != Code.OK) return code;
  }
  return Code.OK;
}

/** Makes what was written a blob, which is on disk then; its hash. */
export function finishBlob(): Answer<ArrayBuffer> {
  const out = new ArrayBuffer(32);
  return new Answer(codeOf(host.blob_finish(at(out), 32)), out);
}

/** The size of a blob, which is fetched if it is not here; Code.NotFound if no connected node has it. */
export function blobSize(hash: ArrayBuffer): Answer<i32> {
  const n = host.blob_size(at(hash), hash.byteLength);
  return new Answer(codeOf(n), max(n, 0));
}

/** Reads up to length bytes, 1 MiB at most, from an offset, and fetches as blobSize; empty at the end. */
export function readBlob(hash: ArrayBuffer, offset: u64, length: i32): Answer<ArrayBuffer> {
  const out = new ArrayBuffer(min(length, piece));
  const n = host.blob_read(at(hash), hash.byteLength, offset, at(out), out.byteLength);
  return new Answer(codeOf(n), out.slice(0, max(n, 0)));
}

/** Says that the module needs a blob no more that it made or read; Code.NotFound if it has it not. */
export function dropBlob(hash: ArrayBuffer): Code { return codeOf(host.blob_drop(at(hash), hash.byteLength)); }
