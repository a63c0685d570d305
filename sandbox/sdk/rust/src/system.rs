//! The log, clocks, randomness, hashes, and what a guest may know of its node.

use crate::answer::{hash, pull, rows, text, whole};
use crate::error::{done, Result};
use crate::sys;
use alloc::{borrow::ToOwned, string::String, vec::Vec};
use core::time::Duration;

/// Writes a line to the node's log, as `[guest] …`. A line over 8 KiB is dropped, with
/// [`Error::Invalid`](crate::Error::Invalid).
pub fn log(line: &str) -> Result<()> {
    done(unsafe { sys::host_log_v2(line.as_ptr(), line.len()) })
}

/// Ends the run with an error that shows `msg` (8 KiB at most). What was written stays.
pub fn abort(msg: &str) -> ! {
    unsafe { sys::abort(msg.as_ptr(), msg.len()) }
}

/// Reads a variable of the node's environment. Only names `NX_…` and `NUMAX_…` are ever set.
pub fn env(name: &str) -> Option<String> {
    pull(|out, cap| unsafe { sys::env_get(name.as_ptr(), name.len(), out, cap) }).ok()?.map(text)
}

/// The path the module was started from, as typed.
pub fn module_id() -> Result<String> {
    whole(|out, cap| unsafe { sys::module_id(out, cap) }).map(text)
}

/// The functions the host has, sorted.
pub fn capabilities() -> Result<Vec<String>> {
    let names = whole(|out, cap| unsafe { sys::host_capabilities(out, cap) }).map(text)?;
    Ok(names.split('\n').map(str::to_owned).collect())
}

/// Reports an event: a name of 1 to 128 letters, digits and `_.:-`, and a payload of at most 64 KiB.
pub fn emit(name: &str, payload: &[u8]) -> Result<()> {
    done(unsafe { sys::event_emit(name.as_ptr(), name.len(), payload.as_ptr(), payload.len()) })
}

/// The node's clock: the time since 1970, to the millisecond.
pub fn now() -> Duration {
    Duration::from_millis(unsafe { sys::time_now() }.max(0) as u64)
}

/// A clock that never jumps: the time since it was first asked in this node's life.
pub fn monotonic() -> Duration {
    Duration::from_millis(unsafe { sys::time_monotonic() }.max(0) as u64)
}

/// Fills `out`, of at most 1 MiB, with random bytes.
pub fn random(out: &mut [u8]) -> Result<()> {
    done(unsafe { sys::random_bytes(out.as_mut_ptr(), out.len()) })
}

/// Hashes up to 1 MiB on the host.
pub fn sha256(data: &[u8]) -> Result<[u8; 32]> {
    hash(|out, cap| unsafe { sys::hash_sha256(data.as_ptr(), data.len(), out, cap) })
}

/// Hashes up to 1 MiB on the host.
pub fn blake3(data: &[u8]) -> Result<[u8; 32]> {
    hash(|out, cap| unsafe { sys::hash_blake3(data.as_ptr(), data.len(), out, cap) })
}

/// The node's name in the network; [`Error::SyncOff`](crate::Error::SyncOff) when it has none.
pub fn node_id() -> Result<String> {
    whole(|out, cap| unsafe { sys::net_node_id(out, cap) }).map(text)
}

/// A connected node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Where it is.
    pub addr: String,
    /// Its name in the network.
    pub id: String,
}

/// The connected nodes by address; [`Error::SyncOff`](crate::Error::SyncOff) when there is no network.
pub fn peers() -> Result<Vec<Peer>> {
    rows(
        |out, cap| unsafe { sys::net_peers(out, cap) },
        |r| {
            let (addr, id) = (r.u32(), r.u32());
            Peer { addr: text(r.take(addr).to_vec()), id: text(r.take(id).to_vec()) }
        },
    )
}
