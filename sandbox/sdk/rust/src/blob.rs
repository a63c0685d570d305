//! Blobs: bytes of up to 64 MiB, named by their BLAKE3 hash and the same on every node.

use crate::error::{check, done, found, Result, NOT_FOUND};
use crate::{answer, sys};

/// What one call of the host takes or gives.
const PIECE: usize = 1 << 20;

/// The name of a blob.
pub type BlobHash = [u8; 32];

/// Appends to the blob that this instance is making. `Quota` means that it would be over 64 MiB, or the module over
/// its storage.
pub fn write_blob(data: &[u8]) -> Result<()> {
    data.chunks(PIECE).try_for_each(|p| done(unsafe { sys::blob_write(p.as_ptr(), p.len()) }))
}

/// Makes what was written a blob, which is on disk then.
pub fn finish_blob() -> Result<BlobHash> {
    answer::hash(|out, cap| unsafe { sys::blob_finish(out, cap) })
}

/// The size of a blob, which is fetched if it is not here; `None` if no connected node has it.
pub fn blob_size(hash: &BlobHash) -> Result<Option<usize>> {
    match unsafe { sys::blob_size(hash.as_ptr(), hash.len()) } {
        NOT_FOUND => Ok(None),
        n => check(n).map(Some),
    }
}

/// Reads from an offset, and fetches as [`blob_size`]: how many bytes, at most 1 MiB, 0 at the end.
pub fn read_blob(hash: &BlobHash, offset: u64, out: &mut [u8]) -> Result<Option<usize>> {
    let cap = out.len().min(PIECE) as u32;
    match unsafe { sys::blob_read(hash.as_ptr(), hash.len(), offset, out.as_mut_ptr(), cap) } {
        NOT_FOUND => Ok(None),
        n => check(n).map(Some),
    }
}

/// Says that the module needs a blob no more that it made or read; `false` if it has it not.
pub fn drop_blob(hash: &BlobHash) -> Result<bool> {
    found(unsafe { sys::blob_drop(hash.as_ptr(), hash.len()) })
}
