// SPDX-License-Identifier: GPL-2.0

//! Credentials of our own, for code that acts for strangers.
//!
//! C header: [`include/linux/cred.h`](srctree/include/linux/cred.h)

use super::bindings;
use super::context::MaySleep;
use core::ptr::{
    addr_of_mut,
    NonNull, //
};
use kernel::prelude::*;

/// A set of credentials.
///
/// # Invariants
///
/// `cred` points at a `struct cred` that nobody changes any more; `self` owns one reference.
pub(crate) struct Credentials {
    cred: NonNull<bindings::cred>,
}

// SAFETY: `struct cred` is counted, any thread may use and drop a reference.
unsafe impl Send for Credentials {}
// SAFETY: By the type invariant the `struct cred` is not changed any more.
unsafe impl Sync for Credentials {}

impl Credentials {
    /// Makes credentials of `user` and of the group of the same number, without supplementary
    /// groups, without capabilities, and without keys.
    ///
    /// The labels of security modules are those of the kernel's own threads.
    pub(crate) fn unprivileged(user: u32, _context: &MaySleep) -> Result<Self> {
        // SAFETY: `init_task` lives for ever; this may sleep, as `_context` shows.
        let cred = unsafe { bindings::prepare_kernel_cred(addr_of_mut!(bindings::init_task)) };
        // INVARIANT: The reference is ours. It is changed below only, before `new` is returned.
        let new = Self {
            cred: NonNull::new(cred).ok_or(ENOMEM)?,
        };

        // SAFETY: This may sleep, as `_context` shows.
        let groups = unsafe { bindings::groups_alloc(0) };
        if groups.is_null() {
            return Err(ENOMEM);
        }
        // SAFETY: `cred` is ours alone and `groups` is valid; `cred` gets a reference of its own.
        unsafe { bindings::set_groups(cred, groups) };
        // SAFETY: The reference of `groups_alloc()` is ours.
        unsafe { bindings::put_group_info(groups) };

        let uid = bindings::kuid_t { val: user };
        let gid = bindings::kgid_t { val: user };
        let none = bindings::kernel_cap_t { val: 0 };
        // SAFETY: `cred` is valid, and nobody else knows of it yet.
        let cred = unsafe { &mut *cred };
        cred.uid = uid;
        cred.suid = uid;
        cred.euid = uid;
        cred.fsuid = uid;
        cred.gid = gid;
        cred.sgid = gid;
        cred.egid = gid;
        cred.fsgid = gid;
        cred.cap_inheritable = none;
        cred.cap_permitted = none;
        cred.cap_effective = none;
        cred.cap_bset = none;
        cred.cap_ambient = none;
        Ok(new)
    }

    /// Calls `work` with these as the credentials of the current task, as `scoped_with_creds()`.
    ///
    /// A call and not a guard: a guard that is forgotten, or dropped out of order, would leave the
    /// task with credentials that are gone.
    pub(crate) fn assume<T>(&self, work: impl FnOnce() -> T) -> T {
        // SAFETY: The credentials outlive the call below, by the borrow of `self`.
        let saved = unsafe { bindings::override_creds(self.cred.as_ptr()) };
        let result = work();
        // SAFETY: `saved` is what the current task had before, and has kept its reference to.
        unsafe { bindings::revert_creds(saved) };
        result
    }
}

impl Drop for Credentials {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the reference is ours.
        unsafe { bindings::put_cred(self.cred.as_ptr()) };
    }
}
