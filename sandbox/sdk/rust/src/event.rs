//! What has happened: the fields and the body of the call under way.
//!
//! A guest that exports `on_change`, `on_remote_op`, `on_tick`, `on_message`, `on_request`, `on_peer_connected` or
//! `on_peer_disconnected` lives on and is called, one call at a time. `init` comes before all of them, `shutdown` at an
//! orderly end. After a call that failed a guest begins anew, without what it had in memory.

use crate::answer::{pull, text};
use crate::error::{check, done, found, Result, NOT_FOUND};
use crate::{sys, Peer};
use alloc::{string::String, vec, vec::Vec};
use core::time::Duration;

/// A field of the call under way; `None` if it has no such field.
pub fn field(name: &str) -> Option<String> {
    pull(|out, cap| unsafe { sys::event_get(name.as_ptr(), name.len(), out, cap) }).ok()?.map(text)
}

fn known(name: &str) -> String {
    field(name).unwrap_or_default()
}

/// Reads on in the body of the message or web request; 0 at its end.
pub fn read_body(out: &mut [u8]) -> Result<usize> {
    read(out, |out, cap| unsafe { sys::event_read(out, cap) })
}

/// The rest of the body.
pub fn body() -> Result<Vec<u8>> {
    read_all(read_body)
}

/// One read of a body; there is nothing to read where there is none.
pub(crate) fn read(out: &mut [u8], call: impl FnOnce(*mut u8, u32) -> i32) -> Result<usize> {
    if out.is_empty() {
        return Ok(0);
    }
    match call(out.as_mut_ptr(), out.len().min(MOST_READ) as u32) {
        NOT_FOUND => Ok(0),
        n => check(n),
    }
}

/// The most a guest may offer at once.
const MOST_READ: usize = 1 << 20;

pub(crate) fn read_all(mut read: impl FnMut(&mut [u8]) -> Result<usize>) -> Result<Vec<u8>> {
    let (mut all, mut part) = (Vec::new(), vec![0; 4 << 10]);
    loop {
        match read(&mut part)? {
            0 => return Ok(all),
            n => all.extend_from_slice(&part[..n]),
        }
    }
}

/// What `on_change` and `on_remote_op` are about.
///
/// After the last change of an object there is a call, however many there were before it: so read the object, and do
/// not count calls. A guest hears of its own changes too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The object's dataset.
    pub dataset: String,
    /// `gcounter`, `pncounter`, `lww-register`, `lww-map`, `orset` or `rga`.
    pub family: String,
    /// The object's key.
    pub key: String,
}

impl Change {
    /// The change of the call under way.
    pub fn current() -> Change {
        Change { dataset: known("dataset"), family: known("family"), key: known("key") }
    }
}

/// The node that `on_peer_connected` and `on_peer_disconnected` are about.
pub fn current_peer() -> Peer {
    Peer { addr: known("addr"), id: known("peer") }
}

/// The id of the timer that `on_tick` is about.
pub fn current_timer() -> u32 {
    known("timer").parse().unwrap_or_default()
}

/// Calls `on_tick` after `delay` and then, unless `period` is zero, every `period`; in place of an earlier timer of that
/// id.
pub fn set_timer(id: u32, delay: Duration, period: Duration) -> Result<()> {
    done(unsafe { sys::timer_set(id, delay.as_millis() as u64, period.as_millis() as u64) })
}

/// Ends a timer; false if there is none of that id.
pub fn cancel_timer(id: u32) -> Result<bool> {
    found(unsafe { sys::timer_cancel(id) })
}

/// Chooses the dataset that replicated values are of from now on; false if the node does not have it.
pub fn use_dataset(name: &str) -> Result<bool> {
    found(unsafe { sys::dataset_use(name.as_ptr(), name.len()) })
}

/// Asks for `on_change` and `on_remote_op` of objects of the dataset in use whose key starts with `prefix`. A guest that
/// watches nothing when `init` returns watches all of its first dataset.
pub fn watch(prefix: &str) -> Result<()> {
    done(unsafe { sys::crdt_watch(prefix.as_ptr(), prefix.len()) })
}

/// Takes a [`watch`] back.
pub fn unwatch(prefix: &str) -> Result<()> {
    done(unsafe { sys::crdt_unwatch(prefix.as_ptr(), prefix.len()) })
}
