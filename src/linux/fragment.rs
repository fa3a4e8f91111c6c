// SPDX-License-Identifier: GPL-2.0

//! Pieces of pages, each with a reference to its page: what is sent without copying.
//!
//! C headers: [`include/linux/bvec.h`](srctree/include/linux/bvec.h),
//! [`include/linux/page_frag_cache.h`](srctree/include/linux/page_frag_cache.h)

use super::bindings;
use super::checksum;
use core::mem::MaybeUninit;
use core::ptr::NonNull;
use kernel::alloc::Flags;
use kernel::prelude::*;

/// A list of page fragments, at most as many as it was made for. They are added at the end, and
/// consumed from the front.
///
/// # Invariants
///
/// The elements of `bvecs` from `first` on are the fragments; each owns one reference to the folio
/// of its pages. `len` is the sum of their `bv_len`. There is no element before them unless there
/// is one of them.
pub(crate) struct Fragments {
    bvecs: KVec<bindings::bio_vec>,
    first: usize,
    len: usize,
}

// SAFETY: The elements own page references, which any thread may use and drop.
unsafe impl Send for Fragments {}

impl Fragments {
    /// Makes an empty list that takes up to `capacity` fragments.
    pub(crate) fn new(capacity: usize, flags: Flags) -> Result<Self> {
        // INVARIANT: No elements, no octets.
        Ok(Self {
            bvecs: KVec::with_capacity(capacity, flags)?,
            first: 0,
            len: 0,
        })
    }

    /// Octets in all fragments.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Whether no further fragment can be added.
    pub(crate) fn is_full(&self) -> bool {
        self.bvecs.len() >= self.bvecs.capacity()
    }

    /// The fragments.
    pub(super) fn as_slice(&self) -> &[bindings::bio_vec] {
        self.bvecs.get(self.first..).unwrap_or(&[])
    }

    /// Adds `len` octets at `offset` of `page`; they may reach into the pages of the same folio
    /// behind it. Returns false, and leaves the reference with the caller, when the list is full.
    ///
    /// Octets that follow the last fragment's in memory, in the same folio, make it longer and take
    /// no room.
    ///
    /// # Safety
    ///
    /// On success the caller gives up one reference to the folio of `page`, and the octets lie in
    /// that folio, in memory that `sendpage_ok()` accepts.
    pub(super) unsafe fn push_page(
        &mut self,
        page: NonNull<bindings::page>,
        offset: u32,
        len: u32,
    ) -> bool {
        let Some(total) = self.len.checked_add(len as usize) else {
            return false;
        };
        // SAFETY: The page is valid by the safety requirements.
        if unsafe { self.extend_last(page, offset, len) } {
            // INVARIANT: The last element reaches further, and owns a reference to the folio
            // already.
            self.len = total;
            // SAFETY: The caller has given up this reference.
            unsafe { bindings::put_page(page.as_ptr()) };
            return true;
        }
        let bvec = bindings::bio_vec {
            bv_page: page.as_ptr(),
            bv_len: len,
            bv_offset: offset,
        };
        if self.is_full() || self.bvecs.push_within_capacity(bvec).is_err() {
            return false;
        }
        // INVARIANT: The new element has taken over the caller's reference.
        self.len = total;
        true
    }

    /// The room that there is for fragments.
    pub(super) fn spare(&mut self) -> &mut [MaybeUninit<bindings::bio_vec>] {
        let len = self.bvecs.len();
        let room = self.bvecs.capacity().saturating_sub(len);
        // SAFETY: The vector has memory for as many behind its elements, which is borrowed with it.
        unsafe {
            let first = self.bvecs.as_mut_ptr().add(len).cast();
            core::slice::from_raw_parts_mut(first, room)
        }
    }

