//! Web requests: those a guest serves, and those it makes.

use crate::answer::{pull, text};
use crate::error::{check, done, Result};
use crate::event::{read, read_all};
use crate::{field, sys};
use alloc::{format, string::String, vec::Vec};

/// What `on_request` is about. [`body`](crate::body) and [`read_body`](crate::read_body) read its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `GET`, `POST`, …
    pub method: String,
    /// The path, from `/`.
    pub path: String,
    /// What follows `?`, as it came.
    pub query: String,
    /// The host that was asked for.
    pub host: String,
    /// Who asks.
    pub remote: String,
}

impl Request {
    /// The request of the call under way.
    pub fn current() -> Request {
        let known = |name| field(name).unwrap_or_default();
        Request {
            method: known("method"),
            path: known("path"),
            query: known("query"),
            host: known("host"),
            remote: known("remote"),
        }
    }

    /// A header of the request of the call under way.
    pub fn header(&self, name: &str) -> Option<String> {
        field(&format!("header.{}", name.to_ascii_lowercase()))
    }
}

/// Sets the status of the answer, before the first [`respond`]; 200 otherwise.
pub fn set_status(status: u16) -> Result<()> {
    done(unsafe { sys::http_status(status.into()) })
}

/// Sets a header of the answer, before the first [`respond`].
pub fn set_header(name: &str, value: &str) -> Result<()> {
    done(unsafe { sys::http_header(name.as_ptr(), name.len(), value.as_ptr(), value.len()) })
}

/// Writes the next of the answer's body, at most 1 MiB at once. The first call sends status and headers.
pub fn respond(data: &[u8]) -> Result<()> {
    done(unsafe { sys::http_write(data.as_ptr(), data.len()) })
}

/// The answer to a [`fetch`], until the next one or the end of the call.
#[derive(Debug)]
pub struct Fetched {
    /// 200, 404, …
    pub status: u16,
}

/// Makes a web request and waits for the head of its answer.
pub fn fetch(method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Fetched> {
    let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    let (m, u) = (method.as_ptr(), url.as_ptr());
    let code =
        unsafe { sys::fetch(m, method.len(), u, url.len(), lines.as_ptr(), lines.len(), body.as_ptr(), body.len()) };
    Ok(Fetched { status: check(code)? as u16 })
}

impl Fetched {
    /// A header of the answer.
    pub fn header(&self, name: &str) -> Option<String> {
        pull(|out, cap| unsafe { sys::fetch_header(name.as_ptr(), name.len(), out, cap) }).ok()?.map(text)
    }

    /// Reads on in the body; 0 at its end.
    pub fn read(&mut self, out: &mut [u8]) -> Result<usize> {
        read(out, |out, cap| unsafe { sys::fetch_read(out, cap) })
    }

    /// The rest of the body.
    pub fn body(&mut self) -> Result<Vec<u8>> {
        read_all(|out| self.read(out))
    }
}
