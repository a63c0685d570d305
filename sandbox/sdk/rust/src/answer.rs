//! Answers that the host writes into a buffer of ours: bytes, texts, rows.

use crate::error::{check, Error, Result, NOT_FOUND, TOO_SMALL};
use alloc::{string::String, vec, vec::Vec};

/// Output buffers start small and grow to the most a guest may offer.
const FIRST: usize = 1 << 10;
const MOST: usize = 1 << 20;

/// Calls with larger and larger buffers until the answer fits; None when there is none.
pub(crate) fn pull(mut call: impl FnMut(*mut u8, u32) -> i32) -> Result<Option<Vec<u8>>> {
    let mut size = FIRST;
    loop {
        let mut out = vec![0; size];
        match call(out.as_mut_ptr(), size as u32) {
            NOT_FOUND => return Ok(None),
            TOO_SMALL if size < MOST => size = MOST.min(size * 4),
            code => {
                out.truncate(check(code)?);
                return Ok(Some(out));
            }
        }
    }
}

/// An answer that is always there.
pub(crate) fn whole(call: impl FnMut(*mut u8, u32) -> i32) -> Result<Vec<u8>> {
    pull(call).map(Option::unwrap_or_default)
}

pub(crate) fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}

/// A number of 8 bytes, little-endian.
pub(crate) fn number(call: impl FnOnce(*mut u8, u32) -> i32) -> Result<u64> {
    let mut out = [0; 8];
    check(call(out.as_mut_ptr(), 8)).map(|_| u64::from_le_bytes(out))
}

/// A hash of 32 bytes.
pub(crate) fn hash(call: impl FnOnce(*mut u8, u32) -> i32) -> Result<[u8; 32]> {
    let mut out = [0; 32];
    check(call(out.as_mut_ptr(), 32)).map(|_| out)
}

/// Takes an answer apart that the host wrote as u32 n and then n rows of fields.
pub(crate) struct Rows<'a>(&'a [u8]);

impl<'a> Rows<'a> {
    pub(crate) fn u32(&mut self) -> usize {
        self.take(4).try_into().map_or(0, |b| u32::from_le_bytes(b) as usize)
    }

    pub(crate) fn take(&mut self, n: usize) -> &'a [u8] {
        let (head, rest) = self.0.split_at(n.min(self.0.len()));
        self.0 = rest;
        head
    }

    /// u32 length, bytes.
    pub(crate) fn field(&mut self) -> Vec<u8> {
        let n = self.u32();
        self.take(n).to_vec()
    }

    pub(crate) fn text(&mut self) -> String {
        text(self.field())
    }
}

/// The rows of an answer; one that is cut short has fewer.
pub(crate) fn rows<T>(
    call: impl FnMut(*mut u8, u32) -> i32,
    mut row: impl FnMut(&mut Rows<'_>) -> T,
) -> Result<Vec<T>> {
    let answer = whole(call)?;
    let mut r = Rows(&answer);
    let mut list = Vec::new();
    for _ in 0..r.u32() {
        if r.0.is_empty() {
            return Err(Error::Invalid);
        }
        list.push(row(&mut r));
    }
    Ok(list)
}
