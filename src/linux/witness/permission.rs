// SPDX-License-Identifier: GPL-2.0

//! What a permission depends on: attributes of the inode, and how its file system is mounted.

use super::super::bindings;
use super::super::path::{
    check_permission,
    Kind,
    Lookup, //
};
use super::{
    inode_of,
    now, //
};
use core::ptr::{
    addr_of,
    NonNull, //
};
use kernel::ffi::{
    c_int,
    c_ulong, //
};
use kernel::prelude::*;

/// Where watchers are counted who have to permit what others do, or more.
const PERMITS: usize = bindings::fsnotify_group_prio_FSNOTIFY_PRIO_CONTENT as usize;

/// All of an inode that the permission to pass through a directory, or to read a file, depends on.
///
/// # Invariants
///
/// With these, those who asked have the permission. If `acl` is the address of a list, it is a
/// reference of our own.
pub(super) struct Permission {
    inode: NonNull<bindings::inode>,
    /// The list as the inode has it: none, not known (which is no address), or its address.
    acl: *mut bindings::posix_acl,
    user: u32,
    group: u32,
    mode: u16,
}

impl Permission {
    /// Checks the permission of the current credentials to read the file or to pass through the
    /// directory. `None` if somebody is about to change it, if the list is not kept in memory, or if
    /// [`Lookup::Cached`] can't tell.
    ///
    /// # Safety
    ///
    /// `path` is valid, its dentry has an inode and outlives the result. May sleep.
    pub(super) unsafe fn new(path: &bindings::path, mode: Lookup) -> Result<Option<Self>> {
        // SAFETY: By the safety requirements.
        let inode = unsafe { inode_of(path.dentry) };
        // SAFETY: By the safety requirements. An inode never changes its type.
        let mask = match Kind::of(unsafe { now!(inode.as_ptr(), i_mode) }) {
            Kind::Directory => bindings::MAY_EXEC,
            Kind::Regular | Kind::Other => bindings::MAY_OPEN | bindings::MAY_READ,
        };
        // SAFETY: The inode is valid. Who changes any of it has the lock for itself: what is noted
        // is what was checked.
        if unsafe { bindings::inode_trylock_shared(inode.as_ptr()) } == 0 {
            return Ok(None);
        }
        // SAFETY: By the safety requirements.
        let result = unsafe { check_permission(path, mask, mode) };
        // SAFETY: By the safety requirements.
        let permission = unsafe { Self::note(inode) };
        // SAFETY: The lock was taken above.
        unsafe { bindings::inode_unlock_shared(inode.as_ptr()) };
        // INVARIANT: It was checked while nobody could change it.
        Ok((result? && permission.is_decided()).then_some(permission))
    }

    /// Takes note of what there is.
    ///
    /// # Safety
    ///
    /// `inode` is valid, and outlives the result.
    unsafe fn note(inode: NonNull<bindings::inode>) -> Self {
        let raw = inode.as_ptr();
        let kind = bindings::ACL_TYPE_ACCESS as c_int;
        Self {
            inode,
            // INVARIANT: The reference is ours.
            // SAFETY: By the safety requirements.
            acl: unsafe { bindings::get_cached_acl(raw, kind) },
            // SAFETY: As above.
            user: unsafe { now!(raw, i_uid.val) },
            // SAFETY: As above.
            group: unsafe { now!(raw, i_gid.val) },
            // SAFETY: As above.
            mode: unsafe { now!(raw, i_mode) },
        }
    }

    /// Whether the list is known, if it may matter.
    fn is_decided(&self) -> bool {
        // SAFETY: The inode is valid as long as `self`, and keeps its super block.
        let flags = unsafe { now!((*self.inode.as_ptr()).i_sb, s_flags) };
        let may_matter =
            flags & bindings::SB_POSIXACL != 0 && u32::from(self.mode) & bindings::S_IRWXG != 0;
        !may_matter || self.acl.is_null() || self.holds_list()
    }

    /// Whether `acl` is the address of a list: what says that none is known is odd.
    fn holds_list(&self) -> bool {
        !self.acl.is_null() && self.acl.addr() % 2 == 0
    }

    /// Whether all of it is as it was.
    ///
    /// # Safety
    ///
    /// The dentry that this was made for is still held.
    #[inline]
    pub(super) unsafe fn holds(&self) -> bool {
        let raw = self.inode.as_ptr();
        // SAFETY: By the safety requirements the inode is valid.
        let mode = unsafe { now!(raw, i_mode) };
        // SAFETY: As above.
        let user = unsafe { now!(raw, i_uid.val) };
        // SAFETY: As above.
        let group = unsafe { now!(raw, i_gid.val) };
        // SAFETY: As above.
        let acl = unsafe { now!(raw, i_acl) };
        mode == self.mode && user == self.user && group == self.group && acl == self.acl
    }
}

impl Drop for Permission {
    fn drop(&mut self) {
        if self.holds_list() {
            // SAFETY: By the type invariant the reference is ours.
            unsafe { bindings::posix_acl_release(self.acl) };
        }
    }
}

/// What matters of a mounted file system.
pub(super) struct FileSystem {
    super_block: NonNull<bindings::super_block>,
    /// As it was mounted: access control lists may be switched off.
    flags: c_ulong,
}

impl FileSystem {
    /// Takes note of that of `inode`.
    ///
    /// # Safety
    ///
    /// `inode` is valid.
    pub(super) unsafe fn new(inode: NonNull<bindings::inode>) -> Self {
        // SAFETY: By the safety requirements.
        let super_block = unsafe { (*inode.as_ptr()).i_sb };
        Self {
            // SAFETY: An inode always has one.
            super_block: unsafe { NonNull::new_unchecked(super_block) },
            // SAFETY: The inode keeps it.
            flags: unsafe { now!(super_block, s_flags) },
        }
    }

    /// Whether it is mounted as it was, and nobody who watches it has to permit what others do
    /// (fanotify).
    ///
    /// # Safety
    ///
    /// The super block is still held.
    #[inline]
    pub(super) unsafe fn holds(&self) -> bool {
        let raw = self.super_block.as_ptr();
        // SAFETY: By the safety requirements.
        let flags = unsafe { now!(raw, s_flags) };
        // SAFETY: As above.
        let watched = unsafe { now!(raw, s_fsnotify_info) };
        let is_guarded = !watched.is_null() && {
            // SAFETY: Once it is there, it stays as long as the super block.
            let count = unsafe { now!(watched, watched_objects[PERMITS].counter) };
            count != 0
        };
        flags == self.flags && !is_guarded
    }
}
