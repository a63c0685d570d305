//! Messages between modules on any nodes. A subject is 1 to 128 letters, digits and `_.:-`, a payload at most 64 KiB.

use crate::error::{check, done, Result, NOT_FOUND};
use crate::{body, field, sys};
use alloc::{string::String, vec, vec::Vec};
use core::time::Duration;

/// What [`ask`] must offer for an answer.
const ANSWER_SPACE: usize = 64 << 10;

/// What `on_message` is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What it is about.
    pub subject: String,
    /// The node it comes from.
    pub from: String,
    /// Whether its sender waits for a [`reply`].
    pub asks: bool,
    /// What it says.
    pub payload: Vec<u8>,
}

impl Message {
    /// The message of the call under way; its payload can be read once.
    pub fn current() -> Result<Message> {
        Ok(Message {
            subject: field("subject").unwrap_or_default(),
            from: field("from").unwrap_or_default(),
            asks: field("reply").is_some(),
            payload: body()?,
        })
    }
}

/// Asks for `on_message` of a subject.
pub fn subscribe(subject: &str) -> Result<()> {
    done(unsafe { sys::msg_subscribe(subject.as_ptr(), subject.len()) })
}

/// Takes a subscription back.
pub fn unsubscribe(subject: &str) -> Result<()> {
    done(unsafe { sys::msg_unsubscribe(subject.as_ptr(), subject.len()) })
}

/// Tells every subscriber on every node, at most once.
pub fn publish(subject: &str, payload: &[u8]) -> Result<()> {
    done(unsafe { sys::msg_publish(subject.as_ptr(), subject.len(), payload.as_ptr(), payload.len()) })
}

/// Tells the subscribers on one node, at least once. It is on this node's disk when `send` returns.
pub fn send(node: &str, subject: &str, payload: &[u8]) -> Result<()> {
    let (to, to_len) = (node.as_ptr(), node.len());
    done(unsafe { sys::msg_send(to, to_len, subject.as_ptr(), subject.len(), payload.as_ptr(), payload.len()) })
}

/// Asks the subscribers and returns the first answer; `None` if there is none in time.
pub fn ask(subject: &str, payload: &[u8], timeout: Duration) -> Result<Option<Vec<u8>>> {
    let mut out = vec![0; ANSWER_SPACE];
    let ms = timeout.as_millis().min(u32::MAX as u128) as u32;
    let (p, n) = (payload.as_ptr(), payload.len());
    match unsafe { sys::msg_request(subject.as_ptr(), subject.len(), p, n, ms, out.as_mut_ptr(), ANSWER_SPACE as u32) }
    {
        NOT_FOUND => Ok(None),
        n => {
            out.truncate(check(n)?);
            Ok(Some(out))
        }
    }
}

/// Answers the message of this `on_message`, once, if its sender asked.
pub fn reply(payload: &[u8]) -> Result<()> {
    done(unsafe { sys::msg_reply(payload.as_ptr(), payload.len()) })
}
