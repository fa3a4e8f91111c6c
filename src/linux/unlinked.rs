// SPDX-License-Identifier: GPL-2.0

//! What was deleted while it is held: whoever drops the last reference to it frees its blocks, and
//! may have to wait for the disk.
//!
//! C headers: [`include/linux/dcache.h`](srctree/include/linux/dcache.h),
//! [`include/linux/file.h`](srctree/include/linux/file.h)

use super::bindings;
use core::ptr::{
    addr_of,
    NonNull, //
};
use kernel::error::from_err_ptr;
use kernel::ffi::c_int;

/// Whether it has no name any more, as `d_unlinked()`: the root of a file system never had one.
///
/// # Safety
///
/// `dentry` is valid.
pub(super) unsafe fn is_unlinked(dentry: *mut bindings::dentry) -> bool {
    // SAFETY: By the safety requirements. Both may change concurrently, hence volatile.
    unsafe {
        let hashed = addr_of!((*dentry).d_hash.pprev).read_volatile();
        let parent = addr_of!((*dentry).d_parent).read_volatile();
        hashed.is_null() && parent != dentry
    }
}

/// Gives up a reference. If that is the last one to what was deleted, as far as can be told, it is
/// left to the kernel to free the blocks: a thread does not wait for that, a work item may, and a
/// system call does when it returns.
///
/// # Safety
///
/// `path` has an inode, and the caller gives up a reference to it. May sleep.
#[inline]
pub(super) unsafe fn put(path: &bindings::path) {
    // SAFETY: By the safety requirements.
    if unsafe { is_unlinked(path.dentry) } {
        // SAFETY: As above.
        unsafe { put_unlinked(path) };
    } else {
        // SAFETY: As above.
        unsafe { bindings::path_put(path) };
    }
}

/// The same, once it has no name any more.
///
/// # Safety
///
/// As for [`put`].
#[cold]
#[inline(never)]
unsafe fn put_unlinked(path: &bindings::path) {
    // SAFETY: By the safety requirements. The count may change concurrently, hence volatile.
    let count = unsafe {
        let lock = addr_of!((*path.dentry).d_lockref);
        addr_of!((*lock).__bindgen_anon_1.__bindgen_anon_1.count).read_volatile()
    };
    // SAFETY: This has no precondition, and the item is not looked at.
    let is_work_item = !unsafe { bindings::current_work() }.is_null();
    // Not if somebody else has it: each look-up of a document root that was deleted would leave a
    // file open while the file system is frozen.
    let is_left = count <= 1 && !is_work_item;
    // SAFETY: By the safety requirements.
    let leftover = is_left.then(|| unsafe { Leftover::new(path) });
    // SAFETY: By the safety requirements.
    unsafe { bindings::path_put(path) };
    drop(leftover);
}

/// What was deleted, with the directories above it. Whoever drops the last reference to it frees
/// its blocks: that is left to the work item of the whole system, as in [`put`].
///
/// # Invariants
///
/// `file` owns one reference to a file that is open with `O_PATH`.
pub(super) struct Leftover {
    file: NonNull<bindings::file>,
}

impl Leftover {
    /// Holds what is at `path`. `None` without memory for that.
    ///
    /// # Safety
    ///
    /// `path` is valid and has an inode. The caller may sleep.
    pub(super) unsafe fn new(path: &bindings::path) -> Option<Self> {
        // SAFETY: By the safety requirements, and because the credentials of the current task live
        // while it has them. The file system is not asked.
        let file = from_err_ptr(unsafe {
            bindings::dentry_open(path, bindings::O_PATH as c_int, bindings::current_cred())
        });
        // INVARIANT: `dentry_open()` has given us a reference.
        let file = NonNull::new(file.ok()?)?;
        Some(Self { file })
    }
}

impl Drop for Leftover {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the reference is ours.
        unsafe { bindings::fput(self.file.as_ptr()) };
    }
}
