// SPDX-License-Identifier: GPL-2.0

//! What the page cache has of a file now, without waiting for what it hasn't.
//!
//! A large file has many folios, as a rule of one page each. Those are taken from a node of the
//! tree one after the other, each as `filemap_get_folios_contig()` takes it: a reference, unless
//! the folio is being freed, then another look whether it is still there. That function puts them
//! on a list of 31, which has to be read once more: 160 instructions a page, where this takes 70,
//! and all of sending about 600. All other folios are left to the kernel's own look-up.
//!
//! C headers: [`include/linux/pagemap.h`](srctree/include/linux/pagemap.h),
//! [`include/linux/xarray.h`](srctree/include/linux/xarray.h)

use super::bindings;
use super::context::MaySleep;
use super::fragment::Fragments;
use core::ops::Range;
use core::ptr::{
    addr_of,
    addr_of_mut,
    null,
    null_mut,
    NonNull, //
};
use kernel::error::from_err_ptr;
use kernel::ffi::{
    c_ulong,
    c_void, //
};
use kernel::sync::barrier::{
    self,
    smp_mb, //
};
use kernel::sync::rcu;

/// Octets of a page.
const PAGE: u64 = bindings::PAGE_SIZE as u64;

/// The flag of a folio that has what the file has.
const UPTODATE: c_ulong = 1 << bindings::pageflags_PG_uptodate;

/// The flags that are looked at, to see [`SINGLE_AND_UPTODATE`].
const MASK: c_ulong = UPTODATE | 1 << bindings::pageflags_PG_head | bindings::HWPOISON_FLAG;

/// Those of a folio of one page, without a fault, that can be sent.
const SINGLE_AND_UPTODATE: c_ulong = UPTODATE;

/// The bits of an entry that is no folio: it tells of one that was here, or is the tree's own.
const NO_FOLIO: usize = 3;

/// Adds up to `len` octets from `offset` on, as far as they are there and up to date, `out` has
/// room, and the file doesn't end. Returns how many. With `used` the folios are marked as used.
///
/// # Safety
///
/// `mapping` is valid, and of a file system whose page cache can be read without asking it.
pub(super) unsafe fn add(
    mapping: *mut bindings::address_space,
    offset: u64,
    len: usize,
    out: &mut Fragments,
    used: Option<&MaySleep>,
) -> usize {
    let before = out.as_slice().len();
    let mut added: usize = 0;
    // Whether a folio of one page comes next, as it seems.
    let mut is_single = true;
    while let Some(rest) = len.checked_sub(added).filter(|rest| *rest != 0) {
        let Some(position) = offset.checked_add(added as u64) else {
            break;
        };
        let count = if is_single {
            // SAFETY: By the safety requirements.
            unsafe { add_singles(mapping, position, rest, out) }
        } else {
            // SAFETY: By the safety requirements.
            unsafe { add_folio(mapping, position, rest, out) }.unwrap_or(0)
        };
        if count == 0 && !is_single {
            break;
        }
        is_single = match is_single {
            true => count > 0,
            false => count <= bindings::PAGE_SIZE,
        };
        added = added.saturating_add(count);
    }
    if used.is_some() {
        for bvec in out.as_slice().iter().skip(before) {
            // SAFETY: The list has a reference to the folio; process context, by the token.
            unsafe { bindings::folio_mark_accessed(bindings::page_folio(bvec.bv_page)) };
        }
    }
    added
}

/// Adds at most `len` octets from `offset` on, out of folios of one page that are in the same node
/// of the tree. Returns how many; there may be more.
///
/// # Safety
///
/// That of [`add`].
unsafe fn add_singles(
    mapping: *mut bindings::address_space,
    offset: u64,
    len: usize,
    out: &mut Fragments,
) -> usize {
    let Ok(index) = c_ulong::try_from(offset >> bindings::PAGE_SHIFT) else {
        return 0;
    };
    let mut in_page = (offset % PAGE) as usize;
    let (mut count, mut left): (usize, _) = (0, len);
    let guard = rcu::read_lock();
    // SAFETY: By the safety requirements; in a section of RCU.
    let mut slots = unsafe { slots_from(mapping, index) };
    for place in out.spare() {
        if left == 0 || slots.is_empty() {
            break;
        }
        // SAFETY: A slot of a node that was in the tree in this section of RCU.
        let Some(folio) = (unsafe { get_single(slots.start) }) else {
            break;
        };
        let octets = left.min(bindings::PAGE_SIZE.wrapping_sub(in_page));
        place.write(bindings::bio_vec {
            // A folio begins with its first page.
            bv_page: folio.cast(),
            bv_len: octets as u32,
            bv_offset: in_page as u32,
        });
        slots.start = slots.start.wrapping_add(1);
        count = count.wrapping_add(1);
        left = left.wrapping_sub(octets);
        in_page = 0;
    }
    drop(guard);
    let added = len.wrapping_sub(left);
    // SAFETY: So many were written, each with its reference.
    unsafe { out.grow(count, added) };
    // SAFETY: By the safety requirements.
    let left_in_file = unsafe { left_in_file(mapping, offset) };
    if let Some(excess) = added.checked_sub(left_in_file) {
        out.shorten(excess);
    }
    added.min(left_in_file)
}

