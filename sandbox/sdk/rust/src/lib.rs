//! Lets a Rust program that is built for WebAssembly use the node it runs on: replicated data, private keys, the log,
//! the network. It has no dependencies and never talks to anything but its host.
//!
//! ```ignore
//! use numax::{Error, GCounter};
//!
//! const VISITS: GCounter = GCounter("counter:visits");
//!
//! fn run() -> Result<(), Error> {
//!     VISITS.add(1)
//! }
//!
//! numax::export!(run);
//! ```
//!
//! ```text
//! cargo build --release --target wasm32-unknown-unknown     (with crate-type = ["cdylib"])
//! numax-node run target/wasm32-unknown-unknown/release/NAME.wasm
//! ```
//!
//! Replicated values are named by a key. There are six families, with key spaces of their own: [`GCounter`],
//! [`PNCounter`], [`Register`], [`Map`], [`Set`] and [`List`]. A write is applied when it returns: the guest reads what
//! it wrote. [`commit`] waits until it is on disk too. Keys, fields and elements are at most 8 KiB, values at most
//! 1 MiB; a key must not start with `__nx/`.
//!
//! What a node calls are the functions a guest exports; see [`export!`]. One that exports a handler, as `on_message`, lives
//! on and may use timers, messages, blobs and web requests, as far as its manifest asks for them.

#![cfg_attr(not(feature = "std"), no_std)]
#![warn(missing_docs)]

extern crate alloc;

mod answer;
mod blob;
mod crdt;
mod entry;
mod error;
mod event;
mod http;
mod kv;
mod message;
pub mod sys;
mod system;

pub use blob::{blob_size, drop_blob, finish_blob, read_blob, write_blob, BlobHash};
pub use crdt::{commit, GCounter, Id, List, Map, PNCounter, Register, Set, HEAD};
#[doc(hidden)]
pub use entry::call;
pub use entry::Outcome;
pub use error::{Error, Result};
pub use event::{
    body, cancel_timer, current_peer, current_timer, field, read_body, set_timer, unwatch, use_dataset, watch, Change,
};
pub use http::{fetch, respond, set_header, set_status, Fetched, Request};
pub use kv::{delete, exists, get, keys, put, scan};
pub use message::{ask, publish, reply, send, subscribe, unsubscribe, Message};
pub use system::{
    abort, blake3, capabilities, emit, env, log, module_id, monotonic, node_id, now, peers, random, sha256, Peer,
};
