//! What a host function may say no with.

use core::fmt;

/// Why a host function did nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// Invalid argument, or the host failed.
    Invalid,
    /// Keys under `__nx/` belong to the host.
    Reserved,
    /// The node runs without sync.
    SyncOff,
    /// Not granted to this module.
    Denied,
    /// Over a quota of this module.
    Quota,
    /// The host is busy: try again.
    Busy,
    /// The answer is larger than 1 MiB.
    TooLarge,
}

/// What most functions answer.
pub type Result<T> = core::result::Result<T, Error>;

pub(crate) const NOT_FOUND: i32 = -1;
pub(crate) const TOO_SMALL: i32 = -2;

impl Error {
    pub(crate) fn of(code: i32) -> Error {
        match code {
            TOO_SMALL => Error::TooLarge,
            -4 => Error::Reserved,
            -5 => Error::SyncOff,
            -6 => Error::Denied,
            -7 => Error::Quota,
            -8 => Error::Busy,
            _ => Error::Invalid,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Error::Invalid => "nx: invalid argument, or the host failed",
            Error::Reserved => "nx: keys under __nx/ are reserved",
            Error::SyncOff => "nx: sync is off",
            Error::Denied => "nx: denied by policy",
            Error::Quota => "nx: quota exceeded",
            Error::Busy => "nx: the host is busy, try again",
            Error::TooLarge => "nx: the answer is larger than 1 MiB",
        })
    }
}

#[cfg(feature = "std")]
impl std::error::Error for Error {}

/// A code as a result: the number when it is not negative.
pub(crate) fn check(code: i32) -> Result<usize> {
    usize::try_from(code).map_err(|_| Error::of(code))
}

pub(crate) fn done(code: i32) -> Result<()> {
    check(code).map(drop)
}

pub(crate) fn yes(code: i32) -> Result<bool> {
    check(code).map(|n| n == 1)
}

/// Done, or the thing meant is not there.
pub(crate) fn found(code: i32) -> Result<bool> {
    if code == NOT_FOUND {
        return Ok(false);
    }
    done(code).map(|()| true)
}
