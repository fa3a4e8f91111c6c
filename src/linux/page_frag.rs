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
pub(crate) struct Cache(bindings::page_frag_cache);

impl Cache {
    /// Holds no page yet.
    pub(crate) fn new() -> Self {
        let mut cache = bindings::page_frag_cache::default();
        // SAFETY: The cache is ours. It has no pointer to itself, and may move.
        unsafe { bindings::page_frag_cache_init(&mut cache) };
        // INVARIANT: It was initialised above.
        Self(cache)
    }

    /// Appends a copy of `octets`, at most a page of them, to `fragments`.
    ///
    /// `ENOMEM`: no memory; `EINVAL`: too many octets, or `fragments` is full.
    pub(crate) fn append(&mut self, octets: &[u8], fragments: &mut Fragments) -> Result {
        if octets.is_empty() {
            return Ok(());
        }
        if octets.len() > kernel::page::PAGE_SIZE || fragments.is_full() {
            return Err(EINVAL);
        }
        let len = u32::try_from(octets.len()).map_err(|_| EINVAL)?;
        // SAFETY: By the type invariant.
        let start = unsafe { bindings::page_frag_alloc(&mut self.0, len, bindings::GFP_KERNEL) };
        let start = NonNull::new(start).ok_or(ENOMEM)?.cast::<u8>();
        // SAFETY: That many octets were allocated, and nobody else knows them.
        unsafe {
            start
                .as_ptr()
                .copy_from_nonoverlapping(octets.as_ptr(), octets.len())
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
        unsafe { bindings::page_frag_cache_drain(&mut self.0) };
    }
}
