// SPDX-License-Identifier: GPL-2.0

//! A dentry in its place, or the place of none.

use super::super::bindings;
use super::super::unlinked::is_unlinked;
use super::now;
use core::ptr::{
    addr_of,
    NonNull, //
};
use core::sync::atomic::{
    fence,
    Ordering, //
};

/// Flags of dentries that tell less than they seem to: the file system compares names in its own
/// way, has to be asked whether a dentry is right, or has the file elsewhere.
const DEPENDS: u32 = bindings::dentry_flags_DCACHE_OP_HASH
    | bindings::dentry_flags_DCACHE_OP_COMPARE
    | bindings::dentry_flags_DCACHE_OP_REVALIDATE
    | bindings::dentry_flags_DCACHE_OP_WEAK_REVALIDATE
    | bindings::dentry_flags_DCACHE_OP_REAL
    | bindings::dentry_flags_DCACHE_NOKEY_NAME;

/// Those of the directory that a look-up begins in, of which nobody asks whether it is right.
/// (Where ext4 could have encrypted files, its root is to be asked, and nothing else.)
pub(super) const ROOT_DEPENDS: u32 = DEPENDS & !bindings::dentry_flags_DCACHE_OP_REVALIDATE;

/// Flags of dentries at which a look-up may go elsewhere, as `DCACHE_MANAGED_DENTRY`.
const MANAGED: u32 = bindings::dentry_flags_DCACHE_MOUNTED
    | bindings::dentry_flags_DCACHE_NEED_AUTOMOUNT
    | bindings::dentry_flags_DCACHE_MANAGE_TRANSIT;

/// A dentry in its place.
///
/// # Invariants
///
/// `dentry` is a reference of our own. When `sequence` was its sequence number, it was to be found
/// under its name in its parent.
pub(super) struct Name {
    pub(super) dentry: NonNull<bindings::dentry>,
    sequence: u32,
}

impl Name {
    /// Takes over a reference. `None` if it is in no place or about to leave it, or if a look-up
    /// may lead elsewhere from there.
    ///
    /// # Safety
    ///
    /// The caller gives up a reference to `dentry`, and sees to it that its file system outlives
    /// the result. May sleep.
    pub(super) unsafe fn new(dentry: NonNull<bindings::dentry>) -> Option<Self> {
        let raw = dentry.as_ptr();
        // SAFETY: The caller holds a reference.
        let sequence = unsafe { now!(raw, d_seq.seqcount.sequence) };
        // ORDERING: What is read below is not older than the number.
        fence(Ordering::Acquire);
        // INVARIANT: Whoever takes it out of its hash list, or makes another of it, changes the
        // number before the end.
        let name = Self { dentry, sequence };
        // SAFETY: `name` holds the reference.
        let flags = unsafe { now!(raw, d_flags) };
        let is_settled = sequence % 2 == 0 && name.is_hashed();
        (is_settled && flags & (DEPENDS | MANAGED) == 0).then_some(name)
    }

    /// Whether a look-up may find it: not so once it was deleted.
    fn is_hashed(&self) -> bool {
        // SAFETY: By the type invariant we hold the dentry.
        let hashed = unsafe { now!(self.dentry.as_ptr(), d_hash.pprev) };
        !hashed.is_null()
    }

    /// Whether there was something of that name, and was deleted.
    pub(super) fn is_deleted(&self) -> bool {
        // SAFETY: By the type invariant we hold the dentry.
        unsafe { is_unlinked(self.dentry.as_ptr()) && !self.is_absent() }
    }

    /// Whether there is nothing of that name.
    pub(super) fn is_absent(&self) -> bool {
        // SAFETY: By the type invariant we hold the dentry.
        let flags = unsafe { now!(self.dentry.as_ptr(), d_flags) };
        flags & bindings::dentry_flags_DCACHE_ENTRY_TYPE == bindings::dentry_flags_DCACHE_MISS_TYPE
    }

    /// Whether it is in its place, and nothing is mounted there.
    #[inline]
    pub(super) fn holds(&self) -> bool {
        let raw = self.dentry.as_ptr();
        // SAFETY: By the type invariant we hold the dentry.
        let sequence = unsafe { now!(raw, d_seq.seqcount.sequence) };
        // SAFETY: As above.
        let flags = unsafe { now!(raw, d_flags) };
        ((sequence ^ self.sequence) | (flags & MANAGED)) == 0
    }
}

impl Drop for Name {
    /// May sleep.
    fn drop(&mut self) {
        // SAFETY: By the type invariant the reference is ours.
        unsafe { bindings::dput(self.dentry.as_ptr()) };
    }
}
