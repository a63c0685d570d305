// Lets an AssemblyScript program use the node it runs on: replicated data, private keys, the log, the network. It has
// no dependencies and never talks to anything but its host.
//
//     import { GCounter } from "./sdk";
//
//     const visits = new GCounter("counter:visits");
//
//     export function run(): void {
//       must(visits.add(1));
//     }
//
//     asc main.ts -o main.wasm --exportStart _initialize --use abort=sdk/system/panic
//     numax-node run main.wasm
//
// AssemblyScript cannot catch what is thrown, so nothing here throws. What only can fail returns a Code; what has an
// answer returns an Answer, with its code. must and unwrap end the run with the code's text when it is not OK.
//
// Replicated values are named by a key. There are six families, with key spaces of their own: GCounter, PNCounter,
// Register, LWWMap, ORSet and List. A write is applied when it returns: the guest reads what it wrote. commit waits
// until it is on disk too. Keys, fields and elements are UTF-8 of at most 8 KiB, values at most 1 MiB; a key must not
// start with "__nx/". A guest that exports a handler, as on_message, lives on and may use timers, messages, blobs and web requests,
// as far as its manifest asks for them.

export * from "./answer";
export * from "./blob";
export * from "./crdt";
export * from "./event";
export * from "./http";
export * from "./kv";
export * from "./message";
export * from "./system";
