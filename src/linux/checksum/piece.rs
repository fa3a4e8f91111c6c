// SPDX-License-Identifier: GPL-2.0

//! Octets in pages of ours, with their sums before them.

use super::super::bindings;
use super::sums;
use core::ptr::{
    addr_of,
    NonNull, //
};
use kernel::ffi::c_ulong;
use kernel::prelude::*;

/// Octets of the length that stands before the sums.
const LENGTH_LEN: usize = 4;

/// What the octets of a piece are aligned to.
const ALIGN: usize = 64;

/// Its address is the mark of our pages.
static MARK: u8 = 0;

/// What `page->private` of our pages is: other owners of a page have an address of theirs there, or
/// a small number.
fn mark() -> c_ulong {
    addr_of!(MARK) as c_ulong
}

/// Octets that the length and the sums of `len` octets take before them.
pub(in super::super) fn room(len: usize) -> usize {
    let sums = sums::count(len).saturating_mul(size_of::<u16>());
    sums.saturating_add(LENGTH_LEN)
        .checked_next_multiple_of(ALIGN)
        .unwrap_or(usize::MAX)
}

/// Keeps the sums of the `len` octets at `room(len)` of `page`, before them.
///
/// # Safety
///
/// `page` begins an allocation that has so much room, which is the caller's, and to whose octets
/// nobody writes afterwards.
pub(in super::super) unsafe fn keep(page: NonNull<bindings::page>, len: usize) {
    let Ok(length) = u32::try_from(len) else {
        return;
    };
    // SAFETY: The page is allocated.
    let base: *mut u8 = unsafe { bindings::page_address(page.as_ptr()) }.cast();
    // SAFETY: So much is allocated, and was written.
    let octets = unsafe { core::slice::from_raw_parts(base.add(room(len)), len) };
    // SAFETY: A page is aligned, and has room for this before the octets.
    unsafe { base.cast::<u32>().write(length) };
    let count = sums::count(len);
    // SAFETY: As above; nobody else knows the allocation. What is there has been something.
    let kept = unsafe {
        let first = base.add(LENGTH_LEN).cast::<u16>();
        first.write_bytes(0, count);
        core::slice::from_raw_parts_mut(first, count)
    };
    sums::keep(octets, kept);
    // SAFETY: The page is the caller's, and who owns a page owns this field.
    unsafe { bindings::set_page_private(page.as_ptr(), mark()) };
}

/// Octets whose sums were kept.
#[derive(Clone, Copy)]
pub(super) struct Piece<'a> {
    octets: &'a [u8],
    sums: &'a [u16],
}

impl<'a> Piece<'a> {
    /// The piece that has the octet at `address`, if that is in one of ours.
    ///
    /// # Safety
    ///
    /// The address is in a folio of the direct map, which is held for `'a`.
    pub(super) unsafe fn of(address: NonNull<u8>) -> Option<Self> {
        // SAFETY: The folio is held. It begins with its first page.
        let head = unsafe {
            let page = bindings::virt_to_page(address.as_ptr().cast());
            bindings::page_folio(page).cast::<bindings::page>()
        };
        // SAFETY: The folio is held.
        if unsafe { bindings::page_private(head) } != mark() {
            return None;
        }
        // SAFETY: The folio is held; ours are in the direct map.
        let base: *const u8 = unsafe { bindings::page_address(head) }.cast();
        // SAFETY: By the mark, `keep()` has written this.
        let len = unsafe { base.cast::<u32>().read() } as usize;
        // SAFETY: As above; nobody writes to it any more.
        unsafe {
            Some(Self {
                octets: core::slice::from_raw_parts(base.add(room(len)), len),
                sums: core::slice::from_raw_parts(base.add(LENGTH_LEN).cast(), sums::count(len)),
            })
        }
    }

    /// Where `len` octets at `address` begin and end in the piece, if they are of that.
    #[inline]
    pub(super) fn place(&self, address: NonNull<u8>, len: usize) -> Option<(usize, usize)> {
        let begin = address.as_ptr().addr();
        let first = begin.checked_sub(self.octets.as_ptr().addr())?;
        let end = first.checked_add(len)?;
        (end <= self.octets.len()).then_some((first, end))
    }

    /// The sum of the octets from `first` to `end` of it.
    #[inline]
    pub(super) fn sum(&self, first: usize, end: usize) -> Option<u64> {
        sums::of_part(self.octets, self.sums, first, end)
    }
}

/// The sum of the octets from `first` on of the piece at `address`, if it is one of ours.
///
/// # Safety
///
/// The address is in a folio of the direct map, which is held.
pub(in super::super) unsafe fn kept_sum(address: NonNull<u8>, first: usize) -> Option<u16> {
    // SAFETY: The caller's promise.
    let piece = unsafe { Piece::of(address) }?;
    piece.sum(first, piece.octets.len()).map(sums::fold)
}