/// The slots of the tree from page `index` on that are in one node, if that is one of single pages:
/// from the first to behind the last. Others may write to them meanwhile.
///
/// # Safety
///
/// `mapping` is valid. The slots are looked at in the section of RCU that is running now.
unsafe fn slots_from(
    mapping: *mut bindings::address_space,
    index: c_ulong,
) -> Range<*const *mut c_void> {
    let none = null()..null();
    let mut xas = bindings::xa_state {
        // SAFETY: The mapping is valid.
        xa: unsafe { addr_of_mut!((*mapping).i_pages) },
        ..Default::default()
    };
    // SAFETY: The tree is that of the mapping, and is read in a section of RCU.
    unsafe {
        bindings::xas_set(&mut xas, index);
        bindings::xas_load(&mut xas);
    }
    let node = xas.xa_node;
    // The walk may have ended in no node at all.
    if node.is_null() || node.addr() & NO_FOLIO != 0 {
        return none;
    }
    // SAFETY: A node stays one for as long as the section of RCU runs; its shift doesn't change.
    let (shift, slots) = unsafe { (addr_of!((*node).shift).read(), addr_of!((*node).slots)) };
    if shift != 0 {
        return none;
    }
    let first = index % bindings::XA_CHUNK_SIZE;
    let end: *const *mut c_void = slots.wrapping_add(1).cast();
    slots.cast::<*mut c_void>().wrapping_add(first)..end
}

/// A reference to the folio in a slot, if that is one of a single page that is up to date.
///
/// # Safety
///
/// The slot is that of a page, in a node that was in the tree in the section of RCU that is
/// running.
#[inline]
unsafe fn get_single(slot: *const *mut c_void) -> Option<*mut bindings::folio> {
    // SAFETY: The node stays one for as long as the section of RCU runs.
    let entry = unsafe { slot.read_volatile() };
    if entry.is_null() || entry.addr() & NO_FOLIO != 0 {
        return None;
    }
    let folio: *mut bindings::folio = entry.cast();
    // SAFETY: It was a folio in this section of RCU: its memory is one's, or some page's, still.
    if !unsafe { bindings::folio_try_get(folio) } {
        return None;
    }
    // It may have left the tree meanwhile, and be another's. While it has been in the slot with our
    // reference, it is that page of this file. A node that left the tree has none in its slots.
    //
    // SAFETY: As for the first look. The reference keeps the folio from being freed and split;
    // others may change its flags.
    let (is_there, flags) = unsafe {
        (
            slot.read_volatile() == entry,
            addr_of!((*folio).__bindgen_anon_1.__bindgen_anon_1.flags.f).read_volatile(),
        )
    };
    if is_there && flags & MASK == SINGLE_AND_UPTODATE {
        return Some(folio);
    }
    // SAFETY: The reference is ours.
    unsafe { bindings::folio_put(folio) };
    None
}

/// Octets that the file has from `offset` on.
///
/// This is looked at after folios were seen up to date, as `filemap_read()` has it: so the tail of
/// the last page is never given out.
///
/// # Safety
///
/// `mapping` is valid.
unsafe fn left_in_file(mapping: *mut bindings::address_space, offset: u64) -> usize {
    smp_mb(barrier::Read);
    // SAFETY: The mapping keeps its inode.
    let size = unsafe { bindings::i_size_read((*mapping).host) };
    let left = u64::try_from(size)
        .ok()
        .and_then(|size| size.checked_sub(offset));
    left.map_or(0, |left| usize::try_from(left).unwrap_or(usize::MAX))
}

/// Adds at most `len` octets at `offset` out of one folio. `None` if there are none to be had, or
/// no room for them.
///
/// # Safety
///
/// That of [`add`].
unsafe fn add_folio(
    mapping: *mut bindings::address_space,
    offset: u64,
    len: usize,
    out: &mut Fragments,
) -> Option<usize> {
    let index = c_ulong::try_from(offset >> bindings::PAGE_SHIFT).ok()?;
    // SAFETY: The mapping is valid. Without flags this neither waits nor allocates; what it finds
    // is a folio, with a reference for us, or an error: shadow and swap entries are no folios.
    let folio = from_err_ptr(unsafe {
        bindings::__filemap_get_folio_mpol(mapping, index, 0, 0, null_mut())
    });
    let folio = folio.ok()?;

    // SAFETY: We hold a reference, so that the folio is neither freed nor split.
    let usable = unsafe {
        bindings::folio_test_uptodate(folio) && !bindings::folio_contain_hwpoisoned_page(folio)
    };
    // SAFETY: As above.
    let (start, folio_size) = unsafe { (bindings::folio_pos(folio), bindings::folio_size(folio)) };
    // SAFETY: By the safety requirements.
    let left = unsafe { left_in_file(mapping, offset) };

    let within = u64::try_from(start)
        .ok()
        .and_then(|start| offset.checked_sub(start))
        .and_then(|within| usize::try_from(within).ok());
    let span = within.and_then(|within| {
        let left_in_folio = folio_size.checked_sub(within)?;
        let count = len.min(left).min(left_in_folio);
        let count = u32::try_from(count).ok().filter(|count| *count != 0)?;
        Some((within, count))
    });

    if let Some((within, count)) = span.filter(|_| usable) {
        // SAFETY: `within` is less than the folio's size.
        let page = unsafe { bindings::folio_page(folio, within >> bindings::PAGE_SHIFT) };
        let in_page = u32::try_from(within % bindings::PAGE_SIZE).ok();
        if let Some((page, in_page)) = NonNull::new(page).zip(in_page) {
            // SAFETY: The octets lie in the folio, and pages of the page cache can be sent. The
            // reference is given up if it is taken over.
            if unsafe { out.push_page(page, in_page, count) } {
                return usize::try_from(count).ok();
            }
        }
    }
    // SAFETY: The reference is ours and was not given away.
    unsafe { bindings::folio_put(folio) };
    None
}
