// SPDX-License-Identifier: GPL-2.0

//! Memory for small pieces that are sent: parts of pages, each with a reference of its own.
//!
//! The stack takes no slab memory by reference; response heads come from here instead.
//!
//! C header: [`include/linux/page_frag_cache.h`](srctree/include/linux/page_frag_cache.h)

use super::bindings;
use super::fragment::Fragments;
use core::ptr::NonNull;
use kernel::prelude::*;

/// A page that pieces are cut from, one thread's.
///
/// # Invariants
///
/// The cache is initialised.
pub(crate) struct Cache {
    cache: bindings::page_frag_cache,
    flags: bindings::gfp_t,
}

impl Cache {
    /// For where one may sleep. Holds no page yet.
    pub(crate) fn new() -> Self {
        Self::with_flags(bindings::GFP_KERNEL)
    }

    /// For where one must not sleep. Holds no page yet.
    pub(crate) fn atomic() -> Self {
        Self::with_flags(bindings::GFP_ATOMIC | bindings::__GFP_NOWARN)
    }

    /// Allocates pages by `flags`.
    fn with_flags(flags: bindings::gfp_t) -> Self {
        let mut cache = bindings::page_frag_cache::default();
        // SAFETY: The cache is ours. It has no pointer to itself, and may move.
        unsafe { bindings::page_frag_cache_init(&mut cache) };
        // INVARIANT: It was initialised above.
        Self { cache, flags }
    }

    /// Appends a copy of `octets`, at most a page of them, to `fragments`.
    ///
    /// `ENOMEM`: no memory; `EINVAL`: too many octets, or `fragments` is full.
    pub(crate) fn append(&mut self, octets: &[u8], fragments: &mut Fragments) -> Result {
        self.append_both(octets, &[], fragments)
    }

    /// Appends a copy of `first` and `second`, together at most a page, in one piece.
    ///
    /// `ENOMEM`: no memory; `EINVAL`: too many octets, or `fragments` is full.
    pub(crate) fn append_both(
        &mut self,
        first: &[u8],
        second: &[u8],
        fragments: &mut Fragments,
    ) -> Result {
        let total = first.len().checked_add(second.len()).ok_or(EINVAL)?;
        if total == 0 {
            return Ok(());
        }
        if total > kernel::page::PAGE_SIZE || fragments.is_full() {
            return Err(EINVAL);
        }
        let len = u32::try_from(total).map_err(|_| EINVAL)?;
        // SAFETY: By the type invariant.
        let start = unsafe { bindings::page_frag_alloc(&mut self.cache, len, self.flags) };
        let start = NonNull::new(start).ok_or(ENOMEM)?.cast::<u8>();
        // SAFETY: That many octets were allocated, and nobody else knows them.
        unsafe {
            start
                .as_ptr()
                .copy_from_nonoverlapping(first.as_ptr(), first.len())
        };
        // SAFETY: As above; both together are as many as were allocated.
        unsafe {
            start
                .as_ptr()
                .add(first.len())
                .copy_from_nonoverlapping(second.as_ptr(), second.len())
        };
        // SAFETY: The piece is in a page of the direct map.
        let page = unsafe { bindings::virt_to_page(start.as_ptr().cast()) };
        // SAFETY: This has no precondition.
        let offset = unsafe { bindings::offset_in_page(start.as_ptr().cast()) };
        let pushed = match (NonNull::new(page), u32::try_from(offset)) {
            // SAFETY: The piece has a reference to its page, which goes to the list. It lies in
            // one allocation of pages.
            (Some(page), Ok(offset)) => unsafe { fragments.push_page(page, offset, len) },
            _ => false,
        };
        if !pushed {
            // SAFETY: The piece is still ours.
            unsafe { bindings::page_frag_free(start.as_ptr().cast()) };
            return Err(EINVAL);
        }
        Ok(())
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        // SAFETY: By the type invariant. What was sent has references of its own.
        unsafe { bindings::page_frag_cache_drain(&mut self.cache) };
    }
}