    /// Adds the first `count` fragments in [`Self::spare`], which have `octets` in all.
    ///
    /// # Safety
    ///
    /// They were written, and are as [`Self::push_page`] wants them; the caller gives up a
    /// reference for each.
    pub(super) unsafe fn grow(&mut self, count: usize, octets: usize) {
        let end = self.bvecs.len().checked_add(count);
        if end.is_none_or(|end| end > self.bvecs.capacity()) {
            // They were written there: the compiler can't know that there was room.
            return;
        }
        // SAFETY: By the safety requirements; there is room.
        unsafe { self.bvecs.inc_len(count) };
        // INVARIANT: The new elements have taken over the caller's references.
        self.len = self.len.saturating_add(octets);
    }

    /// Makes the last fragment longer by `len` octets at `offset` of `page`, if that is where it
    /// ends. The caller sees to `self.len`.
    ///
    /// # Safety
    ///
    /// `page` is valid.
    unsafe fn extend_last(&mut self, page: NonNull<bindings::page>, offset: u32, len: u32) -> bool {
        let Some(last) = self.bvecs.last_mut() else {
            return false;
        };
        let Some((end, longer)) = last
            .bv_offset
            .checked_add(last.bv_len)
            .zip(last.bv_len.checked_add(len))
        else {
            return false;
        };
        // The pages of a folio stand side by side in the memory map.
        let end_page = last
            .bv_page
            .wrapping_add((end >> bindings::PAGE_SHIFT) as usize);
        if end_page != page.as_ptr() || end % (1 << bindings::PAGE_SHIFT) != offset {
            return false;
        }
        // SAFETY: By the type invariant the last element keeps its page, and the caller vouches
        // for the other.
        let (ours, theirs) = unsafe {
            (
                bindings::page_folio(last.bv_page),
                bindings::page_folio(page.as_ptr()),
            )
        };
        if ours != theirs {
            return false;
        }
        last.bv_len = longer;
        true
    }

    /// Adds the same fragments once more to `out`, as far as that has room. Any context.
    pub(crate) fn share(&self, out: &mut Self) {
        for bvec in self.as_slice() {
            let Some(page) = NonNull::new(bvec.bv_page) else {
                return;
            };
            // SAFETY: By the type invariant the element keeps its page.
            unsafe { bindings::get_page(bvec.bv_page) };
            // SAFETY: The reference was just taken; the octets are those of an element.
            if !unsafe { out.push_page(page, bvec.bv_offset, bvec.bv_len) } {
                // SAFETY: It was not given away.
                unsafe { bindings::put_page(bvec.bv_page) };
                return;
            }
        }
    }

    /// A copy of the first `len` octets in one fragment, or of all if there are less; with its
    /// checksums if `keeps_sums`. Any context.
    ///
    /// `EBUSY`: a device may be writing to a page.
    pub(crate) fn in_one_piece(&self, len: usize, keeps_sums: bool) -> Result<Self> {
        let flags = GFP_ATOMIC | __GFP_NOWARN;
        let mut copy = Self::new(1, flags)?;
        let octets = self.len.min(len);
        let offset = if keeps_sums {
            checksum::room(octets)
        } else {
            0
        };
        let size = octets.checked_add(offset).ok_or(EINVAL)?;
        let (page_offset, len) = (u32::try_from(offset)?, u32::try_from(octets)?);
        let mut left = octets;
        // SAFETY: This has no precondition.
        let page = unsafe { bindings::alloc_pages_at_once(size) };
        let page = NonNull::new(page).ok_or(ENOMEM)?;
        // SAFETY: The page was just allocated, with those behind it that it takes for the octets.
        let mut to: *mut u8 = unsafe { bindings::page_address(page.as_ptr()) }.cast();
        // SAFETY: So much was allocated.
        to = unsafe { to.add(offset) };
        for bvec in self.as_slice() {
            // SAFETY: By the type invariant the element keeps its page.
            if unsafe { bindings::page_maybe_dma_pinned(bvec.bv_page) } {
                // SAFETY: The allocation is still ours.
                unsafe { bindings::put_page(page.as_ptr()) };
                return Err(EBUSY);
            }
            let octets = left.min(bvec.bv_len as usize);
            left = left.wrapping_sub(octets);
            // SAFETY: By the type invariant the element keeps its pages, which are in the direct
            // map.
            let from: *const u8 = unsafe { bindings::page_address(bvec.bv_page) }.cast();
            // SAFETY: The octets of the element lie in one folio; as many as are copied of all
            // elements were allocated.
            unsafe {
                to.copy_from_nonoverlapping(from.add(bvec.bv_offset as usize), octets);
                to = to.add(octets);
            }
        }
        if keeps_sums {
            // SAFETY: The allocation is ours, has room for the sums before the octets, and nobody
            // will write to it any more.
            unsafe { checksum::keep(page, octets) };
        }
        // SAFETY: The reference is that of the allocation; the octets lie in it.
        if !unsafe { copy.push_page(page, page_offset, len) } {
            // SAFETY: It was not given away.
            unsafe { bindings::put_page(page.as_ptr()) };
            return Err(EINVAL);
        }
        Ok(copy)
    }

