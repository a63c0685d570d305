//! The module's private keys: bytes to bytes, on this node alone. Any bytes are a key.

use crate::answer::{pull, rows};
use crate::error::{done, yes, Result};
use crate::sys;
use alloc::vec::Vec;

/// The most a scan returns at once.
const MAX_ROWS: usize = 1024;

/// Reads a private value; `None` when the key is absent.
pub fn get(key: &[u8]) -> Result<Option<Vec<u8>>> {
    pull(|out, cap| unsafe { sys::db_get(key.as_ptr(), key.len(), out, cap) })
}

/// Writes a private value.
pub fn put(key: &[u8], value: &[u8]) -> Result<()> {
    done(unsafe { sys::db_set(key.as_ptr(), key.len(), value.as_ptr(), value.len()) })
}

/// Deletes a private key; an absent one is not an error.
pub fn delete(key: &[u8]) -> Result<()> {
    done(unsafe { sys::db_delete(key.as_ptr(), key.len()) })
}

/// Says whether a private key is there.
pub fn exists(key: &[u8]) -> Result<bool> {
    yes(unsafe { sys::db_exists(key.as_ptr(), key.len()) })
}

/// Returns up to `limit` keys with their values that start with `prefix` and are greater than `after` (empty = from the
/// start), ascending. `limit` is at most 1,024, and a page at most 1 MiB: ask for fewer on
/// [`Error::TooLarge`](crate::Error::TooLarge).
pub fn scan(prefix: &[u8], after: &[u8], limit: usize) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    rows(
        |out, cap| unsafe {
            let limit = limit.min(MAX_ROWS) as u32;
            sys::db_scan_after(prefix.as_ptr(), prefix.len(), after.as_ptr(), after.len(), limit, out, cap)
        },
        |r| {
            let (key, value) = (r.u32(), r.u32());
            (r.take(key).to_vec(), r.take(value).to_vec())
        },
    )
}

/// [`scan`] without the values.
pub fn keys(prefix: &[u8], after: &[u8], limit: usize) -> Result<Vec<Vec<u8>>> {
    rows(
        |out, cap| unsafe {
            let limit = limit.min(MAX_ROWS) as u32;
            sys::db_keys_after(prefix.as_ptr(), prefix.len(), after.as_ptr(), after.len(), limit, out, cap)
        },
        |r| r.field(),
    )
}
