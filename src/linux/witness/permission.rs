// SPDX-License-Identifier: GPL-2.0

//! What a permission depends on: attributes of the inode, and how its file system is mounted.

use super::super::bindings;
use super::super::path::{
    check_permission,
    Lookup, //
};
use super::super::stat::Kind;
use super::{
    inode_of,
    now,
    MOST_SEGMENTS, //
};
use core::mem::{
    offset_of,
    size_of, //
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

/// Inodes of which permissions are noted: a file, the directories above it, and the root.
const MOST: usize = MOST_SEGMENTS + 1;

/// Where watchers are counted who have to permit what others do, or more.
const PERMITS: usize = bindings::fsnotify_group_prio_FSNOTIFY_PRIO_CONTENT as usize;

/// What the permission to pass through directories, and to read a file, depends on.
///
/// # Invariants
///
/// If the `acl` of an element is the address of a list, it is a reference of our own. The first
/// `count` elements were noted.
pub(super) struct Permissions {
    noted: KBox<[Permission; MOST]>,
    count: usize,
}

impl Permissions {
    /// Of memory for them, whoever has them.
    pub(super) const OCTETS: usize = size_of::<[Permission; MOST]>();

    /// None yet.
    pub(super) fn new() -> Result<Self> {
        // INVARIANT: There is nothing yet.
        Ok(Self {
            noted: KBox::init(pin_init::init_zeroed(), GFP_KERNEL)?,
            count: 0,
        })
    }

    /// Checks the permission of the current credentials to read the file or to pass through the
    /// directory, and takes note of it. False if somebody is about to change it, if the list is not
    /// kept in memory, or if [`Lookup::Cached`] can't tell.
    ///
    /// # Safety
    ///
    /// `path` is valid, its dentry has an inode and outlives the value. May sleep.
    pub(super) unsafe fn add(&mut self, path: &bindings::path, mode: Lookup) -> Result<bool> {
        let place = self.noted.get_mut(self.count).ok_or(EINVAL)?;
        // SAFETY: The caller's promise.
        let (permission, result) = match unsafe { Permission::new(path, mode) } {
            Some(found) => found,
            None => return Ok(false),
        };
        // INVARIANT: The reference goes with it.
        *place = permission;
        self.count = self.count.saturating_add(1);
        // SAFETY: The inode is valid by the caller's promise.
        Ok(result? && unsafe { permission.is_decided() })
    }

    /// Whether all is as it was.
    ///
    /// # Safety
    ///
    /// The dentries that they were noted for are still held.
    #[inline]
    pub(super) unsafe fn hold(&self) -> bool {
        // SAFETY: The caller's promise; by the type invariant these were noted.
        let holds = |permission: &Permission| unsafe { permission.holds() };
        let noted = self.noted.get(..self.count);
        noted.is_some_and(|noted| noted.iter().all(holds))
    }
}

impl Drop for Permissions {
    fn drop(&mut self) {
        for permission in self.noted.iter() {
            if permission.holds_list() {
                // SAFETY: By the type invariant the reference is ours.
                unsafe { bindings::posix_acl_release(permission.acl) };
            }
        }
    }
}

/// All of an inode that the permission to pass through a directory, or to read a file, depends on.
#[derive(Clone, Copy, Zeroable)]
struct Permission {
    inode: *mut bindings::inode,
    /// The list as the inode has it: none, not known (which is no address), or its address.
    acl: *mut bindings::posix_acl,
    owner: u64,
    mode: u16,
}

// The owner is read at once.
const _: () = assert!(
    offset_of!(bindings::inode, i_gid) == offset_of!(bindings::inode, i_uid) + 4
        && offset_of!(bindings::inode, i_uid) % 8 == 0
);

impl Permission {
    /// Takes note of what there is, with a reference to the list, and checks the permission. `None`
    /// if somebody is about to change it.
    ///
    /// # Safety
    ///
    /// As for [`Permissions::add`].
    unsafe fn new(path: &bindings::path, mode: Lookup) -> Option<(Self, Result<bool>)> {
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
            return None;
        }
        // SAFETY: By the safety requirements.
        let result = unsafe { check_permission(path, mask, mode) };
        // SAFETY: By the safety requirements.
        let permission = unsafe { Self::note(inode) };
        // SAFETY: The lock was taken above.
        unsafe { bindings::inode_unlock_shared(inode.as_ptr()) };
        Some((permission, result))
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
            inode: raw,
            // SAFETY: By the safety requirements.
            acl: unsafe { bindings::get_cached_acl(raw, kind) },
            // SAFETY: As above.
            owner: unsafe { owner(raw) },
            // SAFETY: As above.
            mode: unsafe { now!(raw, i_mode) },
        }
    }

    /// Whether the list is known, if it may matter.
    ///
    /// # Safety
    ///
    /// The inode is valid.
    unsafe fn is_decided(&self) -> bool {
        // SAFETY: The caller's promise. The inode keeps its super block.
        let flags = unsafe { now!((*self.inode).i_sb, s_flags) };
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
    unsafe fn holds(&self) -> bool {
        let raw = self.inode;
        // SAFETY: By the safety requirements the inode is valid.
        let mode = unsafe { now!(raw, i_mode) };
        // SAFETY: As above.
        let owner = unsafe { owner(raw) };
        // SAFETY: As above.
        let acl = unsafe { now!(raw, i_acl) };
        mode == self.mode && owner == self.owner && acl == self.acl
    }
}

/// User and group of an inode.
///
/// # Safety
///
/// `inode` is valid.
#[inline]
unsafe fn owner(inode: *mut bindings::inode) -> u64 {
    // SAFETY: By the safety requirements; the group lies behind the user, as is asserted above.
    unsafe { addr_of!((*inode).i_uid).cast::<u64>().read_volatile() }
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
