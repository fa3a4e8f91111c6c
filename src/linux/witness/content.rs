// SPDX-License-Identifier: GPL-2.0

//! What tells one state of a file's content from another.

use super::super::bindings;
use super::super::stat::Attributes;
use super::now;
use core::ptr::{
    addr_of,
    NonNull, //
};
use kernel::ffi::c_int;

/// Flags of inodes whose changes don't show, whose pages are elsewhere, or whose open may wait.
const UNFIT: u32 = bindings::S_NOCMTIME
    | bindings::S_SWAPFILE
    | bindings::S_DAX
    | bindings::S_ENCRYPTED
    | bindings::S_VERITY;

/// A state of a file's content.
pub(super) struct Content {
    inode: NonNull<bindings::inode>,
    seconds: i64,
    /// With the mark of a look at the attributes.
    nanoseconds: u32,
    /// Those bits of the version that mean something: all or none.
    version_mask: i64,
    version: i64,
    size: i64,
}

impl Content {
    /// Takes note of what belongs to `attributes`. `None` if there is something else by now, or if
    /// the next change might not show.
    ///
    /// # Safety
    ///
    /// `inode` is valid, outlives the result, and is that of a file for which
    /// [`Path::is_local`](super::super::path::Path::is_local) is true.
    pub(super) unsafe fn new(
        inode: NonNull<bindings::inode>,
        attributes: &Attributes,
    ) -> Option<Self> {
        let raw = inode.as_ptr();
        // SAFETY: By the safety requirements.
        let seconds = unsafe { now!(raw, i_ctime_sec) };
        // SAFETY: As above.
        let nanoseconds = unsafe { now!(raw, i_ctime_nsec) };
        // SAFETY: As above.
        let version = unsafe { now!(raw, i_version.counter) };
        // SAFETY: As above.
        let size = unsafe { now!(raw, i_size) };
        // SAFETY: As above.
        let flags = unsafe { now!(raw, i_flags) };
        // SAFETY: An inode keeps its super block, where this is set when it is mounted.
        let granularity = unsafe { (*(*raw).i_sb).s_time_gran };
        // SAFETY: A super block keeps its type, and the type's flags do not change.
        let fs_flags = unsafe { (*(*(*raw).i_sb).s_type).fs_flags };

        let mark = bindings::I_CTIME_QUERIED;
        let is_same = seconds == attributes.changed.seconds
            && nanoseconds & !mark == attributes.changed.nanoseconds
            && u64::try_from(size) == Ok(attributes.size);
        // The other local file systems never change.
        let changes = fs_flags & bindings::FS_MGTIME as c_int != 0;
        let is_marked = !changes || nanoseconds & mark != 0;
        let version_mask = match attributes.change_cookie {
            Some(cookie) => {
                let seen = i64::from(bindings::I_VERSION_QUERIED);
                let number = u64::try_from(version >> bindings::I_VERSION_QUERIED_SHIFT);
                (version & seen != 0 && number == Ok(cookie)).then_some(-1)
            }
            // Two changes within one unit of time would look the same.
            None => (!changes || granularity == 1).then_some(0),
        };
        let version_mask = version_mask?;
        (is_same && is_marked && flags & UNFIT == 0).then_some(Self {
            inode,
            seconds,
            nanoseconds,
            version_mask,
            version: version & version_mask,
            size,
        })
    }

    /// Whether the content is as it was, and nobody can change it at this moment.
    ///
    /// # Safety
    ///
    /// The inode is still held.
    #[inline]
    pub(super) unsafe fn holds(&self) -> bool {
        let raw = self.inode.as_ptr();
        // Less than 0 are those who run the program in it.
        // SAFETY: By the safety requirements.
        let writers = unsafe { now!(raw, i_writecount.counter) };
        // SAFETY: As above.
        let nanoseconds = unsafe { now!(raw, i_ctime_nsec) };
        // SAFETY: As above.
        let seconds = unsafe { now!(raw, i_ctime_sec) };
        // SAFETY: As above.
        let version = unsafe { now!(raw, i_version.counter) };
        // SAFETY: As above.
        let size = unsafe { now!(raw, i_size) };
        writers <= 0
            && nanoseconds == self.nanoseconds
            && seconds == self.seconds
            && version & self.version_mask == self.version
            && size == self.size
    }
}
