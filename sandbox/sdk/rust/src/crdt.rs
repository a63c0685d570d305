//! Replicated data: six families, each with a key space of its own.

use crate::answer::{number, pull, rows, text};
use crate::error::{check, done, yes, Result};
use crate::sys;
use alloc::{string::String, vec::Vec};

/// A replicated counter that only grows. It stops at the largest `u64`.
#[derive(Clone, Copy, Debug)]
pub struct GCounter<'a>(pub &'a str);

impl GCounter<'_> {
    /// Increments the counter.
    pub fn add(&self, delta: u64) -> Result<()> {
        done(unsafe { sys::crdt_gcounter_inc(self.0.as_ptr(), self.0.len(), delta) })
    }

    /// The sum over all nodes, as far as this one knows; 0 if nobody added anything.
    pub fn value(&self) -> Result<u64> {
        number(|out, cap| unsafe { sys::crdt_gcounter_value(self.0.as_ptr(), self.0.len(), out, cap) })
    }
}

/// A replicated counter that goes both ways.
#[derive(Clone, Copy, Debug)]
pub struct PNCounter<'a>(pub &'a str);

impl PNCounter<'_> {
    /// Moves the counter by `delta`, up or down.
    pub fn add(&self, delta: i64) -> Result<()> {
        let (key, len, by) = (self.0.as_ptr(), self.0.len(), delta.unsigned_abs());
        done(unsafe {
            if delta < 0 {
                sys::crdt_pncounter_dec(key, len, by)
            } else {
                sys::crdt_pncounter_inc(key, len, by)
            }
        })
    }

    /// The sum over all nodes, as far as this one knows; 0 if nobody added anything.
    pub fn value(&self) -> Result<i64> {
        number(|out, cap| unsafe { sys::crdt_pncounter_value(self.0.as_ptr(), self.0.len(), out, cap) })
            .map(|v| v as i64)
    }
}

/// One replicated value; the last write wins.
#[derive(Clone, Copy, Debug)]
pub struct Register<'a>(pub &'a str);

impl Register<'_> {
    /// Writes the value. It wins over every write this node has seen.
    pub fn set(&self, value: &[u8]) -> Result<()> {
        done(unsafe { sys::crdt_lww_set(self.0.as_ptr(), self.0.len(), value.as_ptr(), value.len()) })
    }

    /// Reads the value; `None` when nobody ever set one.
    pub fn get(&self) -> Result<Option<Vec<u8>>> {
        pull(|out, cap| unsafe { sys::crdt_lww_get(self.0.as_ptr(), self.0.len(), out, cap) })
    }
}

/// A replicated map from fields to values; for every field the last write wins, and a removal is a write.
#[derive(Clone, Copy, Debug)]
pub struct Map<'a>(pub &'a str);

impl Map<'_> {
    /// Writes a field.
    pub fn set(&self, field: &str, value: &[u8]) -> Result<()> {
        let (key, len) = (self.0.as_ptr(), self.0.len());
        done(unsafe { sys::crdt_lww_map_set(key, len, field.as_ptr(), field.len(), value.as_ptr(), value.len()) })
    }

    /// Removes a field.
    pub fn remove(&self, field: &str) -> Result<()> {
        done(unsafe { sys::crdt_lww_map_remove(self.0.as_ptr(), self.0.len(), field.as_ptr(), field.len()) })
    }

    /// Reads a field; `None` when it is absent.
    pub fn get(&self, field: &str) -> Result<Option<Vec<u8>>> {
        let (key, len) = (self.0.as_ptr(), self.0.len());
        pull(|out, cap| unsafe { sys::crdt_lww_map_get(key, len, field.as_ptr(), field.len(), out, cap) })
    }

    /// Says whether the field is there.
    pub fn contains(&self, field: &str) -> Result<bool> {
        yes(unsafe { sys::crdt_lww_map_contains(self.0.as_ptr(), self.0.len(), field.as_ptr(), field.len()) })
    }

    /// The fields that are there with their values, sorted by their bytes.
    pub fn entries(&self) -> Result<Vec<(String, Vec<u8>)>> {
        rows(
            |out, cap| unsafe { sys::crdt_lww_map_entries(self.0.as_ptr(), self.0.len(), out, cap) },
            |r| (r.text(), r.field()),
        )
    }
}

/// A replicated set of strings. An addition that happens beside a removal survives it.
#[derive(Clone, Copy, Debug)]
pub struct Set<'a>(pub &'a str);

impl Set<'_> {
    /// Adds an element.
    pub fn add(&self, element: &str) -> Result<()> {
        done(unsafe { sys::crdt_orset_add(self.0.as_ptr(), self.0.len(), element.as_ptr(), element.len()) })
    }

    /// Removes the additions of an element that this node has seen.
    pub fn remove(&self, element: &str) -> Result<()> {
        done(unsafe { sys::crdt_orset_remove(self.0.as_ptr(), self.0.len(), element.as_ptr(), element.len()) })
    }

    /// Says whether the element is in the set.
    pub fn contains(&self, element: &str) -> Result<bool> {
        yes(unsafe { sys::crdt_orset_contains(self.0.as_ptr(), self.0.len(), element.as_ptr(), element.len()) })
    }

    /// The set, sorted by bytes.
    pub fn elements(&self) -> Result<Vec<String>> {
        rows(|out, cap| unsafe { sys::crdt_orset_elements(self.0.as_ptr(), self.0.len(), out, cap) }, |r| r.text())
    }
}

/// A replicated sequence of values. Elements have ids by which others are put after them.
#[derive(Clone, Copy, Debug)]
pub struct List<'a>(pub &'a str);

/// Names an element of a [`List`].
pub type Id = String;

/// The place before the first element.
pub const HEAD: &str = "";

/// What the host wants to be offered for an id.
const ID_SPACE: usize = 36;

impl List<'_> {
    /// Puts `value` after an element, before what already stands there, and returns its id. A parent that this node
    /// does not know means [`HEAD`].
    pub fn insert_after(&self, parent: &str, value: &[u8]) -> Result<Id> {
        let (key, len) = (self.0.as_ptr(), self.0.len());
        let mut out = [0; ID_SPACE];
        let n = check(unsafe {
            let (at, at_len) = (parent.as_ptr(), parent.len());
            sys::crdt_rga_insert(key, len, at, at_len, value.as_ptr(), value.len(), out.as_mut_ptr(), ID_SPACE as u32)
        })?;
        Ok(text(out[..n].to_vec()))
    }

    /// Removes an element. Those put after it stay where they are.
    pub fn delete(&self, id: &str) -> Result<()> {
        done(unsafe { sys::crdt_rga_delete(self.0.as_ptr(), self.0.len(), id.as_ptr(), id.len()) })
    }

    /// The elements in order.
    pub fn values(&self) -> Result<Vec<Vec<u8>>> {
        rows(|out, cap| unsafe { sys::crdt_rga_values(self.0.as_ptr(), self.0.len(), out, cap) }, |r| r.field())
    }
}

/// Returns when everything this guest wrote so far, private keys too, is on disk.
pub fn commit() -> Result<()> {
    done(unsafe { sys::commit() })
}
