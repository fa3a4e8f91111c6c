// SPDX-License-Identifier: GPL-2.0

//! What is known of a file without opening it.
//!
//! C header: [`include/linux/stat.h`](srctree/include/linux/stat.h)

use super::bindings;

/// The type of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// A device, a FIFO, a socket.
    Other,
}

impl Kind {
    /// The type in a file's mode.
    pub(super) fn of(mode: u16) -> Self {
        match u32::from(mode) & bindings::S_IFMT {
            bindings::S_IFREG => Kind::Regular,
            bindings::S_IFDIR => Kind::Directory,
            _ => Kind::Other,
        }
    }
}

/// A point in time, as file systems keep it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Timestamp {
    /// Seconds since the beginning of 1970, UTC.
    pub(crate) seconds: i64,
    /// Nanoseconds, less than 10^9.
    pub(crate) nanoseconds: u32,
}

impl Timestamp {
    /// Takes over the kernel's value.
    fn new(time: &bindings::timespec64) -> Self {
        Self {
            seconds: time.tv_sec,
            nanoseconds: u32::try_from(time.tv_nsec).unwrap_or(0),
        }
    }
}

/// Attributes of a file at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attributes {
    /// The type.
    pub(crate) kind: Kind,
    /// Permission bits, with set-user-ID, set-group-ID and sticky.
    pub(crate) mode: u16,
    /// Octets in the file.
    pub(crate) size: u64,
    /// The last change of the content.
    pub(crate) modified: Timestamp,
    /// The last change of content or attributes. Nobody can set it.
    pub(crate) changed: Timestamp,
    /// The number of the inode in its file system.
    pub(crate) inode: u64,
    /// A number that another change makes another one, where the file system has it.
    pub(crate) change_cookie: Option<u64>,
}

impl Attributes {
    /// Takes over the kernel's values.
    pub(super) fn new(stat: &bindings::kstat) -> Self {
        let has_cookie = stat.result_mask & bindings::STATX_CHANGE_COOKIE != 0;
        let format = u16::try_from(bindings::S_IFMT).unwrap_or(0);
        Self {
            kind: Kind::of(stat.mode),
            mode: stat.mode & !format,
            size: u64::try_from(stat.size).unwrap_or(0),
            modified: Timestamp::new(&stat.mtime),
            changed: Timestamp::new(&stat.ctime),
            inode: stat.ino,
            change_cookie: has_cookie.then_some(stat.change_cookie),
        }
    }
}