    /// The checksum of the octets from the first fragment's octet `first` to its end, if it is a
    /// piece whose sums were kept. (0 and 0xffff mean the same.)
    pub(crate) fn kept_sum(&self, first: usize) -> Option<u16> {
        let bvec = self.as_slice().first()?;
        // SAFETY: By the type invariant the element keeps its page, which is in the direct map.
        unsafe {
            let address = NonNull::new(bindings::page_address(bvec.bv_page).cast())?;
            checksum::kept_sum(address, first)
        }
    }

    /// Takes `octets` away from the front. `are_given` says that the references of the fragments
    /// that are gone with them were given to somebody else.
    ///
    /// # Safety
    ///
    /// If `are_given`, they were.
    pub(super) unsafe fn consume(&mut self, octets: usize, are_given: bool) {
        let mut excess = octets.min(self.len);
        // INVARIANT: So many octets go below.
        self.len = self.len.saturating_sub(excess);
        if self.len == 0 && are_given {
            self.forget();
            return;
        }
        while let Some(bvec) = self.bvecs.get_mut(self.first) {
            let len = bvec.bv_len as usize;
            if let Some(left) = len.checked_sub(excess).filter(|left| *left > 0) {
                bvec.bv_offset = bvec.bv_offset.wrapping_add(excess as u32);
                bvec.bv_len = left as u32;
                return;
            }
            excess = excess.saturating_sub(len);
            if !are_given {
                // SAFETY: By the type invariant the element owned a reference to its page.
                unsafe { bindings::put_page(bvec.bv_page) };
            }
            self.first = self.first.saturating_add(1);
        }
        self.forget();
    }

    /// Takes `octets` away from the end.
    pub(crate) fn shorten(&mut self, octets: usize) {
        let mut excess = octets.min(self.len);
        // INVARIANT: So many octets go below.
        self.len = self.len.saturating_sub(excess);
        while excess > 0 {
            let Some(last) = self.bvecs.last_mut() else {
                return;
            };
            let len = last.bv_len as usize;
            if let Some(left) = len.checked_sub(excess).filter(|left| *left > 0) {
                last.bv_len = left as u32;
                return;
            }
            excess = excess.saturating_sub(len);
            if let Some(bvec) = self.bvecs.pop() {
                // SAFETY: By the type invariant the element owned a reference to its page.
                unsafe { bindings::put_page(bvec.bv_page) };
            }
        }
        if self.len == 0 {
            self.forget();
        }
    }

    /// Removes all fragments and drops their references.
    pub(crate) fn clear(&mut self) {
        for bvec in self.as_slice() {
            // SAFETY: By the type invariant the element owns a reference to its page.
            unsafe { bindings::put_page(bvec.bv_page) };
        }
        self.forget();
    }

    /// Removes all fragments, and leaves their references to others.
    fn forget(&mut self) {
        self.bvecs.clear();
        self.first = 0;
        self.len = 0;
    }
}

impl Drop for Fragments {
    fn drop(&mut self) {
        self.clear();
    }
}
