// SPDX-License-Identifier: GPL-2.0

//! A slab cache: memory for objects of one type.
//!
//! C header: [`include/linux/slab.h`](srctree/include/linux/slab.h)

use super::bindings;
use core::marker::PhantomData;
use core::mem::{
    align_of,
    size_of, //
};
use core::ptr::NonNull;
use kernel::prelude::*;

/// A slab cache for objects of type `T`.
///
/// No object takes the place of one of another type, and `/proc/slabinfo` shows them by name. The
/// memory isn't charged to anybody (`SLAB_ACCOUNT`): what comes from the network has no task to
/// charge, only one that it has interrupted.
///
/// # Invariants
///
/// The pointer is to a slab cache that the object owns, whose objects have the size and alignment
/// of a `T`.
pub(super) struct Cache<T> {
    cache: NonNull<bindings::kmem_cache>,
    _memory: PhantomData<fn() -> T>,
}

// SAFETY: A slab cache may be used from any thread.
unsafe impl<T> Send for Cache<T> {}

// SAFETY: As above.
unsafe impl<T> Sync for Cache<T> {}

impl<T> Cache<T> {
    /// Makes a cache called `name`.
    pub(super) fn new(name: &'static CStr) -> Result<Self> {
        // SAFETY: The name lives for as long as the module.
        let cache = unsafe {
            bindings::kmem_cache_create(
                name.as_char_ptr(),
                u32::try_from(size_of::<T>())?,
                u32::try_from(align_of::<T>())?,
            )
        };
        // INVARIANT: The cache was just made for a `T`.
        Ok(Self {
            cache: NonNull::new(cache).ok_or(ENOMEM)?,
            _memory: PhantomData,
        })
    }

    /// Memory for a `T`, which whoever has it gives back by `kmem_cache_free()` or `kfree_rcu()`.
    pub(super) fn alloc(&self, flags: bindings::gfp_t) -> Result<NonNull<T>> {
        // SAFETY: By the type invariant.
        let memory = unsafe { bindings::kmem_cache_alloc(self.cache.as_ptr(), flags) };
        NonNull::new(memory.cast()).ok_or(ENOMEM)
    }
}

impl<T> Drop for Cache<T> {
    /// Waits for what is given back after a grace period. May sleep. If there are objects, the
    /// kernel complains, and leaves them their memory.
    fn drop(&mut self) {
        // SAFETY: By the type invariant the cache is ours.
        unsafe { bindings::kmem_cache_destroy(self.cache.as_ptr()) };
    }
}
